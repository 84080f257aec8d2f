"""The NPUs of this machine as `npu-smi info` lists them, and what they do.

Two rows a chip under two rows of column names, which differ between versions; the first names it and says whether it is
well, the second has its place on the bus and ends with the memory in use and in all:

    | npu-smi 21.0.2                       Version: 21.0.2                                |
    | NPU   Name    | Health        | Power(W)    Temp(C)           Hugepages-Usage(page) |
    | Chip          | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)         |
    | 0     910B3   | OK            | 93.2        46                0    / 0              |
    | 0             | 0000:C1:00.0  | 27          0    / 0          3335 / 65536          |

What is not understood is left out: a number that is missing is better than a training that knows none at all.
"""

import re
from typing import Dict, List, NamedTuple, Optional

from dualgan.environment import output_of

VERSION = re.compile(r"npu-smi\s+(\S+)")
_VALUE = re.compile(r"\S+\s*/\s*\S+|\S+")
_NUMBER = re.compile(r"\d+(\.\d+)?")
_MEMORY = re.compile(r"(\d+)\s*/\s*(\d+)")
# MLflow's megabyte is a million bytes, the tool's is 2**20.
_MEGABYTES = 2**20 / 1e6
_MEASURED = {
    "AICore(%)": "utilization_percentage",
    "Power(W)": "power_usage_watts",
    "Temp(C)": "temperature_celsius",
}
# Of the HBM if the chip has one.
_MEMORY_COLUMNS = ("HBM-Usage(MB)", "Memory-Usage(MB)")


class Card(NamedTuple):
    """A chip.

    name: such as "910A"; health: in the tool's words, "OK" or a complaint; memory_mebibytes: all that it has;
    number: what a program chooses it by; values: what it does now, by the names that MLflow gives those of a GPU, in
    percent, MB (a million bytes), watts and degrees Celsius.
    """

    name: str
    health: str
    memory_mebibytes: Optional[int] = None
    number: str = "0"
    values: Dict[str, float] = {}  # noqa: RUF012 - never changed


class Listing(NamedTuple):
    """version: that of the tool, which comes with the driver."""

    version: Optional[str]
    cards: List[Card]


def listing() -> Listing:
    """Return what the tool says now; nothing if it is missing, fails or takes too long."""
    return parse(output_of(["npu-smi", "info"]) or "")


def metrics() -> Dict[str, float]:
    """Return what every NPU of this machine does now, as ``npu_{number}_{name}``; {} if the tool does not say."""
    return {f"npu_{card.number}_{name}": value for card in listing().cards for name, value in card.values.items()}


def parse(output: str) -> Listing:
    """Return the listing in the tool's output; rows that are not understood are left out."""
    version = VERSION.search(output)
    cards: List[Card] = []
    npu_columns: List[str] = []
    chip_columns: List[str] = []
    npu_values: Optional[str] = None
    has_devices = False
    for line in output.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        identity = cells[0].split()
        if len(cells) != 3 or not identity:
            continue
        is_place = ":" in cells[1] or cells[1].upper() in ("NA", "N/A", "-")
        if identity[0] == "NPU":
            npu_columns = cells[2].split()
        elif identity[0] == "Chip":
            chip_columns, has_devices = cells[2].split(), len(identity) == 2
        elif identity[0].isdecimal() and not is_place:
            npu_values = None
            if len(identity) == 2 and cells[1]:
                cards.append(Card(identity[1], cells[1], number=identity[0]))
                npu_values = cells[2]
        elif identity[0].isdecimal() and npu_values is not None:
            named = {**_named(npu_columns, npu_values), **_named(chip_columns, cells[2])}
            memory, npu = _MEMORY.findall(cells[2]), cards[-1].number
            number = npu if identity[0] == "0" else f"{npu}_{identity[0]}"
            cards[-1] = cards[-1]._replace(
                memory_mebibytes=int(memory[-1][1]) if memory else None,
                number=identity[1] if has_devices and len(identity) == 2 else number,
                values=_values(named),
            )
            npu_values = None
    return Listing(version.group(1) if version else None, cards)


def _named(columns: List[str], values: str) -> Dict[str, str]:
    found = _VALUE.findall(values)
    return dict(zip(columns, found)) if len(found) == len(columns) else {}


def _values(named: Dict[str, str]) -> Dict[str, float]:
    """The values of a chip, by MLflow's names; ``named``: what the tool wrote, by its columns."""
    numbers = {_MEASURED[column]: text for column, text in named.items() if column in _MEASURED}
    found = {name: float(text) for name, text in numbers.items() if _NUMBER.fullmatch(text)}
    memories = [_MEMORY.fullmatch(named.get(column, "")) for column in _MEMORY_COLUMNS]
    used, total = next((map(int, memory.groups()) for memory in memories if memory and int(memory.group(2))), (0, 0))
    if total:
        found["memory_usage_megabytes"] = round(used * _MEGABYTES, 1)
        found["memory_usage_percentage"] = round(100 * used / total, 1)
    return found
