"""In which types an NPU computes: the values of its session's precision_mode.

On an Ascend 910 (the first generation) the unit that multiplies matrices has no float32, so no value gives float32
convolutions; Atlas A2 and A3 (910B1 to 910B4, 910_93) have it. What each does to this model's convolutions and matrix
products, and to everything else (sums, instance norm, losses, RMSProp), which the vector unit can do in float32:

    must_keep_origin_dtype   float32 stays float32. The default on A2 and A3; on a 910 convolutions go to the AI CPU or
                             fail
    force_fp32               factors rounded to float16, summed and kept in float32; all else float32. A 910's default
    cube_fp16in_fp32out      the newer name of force_fp32
    allow_fp32_to_fp16       float16, results too; all else float32 where an operation has it. The adapter's default
    allow_mix_precision      float16, and so is what the vendor's list allows; can blur the images while losses converge
    allow_mix_precision_fp16 the newer name of allow_mix_precision
    force_fp16               float16 throughout; for online inference alone, so that no training takes it
    allow_fp32_to_bf16, allow_mix_precision_bf16   bfloat16 in float16's place; not on a 910

Sources: TF Adapter, tf_adapter/util/npu_attrs.cc; CANN's ATC guide; the README of DualGAN_ID1001 (blurred images).
"""

from typing import Dict, NamedTuple, Optional

from dualgan.devices.cann import Cann, Version
from dualgan.devices.npu_chip import is_newer_than_910
from dualgan.devices.npu_smi import Card
from dualgan.errors import BadInput

DEFAULT_MODE, DEFAULT_MODE_OF_NEWER_CHIPS = "force_fp32", "must_keep_origin_dtype"
INFERENCE_MODE = "force_fp16"


class PrecisionMode(NamedTuple):
    """since: the CANN from which an adapter is sure to know it; newer_chip: whether an Ascend 910 (910A) lacks it;

    mixed: whether lists of operations (modify_mixlist) apply.
    """

    since: Version = (5, 0)
    newer_chip: bool = False
    mixed: bool = False


# CANN 5.0's adapter checks no value. Those that it does not know are counted from 6.3, whose adapter checks them.
PRECISION_MODES: Dict[str, PrecisionMode] = {
    "force_fp32": PrecisionMode(),
    "cube_fp16in_fp32out": PrecisionMode(since=(6, 3)),
    "allow_fp32_to_fp16": PrecisionMode(),
    "allow_mix_precision": PrecisionMode(mixed=True),
    "allow_mix_precision_fp16": PrecisionMode(since=(6, 3), mixed=True),
    "force_fp16": PrecisionMode(),
    "must_keep_origin_dtype": PrecisionMode(newer_chip=True),
    "allow_fp32_to_bf16": PrecisionMode(since=(6, 3), newer_chip=True),
    "allow_mix_precision_bf16": PrecisionMode(since=(6, 3), newer_chip=True, mixed=True),
}


def checked_mode(name: str, cann: Cann, card: Optional[Card]) -> str:
    """The mode ``name`` ("": the chip's default). Raises BadInput if a training, this CANN or this chip has it not."""
    newer_chip = is_newer_than_910(card)
    if not name:
        return DEFAULT_MODE_OF_NEWER_CHIPS if newer_chip else DEFAULT_MODE
    mode = PRECISION_MODES[name]
    if name == INFERENCE_MODE:
        raise BadInput(
            f"--precision_mode {name}: is for online inference, not for training; allow_mix_precision is float16 "
            "where that is safe"
        )
    if mode.since > (5, 0):
        require_cann("--precision_mode " + name, mode.since, cann)
    if mode.newer_chip and not newer_chip:
        raise BadInput(
            "--precision_mode {}: an Ascend 910 cannot convolve in it (chip: {}); {} comes closest".format(
                name, card.name if card else "unknown", DEFAULT_MODE
            )
        )
    return name


def require_cann(what: str, since: Version, cann: Cann) -> None:
    """Raise BadInput unless the installed CANN is ``since`` or newer; one that is unknown may not be."""
    number = cann.number
    if number is None or number < since:
        raise BadInput(
            "{}: needs CANN {} or newer; here is {}".format(
                what,
                ".".join(str(part) for part in since),
                cann.version or f"one of unknown version (no install.info under {cann.looked_in})",
            )
        )
