"""What `npu-smi info` says of Ascend NPUs, under names like those that MLflow gives to a GPU's metrics.

Its table has two rows a chip under two rows of column names, which differ between versions:

    | NPU   Name    | Health        | Power(W)    Temp(C)           Hugepages-Usage(page) |
    | Chip          | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)         |
    | 0     910B3   | OK            | 93.2        46                0    / 0              |
    | 0             | 0000:C1:00.0  | 27          0    / 0          3335 / 65536          |

What is not understood is left out: a number that is missing is better than a training that knows no metrics at all.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

PROGRAM = "npu-smi"
SECONDS = 10.0
VALUE = re.compile(r"\S+\s*/\s*\S+|\S+")
# MLflow's megabyte is a million bytes, the tool's is 2**20.
MEGABYTES = 2**20 / 1e6

Columns = Mapping[str, str]


@dataclass
class _Table:
    """What was read so far: the names of the columns, and the first of a chip's two rows."""

    npu_columns: list[str] = field(default_factory=list)
    chip_columns: list[str] = field(default_factory=list)
    chip_identity: list[str] = field(default_factory=list)
    npu: str = ""
    npu_values: Columns = field(default_factory=dict)


def npu_metrics() -> dict[str, float]:
    """The metrics of every NPU of this machine now. Raises OSError or subprocess.SubprocessError where it cannot."""
    answer = subprocess.run([PROGRAM, "info"], capture_output=True, text=True, timeout=SECONDS, check=True)
    return parse(answer.stdout)


def is_installed() -> bool:
    return shutil.which(PROGRAM) is not None


def parse(output: str) -> dict[str, float]:
    """``npu_{number}_{utilization_percentage, memory_usage_megabytes, ...}`` of the output of `npu-smi info`.

    Units: percent, MB (a million bytes), watts, degrees Celsius. {} where nothing was understood.
    """
    metrics: dict[str, float] = {}
    table = _Table()
    for line in output.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == 3:
            metrics.update(_row(table, *cells))
    return metrics


def _row(table: _Table, identity: str, state: str, values: str) -> Iterator[tuple[str, float]]:
    first, *others = identity.split() or [""]
    if first == "NPU":
        table.npu_columns = values.split()
    elif first == "Chip":
        table.chip_columns, table.chip_identity = values.split(), [first, *others]
    elif not first.isdecimal():
        return
    elif _is_place(state):
        yield from _chip(table, [first, *others], values)
        table.npu = ""
    else:
        table.npu, table.npu_values = first, _named(table.npu_columns, values)


def _is_place(state: str) -> bool:
    """Whether a row's middle cell is the place on the bus; else it is a state of health."""
    return ":" in state or state.upper() in ("NA", "N/A", "-")


def _named(columns: list[str], values: str) -> Columns:
    found = VALUE.findall(values)
    return dict(zip(columns, found, strict=True)) if len(found) == len(columns) else {}


def _chip(table: _Table, identity: list[str], values: str) -> Iterator[tuple[str, float]]:
    if not table.npu:
        return
    named = {**table.npu_values, **_named(table.chip_columns, values)}
    prefix = f"npu_{_number(table, identity)}"
    for column, name in (
        ("AICore(%)", "utilization_percentage"),
        ("Power(W)", "power_usage_watts"),
        ("Temp(C)", "temperature_celsius"),
    ):
        value = _float(named.get(column, ""))
        if value is not None:
            yield f"{prefix}_{name}", value
    used, total = _memory(named)
    if total:
        yield f"{prefix}_memory_usage_megabytes", round(used * MEGABYTES, 1)
        yield f"{prefix}_memory_usage_percentage", round(100 * used / total, 1)


def _number(table: _Table, identity: list[str]) -> str:
    """The number that a program chooses a device by: that of the device where there is a column, else of the NPU."""
    if len(identity) == 2 and len(table.chip_identity) == 2:
        return identity[1]
    return table.npu if identity[0] == "0" else f"{table.npu}_{identity[0]}"


def _memory(named: Columns) -> tuple[float, float]:
    """Used and total memory in the tool's megabytes: of the HBM where the chip has one."""
    for column in ("HBM-Usage(MB)", "Memory-Usage(MB)"):
        used, _, total = (_float(part) for part in named.get(column, "").partition("/"))
        if used is not None and total:
            return used, total
    return 0.0, 0.0


def _float(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\s*\d+(\.\d+)?\s*", text) else None
