"""What a session's NpuOptimizer may be given, by CANN version and chip. Needs no TensorFlow.

Keys and fields: TF Adapter, tf_adapter/util/npu_attrs.cc, branches r1.7.0 (CANN 5.0.4), r1.13.0 (6.3), master of
December 2023 (8.0) and of July 2026 (9.0).
"""

import os
import re
from typing import Any, Dict, Mapping, NamedTuple, Tuple

VERSION_VARIABLE, CHIP_VARIABLE = "NPU_BRIDGE_DOUBLE_CANN", "NPU_BRIDGE_DOUBLE_CHIP"
CHIPS = ("910A", "910B3", "A3")
# Of this process: whether sessions are checked, and operations are compiled.
state = {"installed": False, "compiled": False}


class Flavour(NamedTuple):
    """An adapter.

    patches_session: whether importing it changes tf.Session, as from r1.9.0 on; work_path: whether CANN knows
    ASCEND_WORK_PATH.
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
    reason = os.environ.get("NPU_BRIDGE_DOUBLE_BROKEN")
    if reason:
        raise ImportError(reason)
    return "library"


# The AttrValue fields of the keys that a training may set; npu_options.py says which.
_KEYS: Mapping[Tuple[int, int], Mapping[str, str]] = {
    (5, 0): {
        "b": "enable_dump enable_dump_debug profiling_mode",
        "i": "enable_exception_dump op_debug_level op_execute_timeout op_wait_timeout session_device_id",
        "s": """buffer_optimize debug_dir dump_debug_mode dump_mode dump_path dump_step fusion_switch_file
            graph_memory_max_size modify_mixlist op_compiler_cache_dir op_compiler_cache_mode op_select_implmode
            optypelist_for_implmode precision_mode profiling_options variable_memory_max_size""",
    },
    (6, 3): {"i": "deterministic", "s": "dump_data dump_layer"},
}
_PRECISION_MODES = {
    *("force_fp32", "allow_fp32_to_fp16", "must_keep_origin_dtype", "allow_mix_precision"),
}
_NEWER_PRECISION_MODES = {
    *("cube_fp16in_fp32out", "allow_mix_precision_fp16", "allow_mix_precision_bf16", "allow_fp32_to_bf16"),
}
# On an Ascend 910 convolutions in these types go to the AI CPU or fail.
_NOT_ON_910 = {"must_keep_origin_dtype", "allow_mix_precision_bf16", "allow_fp32_to_bf16"}


def check_parameters(parameters: Mapping[str, Any], adapter: Flavour) -> None:
    """Raise ContractError unless every AttrValue of an NpuOptimizer's parameter_map is one that ``adapter`` reads."""
    tables = [table for since, table in _KEYS.items() if since <= adapter.number]
    fields = {key: field for table in tables for field, names in table.items() for key in names.split()}
    for key, attribute in parameters.items():
        if key not in fields:
            raise ContractError("parameter_map: {}: ignored by the adapter of {}".format(key, adapter.branch))
        given = attribute.WhichOneof("value")
        if given != fields[key]:
            raise ContractError("parameter_map: {}: set as .{}, read as .{}".format(key, given, fields[key]))
    # Left out, convolutions are float16 under some adapters and of CANN's choice under others.
    if "precision_mode" not in parameters:
        raise ContractError("parameter_map: precision_mode is not set: it depends on the adapter then")
    mode = parameters["precision_mode"].s.decode()
    known = _PRECISION_MODES | (_NEWER_PRECISION_MODES if adapter.number >= (6, 3) else set())
    if mode not in known:
        raise ContractError("parameter_map: precision_mode: {} is unknown to {}".format(mode, adapter.branch))
    if mode in _NOT_ON_910 and chip() == "910A":
        raise ContractError("parameter_map: precision_mode: {} fails on a {}".format(mode, chip()))
