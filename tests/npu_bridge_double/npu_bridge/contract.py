"""What a session's NpuOptimizer may be given, by CANN version. Needs no TensorFlow.

Keys and fields: TF Adapter, tf_adapter/util/npu_attrs.cc, branches r1.7.0 (CANN 5.0.4) and master (December 2023).
"""

import os
from typing import Any, Dict, Mapping, NamedTuple

VERSION_VARIABLE = "NPU_BRIDGE_DOUBLE_CANN"


class Flavour(NamedTuple):
    """An adapter. patches_session: whether importing it changes tf.Session, as from r1.9.0 on."""

    branch: str
    patches_session: bool
    newer_keys: bool
    chip: str


FLAVOURS: Dict[str, Flavour] = {
    "5.0.4": Flavour("r1.7.0", patches_session=False, newer_keys=False, chip="910A"),
    "7.0.0": Flavour("master", patches_session=True, newer_keys=True, chip="910A"),
}


class ContractError(RuntimeError):
    """The adapter would have ignored this, read it wrongly, or failed later on the NPU."""


def flavour() -> Flavour:
    version = os.environ.get(VERSION_VARIABLE, "5.0.4")
    if version not in FLAVOURS:
        raise ContractError("{}={}: known are {}".format(VERSION_VARIABLE, version, ", ".join(FLAVOURS)))
    return FLAVOURS[version]


_KEYS = {
    "b": """dynamic_input enable_compress_weight enable_data_pre_proc enable_dump enable_dump_debug hcom_multi_mode
        hcom_parallel in_out_pair_flag is_tailing_optimization lower_functional_ops mix_compile_mode profiling_mode
        use_off_line variable_format_optimize""",
    "i": """dynamic_node_type enable_exception_dump enable_small_channel graph_run_mode hccl_timeout
        iterations_per_loop local_rank_id op_debug_level op_execute_timeout op_wait_timeout session_device_id
        task_index""",
    "s": """aoe_mode auto_tune_mode buffer_optimize compress_weight_conf debug_dir device_type distribute_config
        dump_debug_mode dump_mode dump_path dump_step dynamic_dims dynamic_graph_execute_mode
        dynamic_inputs_shape_range enable_scope_fusion_passes fusion_switch_file graph_memory_max_size
        variable_memory_max_size in_out_pair input_shape job local_device_list modify_mixlist op_compiler_cache_dir
        op_compiler_cache_mode op_precision_mode op_select_implmode optypelist_for_implmode precision_mode
        profiling_options stream_max_parallel_num work_path""",
}
_NEWER_KEYS = {
    "b": "enable_graph_parallel external_weight frozen_variable",
    "i": """atomic_clean_policy deterministic event_sync_timeout graph_exec_timeout static_memory_policy
        stream_sync_timeout topo_sorting_mode""",
    "s": """HCCL_algorithm ac_parallel_enable aoe_config_file const_input customize_dtypes dump_data dump_layer
        es_cluster_config graph_compiler_cache_dir graph_parallel_option_path graph_slice insert_op_file jit_compile
        memory_optimization_policy op_debug_config precision_mode_v2 resource_config_path soc_config
        variable_placement""",
}
_VALUES = {
    "buffer_optimize": {"l2_optimize", "off_optimize"},
    "dump_debug_mode": {"aicore_overflow", "atomic_overflow", "all"},
    "dump_mode": {"input", "output", "all"},
    "op_select_implmode": {
        *("high_precision", "high_performance"),
        *("high_precision_for_all", "high_performance_for_all"),
    },
    "op_compiler_cache_mode": {"disable", "enable", "force"},
}
_PRECISION_MODES = {
    *("force_fp32", "allow_fp32_to_fp16", "force_fp16", "must_keep_origin_dtype", "allow_mix_precision"),
}
_NEWER_PRECISION_MODES = {
    *("cube_fp16in_fp32out", "allow_mix_precision_fp16", "allow_mix_precision_bf16", "allow_fp32_to_bf16"),
}
# An Ascend 910 aborts at the first convolution in these types.
_NOT_ON_910 = {"must_keep_origin_dtype", "allow_mix_precision_bf16", "allow_fp32_to_bf16"}


def fields_of_keys(adapter: Flavour) -> Dict[str, str]:
    """The AttrValue field of each key that ``adapter`` knows."""
    tables = [_KEYS, _NEWER_KEYS] if adapter.newer_keys else [_KEYS]
    return {key: field for table in tables for field, names in table.items() for key in names.split()}


def check_parameters(parameters: Mapping[str, Any], adapter: Flavour) -> None:
    """Raise ContractError unless every AttrValue of an NpuOptimizer's parameter_map is one that ``adapter`` reads."""
    fields = fields_of_keys(adapter)
    values = {}
    for key, attribute in parameters.items():
        if key not in fields:
            raise ContractError("parameter_map: {}: ignored by the adapter of {}".format(key, adapter.branch))
        given = attribute.WhichOneof("value")
        if given != fields[key]:
            raise ContractError("parameter_map: {}: set as .{}, read as .{}".format(key, given, fields[key]))
        value = getattr(attribute, given)
        values[key] = value.decode() if isinstance(value, bytes) else value
        if key in _VALUES and values[key] not in _VALUES[key]:
            raise ContractError("parameter_map: {}: unknown value {}".format(key, values[key]))
    _check_precision(values, adapter)
    _check_combinations(values)


def _check_precision(values: Mapping[str, Any], adapter: Flavour) -> None:
    # Left out, convolutions are float16 under some adapters and of CANN's choice under others.
    mode = values.get("precision_mode")
    if mode is None:
        raise ContractError("parameter_map: precision_mode is not set: it depends on the adapter then")
    known = _PRECISION_MODES | (_NEWER_PRECISION_MODES if adapter.newer_keys else set())
    if mode not in known:
        raise ContractError("parameter_map: precision_mode: {} is unknown to {}".format(mode, adapter.branch))
    if mode in _NOT_ON_910 and adapter.chip == "910A":
        raise ContractError("parameter_map: precision_mode: {} aborts on a {}".format(mode, adapter.chip))
    if "precision_mode_v2" in values:
        raise ContractError("parameter_map: precision_mode and precision_mode_v2 exclude each other")
    if "modify_mixlist" in values and not mode.startswith("allow_mix_precision"):
        raise ContractError("parameter_map: modify_mixlist: an error with precision_mode {}".format(mode))


def _check_combinations(values: Mapping[str, Any]) -> None:
    if values.get("enable_dump") and values.get("enable_dump_debug"):
        raise ContractError("parameter_map: enable_dump and enable_dump_debug exclude each other")
    if (values.get("enable_dump") or values.get("enable_dump_debug")) and not os.path.isdir(
        values.get("dump_path", "")
    ):
        raise ContractError("parameter_map: dump_path: must be a folder that exists")
    if values.get("profiling_mode") and not values.get("profiling_options"):
        raise ContractError("parameter_map: profiling_mode without profiling_options")
    loops = values.get("iterations_per_loop", 1)
    if loops != 1 and (values.get("mix_compile_mode") or not values.get("enable_data_pre_proc")):
        raise ContractError(
            "parameter_map: iterations_per_loop {}: needs enable_data_pre_proc, no mix_compile_mode".format(loops)
        )
    for key in ("graph_memory_max_size", "variable_memory_max_size"):
        if not all(factor.strip().isdigit() for factor in values.get(key, "1").split("*")):
            raise ContractError("parameter_map: {}: no number of bytes: {}".format(key, values[key]))
