"""Generations of Ascend training chips, and what each rounds the factors of a product to."""

import re
from typing import Optional

from dualgan.devices.npu_smi import Card

FIRST, A2, A3, LATER = "910", "A2", "A3", "950"
# npu-smi calls the first 910 and Atlas A3 alike in some versions; only the latter has 64 GiB.
MIN_A3_MEBIBYTES = 60000
_NAMES = (
    (r"910B\d", A2),
    (r"910(C|_\d)", A3),
    (r"9[2-9]\d", LATER),
    (r"910", FIRST),
)
# Factors of convolutions in HF32, float32 with 11 bits behind the point, unless it is "0".
HF32_VARIABLE = "ENABLE_HF32_EXECUTION"


def generation(card: Optional[Card]) -> Optional[str]:
    """The generation that a card's name and memory tell, None if there is no card or none of these.

    910A, 910B, 910ProA, 910ProB and 910PremiumA are first ones; 910B1 to 910B4 are Atlas A2.
    """
    if card is None:
        return None
    name = card.name.replace("Ascend", "")
    if name == "910" and (card.memory_mebibytes or 0) >= MIN_A3_MEBIBYTES:
        return A3
    return next((found for pattern, found in _NAMES if re.match(pattern, name)), None)


def is_newer_than_910(card: Optional[Card]) -> bool:
    """Whether the card's matrix unit has float32 and bfloat16. A card that is not known is not trusted to."""
    return generation(card) in (A2, A3, LATER)


def product_type(precision_mode: str, hf32: bool) -> str:
    """The type that ``precision_mode`` rounds factors of convolutions and matrix products to.

    Args:
        precision_mode: One that the chip has.
        hf32: Whether float32 factors of convolutions become HF32.
    """
    if precision_mode == "must_keep_origin_dtype":
        return "hfloat32" if hf32 else "float32"
    return "bfloat16" if precision_mode.endswith("bf16") else "float16"
