"""Options of an Ascend session: precision modes, and the keys that --npu-parameters may hold.

The keys are those of the session's NpuOptimizer, under the adapter's own names. The adapter (TF Adapter,
tf_adapter/util/npu_attrs.cc) ignores a key that it does not know, and reads one that is set in the wrong field of its
AttrValue as empty. So a key that is unknown or of another type is refused here.
"""

import json
import os
import re
from pathlib import Path
from typing import Any, Dict, NamedTuple, Optional, Sequence, Tuple, Union

from dualgan.environment import is_writable
from dualgan.errors import BadInput
from dualgan.npu_smi import Card

Version = Tuple[int, ...]
FIRST, A2, A3, LATER = "910", "A2", "A3", "950"
GENERATIONS = ((r"910B\d", A2), (r"910(C|_\d)", A3), (r"9[2-9]\d", LATER), (r"910", FIRST))
# npu-smi calls the first 910 and Atlas A3 alike in some versions; only the latter has 64 GiB.
MIN_A3_MEBIBYTES = 60000


class Cann(NamedTuple):
    """Versions as written, such as "5.0.4.alpha005" and "21.0.2"; None if no file says. looked_in: the folder."""

    version: Optional[str]
    driver: Optional[str]
    looked_in: Path

    @property
    def number(self) -> Optional[Version]:
        """(5, 0, 4) of "5.0.4.alpha005", (6, 3) of "6.3.RC2"; None if the version is unknown."""
        found = re.match(r"\d+(\.\d+)*", self.version or "")
        return tuple(int(part) for part in found.group().split(".")) if found else None

    def require(self, what: str, since: Version) -> None:
        """Raise BadInput unless this is ``since`` or newer; one that is unknown may not be."""
        if self.number is None or self.number < since:
            found = self.version or f"one of unknown version (no install.info under {self.looked_in})"
            raise BadInput(f"{what}: needs CANN {'.'.join(map(str, since))} or newer; here is {found}")


def generation(card: Optional[Card]) -> Optional[str]:
    """The generation that a card's name and memory tell, None if there is no card or none of these.

    910A, 910B, 910ProA, 910ProB and 910PremiumA are first ones; 910B1 to 910B4 are Atlas A2.
    """
    if card is None:
        return None
    name = card.name.replace("Ascend", "")
    if name == "910" and (card.memory_mebibytes or 0) >= MIN_A3_MEBIBYTES:
        return A3
    return next((found for pattern, found in GENERATIONS if re.match(pattern, name)), None)


def is_newer_than_910(card: Optional[Card]) -> bool:
    """Whether the card's matrix unit has float32 and bfloat16. A card that is not known is not trusted to."""
    return generation(card) in (A2, A3, LATER)


DEFAULT_MODE, DEFAULT_MODE_OF_NEWER_CHIPS = "force_fp32", "must_keep_origin_dtype"
INFERENCE_MODE = "force_fp16"
# CANN 5.0's adapter checks no value. Those that it does not know are counted from 6.3, whose adapter checks them.
MODES_SINCE_6_3 = (
    *("cube_fp16in_fp32out", "allow_mix_precision_fp16"),
    *("allow_fp32_to_bf16", "allow_mix_precision_bf16"),
)
MODES_OF_NEWER_CHIPS = ("must_keep_origin_dtype", "allow_fp32_to_bf16", "allow_mix_precision_bf16")


def checked_mode(name: str, cann: Cann, card: Optional[Card]) -> str:
    """The mode ``name`` ("": the chip's default). Raises BadInput if a training, this CANN or this chip has it not."""
    newer_chip = is_newer_than_910(card)
    if not name:
        return DEFAULT_MODE_OF_NEWER_CHIPS if newer_chip else DEFAULT_MODE
    if name == INFERENCE_MODE:
        raise BadInput(
            f"--precision_mode {name}: is for online inference, not for training; allow_mix_precision is float16 "
            "where that is safe"
        )
    if name in MODES_SINCE_6_3:
        cann.require("--precision_mode " + name, (6, 3))
    if name in MODES_OF_NEWER_CHIPS and not newer_chip:
        raise BadInput(
            f"--precision_mode {name}: an Ascend 910 cannot convolve in it (chip: {card.name if card else 'unknown'}); "
            f"{DEFAULT_MODE} comes closest"
        )
    return name


