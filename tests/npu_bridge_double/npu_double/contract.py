"""What a session's NpuOptimizer may be given, by CANN version and chip. Needs no TensorFlow.

Keys and fields: TF Adapter, tf_adapter/util/npu_attrs.cc, branches r1.7.0 (CANN 5.0.4), r1.13.0 (6.3), master of
December 2023 (8.0) and of July 2026 (9.0).
"""

import os
import re
from typing import Any, Dict, Mapping, NamedTuple, Set, Tuple

VERSION_VARIABLE, CHIP_VARIABLE, BROKEN_VARIABLE = (
    "NPU_BRIDGE_DOUBLE_CANN",
    "NPU_BRIDGE_DOUBLE_CHIP",
    "NPU_BRIDGE_DOUBLE_BROKEN",
)
CHIPS = ("910A", "910B3", "A3")
# Of this process: whether sessions are checked, operations are compiled, TensorFlow 1's behaviour is asked for.
state = {"installed": False, "compiled": False, "v1": False}


class Flavour(NamedTuple):
    """An adapter. patches_session: whether importing it changes tf.Session, as from r1.9.0 on; work_path: whether

    CANN knows ASCEND_WORK_PATH.
    """

    branch: str
    number: Tuple[int, int]
    patches_session: bool = True
    work_path: bool = True


FLAVOURS: Dict[str, Flavour] = {
    "5.0.4": Flavour("r1.7.0", (5, 0), patches_session=False, work_path=False),
    "6.3": Flavour("r1.13.0", (6, 3)),
    "8.0": Flavour("master of 2023", (8, 0)),
    "9.0": Flavour("master of 2026", (9, 0)),
}


class ContractError(RuntimeError):
    """The adapter would have ignored this, read it wrongly, or failed later on the NPU."""


def flavour() -> Flavour:
    """The adapter of the CANN that the variable names, such as 5.0.4 or 8.5: the newest that is not newer."""
    version = os.environ.get(VERSION_VARIABLE, "5.0.4")
    number = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    known = [adapter for adapter in FLAVOURS.values() if adapter.number <= (number + (0, 0))[:2]]
    if not known:
        raise ContractError("{}={}: known are {}".format(VERSION_VARIABLE, version, ", ".join(FLAVOURS)))
    return known[-1]


def chip() -> str:
    name = os.environ.get(CHIP_VARIABLE, "910A")
    if name not in CHIPS:
        raise ContractError("{}={}: known are {}".format(CHIP_VARIABLE, name, ", ".join(CHIPS)))
    return name


def load_library() -> str:
    """The adapter's library, or the loader's error."""
    reason = os.environ.get(BROKEN_VARIABLE)
    if reason:
        raise ImportError(reason)
    return "library"


