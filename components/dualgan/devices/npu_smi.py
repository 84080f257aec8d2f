"""The NPUs of this machine as `npu-smi info` lists them, and what their names say of them.

Two rows a chip; the first names it and says whether it is well, the second ends with the memory in use and in all:

    | npu-smi 21.0.2                       Version: 21.0.2          |
    | NPU   Name           | Health        | Power(W)   Temp(C)     |
    | Chip  Device         | Bus-Id        | AICore(%)  ...         |
    | 0     910A           | OK            | 71.9       49          |
    | 0     0              | 0000:C1:00.0  | 88         ...         |
"""

import re
from typing import List, NamedTuple, Optional

from dualgan.devices.base import output_of

VERSION = re.compile(r"npu-smi\s+(\S+)")
BUS_ID = re.compile(r"[0-9A-Fa-f]{4}:[0-9A-Fa-f]{2}:")
MEMORY = re.compile(r"\d+\s*/\s*(\d+)")


class Card(NamedTuple):
    """A chip.

    name: such as "910A"; health: in the tool's words, "OK" or a complaint; memory_mebibytes: all that it has.
    """

    name: str
    health: str
    memory_mebibytes: Optional[int] = None


class Listing(NamedTuple):
    """version: that of the tool, which comes with the driver."""

    version: Optional[str]
    cards: List[Card]


def listing() -> Optional[Listing]:
    """Return what the tool says now; None if it is missing, fails or takes too long."""
    output = output_of(["npu-smi", "info"])
    return None if output is None else parse(output)


def parse(output: str) -> Listing:
    """The listing in the tool's output; rows that are not understood are left out."""
    version = VERSION.search(output)
    cards: List[Card] = []
    for line in output.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        identity = cells[0].split()
        # The second row of a chip has its place on the bus here, 0000:C1:00.0, and other tables have more columns.
        named = len(cells) == 3 and len(identity) == 2 and identity[0].isdecimal()
        if named and cells[1] and ":" not in cells[1] and cells[1] not in ("NA", "N/A", "-"):
            cards.append(Card(identity[1], cells[1]))
        elif len(cells) == 3 and cards and BUS_ID.match(cells[1]) and MEMORY.search(cells[2]):
            cards[-1] = cards[-1]._replace(memory_mebibytes=int(MEMORY.findall(cells[2])[-1]))
    return Listing(version.group(1) if version else None, cards)


FIRST, A2, A3, LATER = "910", "A2", "A3", "950"
# npu-smi calls the first 910 and Atlas A3 alike in some versions; only the latter has 64 GiB.
MIN_A3_MEBIBYTES = 60000
_NAMES = ((r"910B\d", A2), (r"910(C|_\d)", A3), (r"9[2-9]\d", LATER), (r"910", FIRST))
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