def product_type(precision_mode: str, hf32: bool) -> str:
    """The type that ``precision_mode``, one that the chip has, rounds factors of convolutions and matrix products to.

    hf32: whether float32 factors of convolutions become HF32.
    """
    if precision_mode == "must_keep_origin_dtype":
        return "hfloat32" if hf32 else "float32"
    return "bfloat16" if precision_mode.endswith("bf16") else "float16"


Value = Union[bool, int, str]
OPTION = "--npu_parameters"
# The adapter aborts the process for other steps, and for more.
DUMP_STEPS = (r"\d+(-\d+)?(\|\d+(-\d+)?)*", 'steps and ranges such as "0|5|10-20"')
MAX_DUMP_STEPS = 100
BYTES = (r"\s*[1-9]\d*(\s*\*\s*[1-9]\d*)*\s*", 'bytes, such as "8 * 1024 * 1024 * 1024"')
GIBIBYTE = 1024**3
# Before it, CANN divides a card's memory between graph and variables beforehand; from then on as they need it.
DYNAMIC_MEMORY_SINCE = (8, 0)
# Of 32 parts of the memory: the limits that CANN sets by itself. On an Ascend 910's 32 GB one part is its own.
GRAPH_PARTS, VARIABLE_PARTS, PARTS = 26, 5, 32


class Parameter(NamedTuple):
    """A key of the adapter.

    field: the AttrValue's, b, i or s; form: what the text must be, and in words; path: "folder" if the value must name
    one that can be written to, "file" if it must name one that can be read; needs: a switch that must be on for it to
    have an effect.
    """

    field: str
    choices: Sequence[Value] = ()
    form: Tuple[str, str] = ("", "")
    path: str = ""
    needs: str = ""
    since: Version = (5, 0)


IMPLEMENTATIONS = ("high_precision", "high_performance", "high_precision_for_all", "high_performance_for_all")
PARAMETERS: Dict[str, Parameter] = {
    "graph_memory_max_size": Parameter("s", form=BYTES),
    "variable_memory_max_size": Parameter("s", form=BYTES),
    # Compiled operations are kept in the folder: the first step of the next run does not compile them again.
    "op_compiler_cache_mode": Parameter("s", choices=("enable", "disable", "force")),
    "op_compiler_cache_dir": Parameter("s", path="folder"),
    "op_select_implmode": Parameter("s", choices=IMPLEMENTATIONS),
    "optypelist_for_implmode": Parameter("s", needs="op_select_implmode"),
    "modify_mixlist": Parameter("s", path="file"),
    "fusion_switch_file": Parameter("s", path="file"),
    "buffer_optimize": Parameter("s", choices=("l2_optimize", "off_optimize")),
    "enable_dump": Parameter("b"),
    "enable_dump_debug": Parameter("b"),
    "dump_path": Parameter("s", path="folder"),
    "dump_step": Parameter("s", form=DUMP_STEPS, needs="enable_dump"),
    "dump_mode": Parameter("s", choices=("input", "output", "all"), needs="enable_dump"),
    "dump_data": Parameter("s", choices=("tensor", "stats"), needs="enable_dump", since=(6, 3)),
    "dump_layer": Parameter("s", needs="enable_dump", since=(6, 3)),
    "dump_debug_mode": Parameter("s", choices=("aicore_overflow", "atomic_overflow", "all"), needs="enable_dump_debug"),
    "profiling_mode": Parameter("b"),
    "profiling_options": Parameter("s", needs="profiling_mode"),
    "enable_exception_dump": Parameter("i", choices=(0, 1, 2)),
    "op_debug_level": Parameter("i", choices=(0, 1, 2, 3, 4)),
    "debug_dir": Parameter("s", path="folder"),
    "op_execute_timeout": Parameter("i"),
    "op_wait_timeout": Parameter("i"),
    "session_device_id": Parameter("i"),
}
TYPES = {"b": ("bool", "true or false"), "i": ("int", "a whole number"), "s": ("str", "a string")}
# Keys of the adapter that this trainer does not leave to chance, and why.
NOT_OPEN = {
    "precision_mode": "it is an option of its own, --precision_mode",
    "precision_mode_v2": "CANN takes one of the two; use --precision_mode",
    "deterministic": "it is an option of its own, --deterministic",
    "mix_compile_mode": "parts of the step would run on the host",
    "graph_run_mode": "1, training, is what runs here",
    "dynamic_input": "every shape of this model is known, and must be, for the NPU to compile it once",
    "enable_data_pre_proc": "no dataset is part of the graph: batches and random numbers are fed by the host",
    "iterations_per_loop": "a loop on the device needs one training operation fed by a dataset in the graph; here "
    "critics and generators have one each, and the host feeds both with the same batch and random numbers on every leg",
}