_KEYS: Mapping[Tuple[int, int], Mapping[str, str]] = {
    (5, 0): {
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
    },
    (6, 3): {
        "b": "enable_graph_parallel external_weight frozen_variable",
        "i": """atomic_clean_policy deterministic event_sync_timeout graph_exec_timeout static_memory_policy
            stream_sync_timeout topo_sorting_mode""",
        "s": """HCCL_algorithm ac_parallel_enable aoe_config_file customize_dtypes dump_data dump_layer
            es_cluster_config graph_compiler_cache_dir graph_parallel_option_path graph_slice insert_op_file jit_compile
            memory_optimization_policy op_debug_config precision_mode_v2 resource_config_path soc_config
            variable_placement""",
    },
    (9, 0): {
        "b": "all_tensor_not_empty compile_dynamic_mode input_batch_cpy oo_constant_folding",
        "i": """compile_hybrid_mode export_compile_stat graph_max_parallel_model_num input_fusion_size
            variable_use_1g_huge_page""",
        "s": """aicore_num auto_multistream_parallel_mode experimental_accelerate_train_mode
            experimental_logical_device_cluster_deploy_mode experimental_logical_device_id
            experimental_model_deploy_devicelist experimental_model_deploy_mode oo_level optimization_switch
            quant_dumpable shape_generalization_mode""",
    },
}
_GONE = {"es_cluster_config": (9, 0)}
_VALUES: Mapping[str, Set[Any]] = {
    "buffer_optimize": {"l2_optimize", "off_optimize"},
    "dump_data": {"tensor", "stats"},
    "dump_debug_mode": {"aicore_overflow", "atomic_overflow", "all"},
    "dump_mode": {"input", "output", "all"},
    "enable_exception_dump": {0, 1, 2},
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
# On an Ascend 910 convolutions in these types go to the AI CPU or fail.
_NOT_ON_910 = {"must_keep_origin_dtype", "allow_mix_precision_bf16", "allow_fp32_to_bf16"}
_DUMP_STEP = re.compile(r"(\d+-\d+\||\d+\|)+$")


def fields_of_keys(adapter: Flavour) -> Dict[str, str]:
    """The AttrValue field of each key that ``adapter`` knows."""
    tables = [table for since, table in _KEYS.items() if since <= adapter.number]
    known = {key: field for table in tables for field, names in table.items() for key in names.split()}
    return {key: field for key, field in known.items() if key not in _GONE or adapter.number < _GONE[key]}


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
    _check_dump(values)
    _check_combinations(values)


def _check_precision(values: Mapping[str, Any], adapter: Flavour) -> None:
    # Left out, convolutions are float16 under some adapters and of CANN's choice under others.
    mode = values.get("precision_mode")
    if mode is None:
        raise ContractError("parameter_map: precision_mode is not set: it depends on the adapter then")
    known = _PRECISION_MODES | (_NEWER_PRECISION_MODES if adapter.number >= (6, 3) else set())
    if mode not in known:
        raise ContractError("parameter_map: precision_mode: {} is unknown to {}".format(mode, adapter.branch))
    if mode == "force_fp16":
        raise ContractError("parameter_map: precision_mode: force_fp16 is for online inference")
    if mode in _NOT_ON_910 and chip() == "910A":
        raise ContractError("parameter_map: precision_mode: {} fails on a {}".format(mode, chip()))
    if "precision_mode_v2" in values:
        raise ContractError("parameter_map: precision_mode and precision_mode_v2 exclude each other")
    if "modify_mixlist" in values and not mode.startswith("allow_mix_precision"):
        raise ContractError("parameter_map: modify_mixlist: an error with precision_mode {}".format(mode))


def _check_dump(values: Mapping[str, Any]) -> None:
    if values.get("enable_dump") and values.get("enable_dump_debug"):
        raise ContractError("parameter_map: enable_dump and enable_dump_debug exclude each other")
    path = values.get("dump_path", "")
    if (values.get("enable_dump") or values.get("enable_dump_debug")) and not (
        os.path.isdir(path) and os.access(path, os.R_OK | os.W_OK)
    ):
        raise ContractError("parameter_map: dump_path: must be a folder to read and to write")
    if not _DUMP_STEP.match(values.get("dump_step", "0") + "|"):
        raise ContractError("parameter_map: dump_step: {} aborts the process".format(values["dump_step"]))
    if chip() != "910A" and values.get("dump_debug_mode", "all") != "all":
        raise ContractError("parameter_map: dump_debug_mode: must be all on {}".format(chip()))


def _check_combinations(values: Mapping[str, Any]) -> None:
    if values.get("profiling_mode") and not values.get("profiling_options"):
        raise ContractError("parameter_map: profiling_mode without profiling_options")
    if values.get("op_debug_level") and values.get("op_compiler_cache_mode", "disable") != "disable":
        raise ContractError("parameter_map: op_debug_level switches the compiler cache off")
    if values.get("session_device_id", 0) < 0:
        raise ContractError("parameter_map: session_device_id below 0 aborts the process")
    for key in ("graph_memory_max_size", "variable_memory_max_size"):
        if not all(factor.strip().isdigit() for factor in values.get(key, "1").split("*")):
            raise ContractError("parameter_map: {}: no number of bytes: {}".format(key, values[key]))
