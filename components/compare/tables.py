"""The tables of the report: what each leg reached, over its runs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from components.common.html import memory, number
from components.compare.axes.training import final_window
from components.compare.energy import energy_joules
from components.compare.leg import LegRun, LegRuns
from components.compare.records import Summary


@dataclass(frozen=True)
class Row:
    """``cells``: one a leg, "–" where it was not measured, "mean ± deviation" over several runs."""

    label: str
    note: str
    cells: tuple[str, ...]


def number_rows(legs: Sequence[LegRuns]) -> list[Row]:
    """Losses, speed, memory and time of each leg."""
    window = final_window(legs[0].first.history)
    rows = [
        _row(legs, "min loss", "lowest A_loss of a single step: flatters", lambda summary: summary.min_loss),
        _row(legs, "final A_loss", f"mean over the last {window} steps", lambda summary: _final(summary, "A_loss")),
        _row(legs, "final B_loss", f"mean over the last {window} steps", lambda summary: _final(summary, "B_loss")),
        _row(legs, "sec/step, median", "", lambda summary: summary.sec_per_step),
        _row(legs, "sec/step, p95", "", lambda summary: summary.sec_per_step_p95),
        _row(legs, "images/s", "", lambda summary: summary.images_per_sec),
        _row(legs, "steps", "", lambda summary: summary.steps),
        _row(legs, "epochs", "", lambda summary: summary.epochs),
        Row("peak memory", "", tuple(_memory(leg) for leg in legs)),
        Row("energy, J", "of the accelerators", tuple(_cell([energy_joules(run) for run in leg.runs]) for leg in legs)),
    ]
    for part in ("total", "training", "waiting_for_data", "checkpointing", "sampling"):
        rows.append(_row(legs, f"seconds, {part.replace('_', ' ')}", "", _seconds(part)))
    return rows


def summary_cell(leg: LegRuns, value: Callable[[Summary], float | int | None]) -> str:
    """One number of a leg's summaries, with its deviation over several runs."""
    return _cell([value(run.summary) if run.summary else None for run in leg.runs])


def recorded_cell(recorded: Mapping[str, float], name: str) -> str:
    return number(recorded.get(name))


def _row(legs: Sequence[LegRuns], label: str, note: str, value: Callable[[Summary], float | int | None]) -> Row:
    return Row(label, note, tuple(summary_cell(leg, value) for leg in legs))


def _seconds(part: str) -> Callable[[Summary], float | None]:
    return lambda summary: (summary.time or {}).get(part)


def _final(summary: Summary, metric: str) -> float | None:
    found: float | None = getattr(summary.final_loss, metric) if summary.final_loss else None
    return found


def _cell(values: Sequence[float | int | None]) -> str:
    known = [value for value in values if value is not None]
    if len(known) < len(values) or not known:
        return number(None)
    if len(set(known)) == 1:
        return number(known[0])
    return f"{number(float(np.mean(known)))} ± {float(np.std(known, ddof=1)):.2g}"


def _memory(leg: LegRuns) -> str:
    sizes = [_peak(run) for run in leg.runs]
    known = [size for size in sizes if size is not None]
    return memory(max(known) if known else None)


def _peak(run: LegRun) -> int | None:
    return run.summary.peak_memory_bytes if run.summary else None