def parse_parameters(text: str) -> Dict[str, Value]:
    """The parameters in the option's JSON object. Raises BadInput if it is none or if a key or a type is wrong."""
    try:
        content = json.loads(text or "{}")
    except ValueError as error:
        raise BadInput(f"{OPTION} {text}: not JSON ({error})") from None
    if not isinstance(content, dict):
        raise BadInput(f'{OPTION} {text}: must be a JSON object such as {{"dump_step": "0|5"}}')
    return {key: _value(key, value) for key, value in content.items()}


def _value(key: str, value: Any) -> Value:
    """``value`` if it fits ``key``. profiling_options may be written as an object."""
    if key in NOT_OPEN:
        raise BadInput(f"{OPTION}: {key} cannot be set: {NOT_OPEN[key]}")
    if key not in PARAMETERS:
        raise BadInput(f"{OPTION}: {key}: unknown; known are {', '.join(sorted(PARAMETERS))}")
    parameter = PARAMETERS[key]
    if key == "profiling_options" and isinstance(value, dict):
        value = json.dumps(value)
    kind, wanted = TYPES[parameter.field]
    # To Python, True is a whole number; to the adapter it is not.
    if type(value).__name__ != kind:
        raise BadInput(f"{OPTION}: {key}: {value!r} must be {wanted}")
    if parameter.choices and value not in parameter.choices:
        raise BadInput(f"{OPTION}: {key}: {value!r} must be one of {', '.join(map(str, parameter.choices))}")
    if key == "session_device_id" and value < 0:
        raise BadInput(f"{OPTION}: {key}: {value} must be 0 or more")
    pattern, form = parameter.form
    if pattern and not re.fullmatch(pattern, value):
        raise BadInput(f"{OPTION}: {key}: {value!r} must be {form}")
    if key == "dump_step":
        _check_dump_steps(value)
    # The current folder of a training is not always the one that it was started in.
    found: Value = os.path.abspath(value) if parameter.path else value
    return found


def _check_dump_steps(text: str) -> None:
    ranges = [part.split("-") for part in text.split("|")]
    if any(int(pair[0]) >= int(pair[1]) for pair in ranges if len(pair) == 2):
        raise BadInput(f"{OPTION}: dump_step: {text!r} must be {DUMP_STEPS[1]}")
    if len(ranges) > MAX_DUMP_STEPS:
        raise BadInput(f"{OPTION}: dump_step: {len(ranges)} steps and ranges; at most {MAX_DUMP_STEPS}")


def check_parameters(
    values: Dict[str, Value], cann: Cann, precision_mode: str, card: Optional[Card] = None
) -> Dict[str, Value]:
    """``values`` and what they imply. Raises BadInput if they contradict each other, this CANN, card or machine."""
    for key, value in values.items():
        parameter = PARAMETERS[key]
        if parameter.since > (5, 0):
            cann.require(f"{OPTION}: {key}", parameter.since)
        if parameter.needs and not values.get(parameter.needs):
            raise BadInput(f"{OPTION}: {key} has no effect without {parameter.needs}")
        if parameter.path:
            _require_path(key, str(value), parameter.path)
    dumps = [key for key in ("enable_dump", "enable_dump_debug") if values.get(key)]
    level, keeps_kernels = values.get("op_debug_level"), "op_compiler_cache_dir" in values
    cache_mode = values.get("op_compiler_cache_mode", "enable" if keeps_kernels else "disable")
    for is_wrong, reason in (
        (len(dumps) > 1, "enable_dump and enable_dump_debug exclude each other (tensors, overflows)"),
        (dumps and "dump_path" not in values, f"{''.join(dumps[:1])} needs dump_path, a folder"),
        (
            "dump_path" in values and not dumps,
            "dump_path has no effect without enable_dump or enable_dump_debug",
        ),
        (
            generation(card) in (A2, A3) and values.get("dump_debug_mode", "all") != "all",
            "dump_debug_mode: must be all on Atlas A2 and A3",
        ),
        (
            values.get("profiling_mode") and "profiling_options" not in values,
            'profiling_mode needs profiling_options, such as {"output": "/tmp"}',
        ),
        (
            "modify_mixlist" in values and not precision_mode.startswith("allow_mix_precision"),
            f"modify_mixlist: CANN refuses it with --precision_mode {precision_mode}",
        ),
        (
            level and cache_mode != "disable",
            f"op_debug_level {level} switches off the cache of compiled operations; leave it or op_compiler_cache_dir "
            "out",
        ),
    ):
        if is_wrong:
            raise BadInput(f"{OPTION}: {reason}")
    if cann.number is None or cann.number < DYNAMIC_MEMORY_SINCE:
        _check_memory(values, card)
    return {**values, "op_compiler_cache_mode": cache_mode} if keeps_kernels else values


def _check_memory(values: Dict[str, Value], card: Optional[Card]) -> None:
    """Raise BadInput for limits that add up to more than the card has."""
    memory, usable_parts = PARTS * GIBIBYTE, GRAPH_PARTS + VARIABLE_PARTS
    if card and is_newer_than_910(card):
        memory, usable_parts = (card.memory_mebibytes or PARTS * 1024) * 1024**2, PARTS
    total = 0
    for key, parts in (("graph_memory_max_size", GRAPH_PARTS), ("variable_memory_max_size", VARIABLE_PARTS)):
        limit = 1
        for factor in str(values.get(key, parts * memory // PARTS)).split("*"):
            limit *= int(factor)
        total += limit
    usable = usable_parts * memory // PARTS
    if total > usable:
        raise BadInput(
            f"{OPTION}: graph_memory_max_size and variable_memory_max_size add up to {total / GIBIBYTE:.1f} GB; this "
            f"card has {usable / GIBIBYTE:.0f} (unless set, they are {GRAPH_PARTS} and {VARIABLE_PARTS} of {PARTS} "
            "parts)"
        )


def _require_path(key: str, path: str, kind: str) -> None:
    if not (os.path.isdir(path) if kind == "folder" else os.path.isfile(path)):
        raise BadInput(f"{OPTION}: {key}: {path}: no such {kind}; make it first")
    if not os.access(path, os.R_OK) or (kind == "folder" and not is_writable(path)):
        use = "read and write in" if kind == "folder" else "read"
        raise BadInput(f"{OPTION}: {key}: {path}: this user may not {use} it; change its mode")
