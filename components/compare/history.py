"""The losses of a run, step by step, out of events.jsonl."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dualgan.errors import BadInput
from dualgan.run_folder import LOSS_METRICS, Event, is_training_step, read_events

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LossHistory:
    """``steps`` (int64 [n], rising) and the losses that were logged (float64 [n]; NaN where a step has none).

    ``non_finite`` counts losses that are NaN or infinite, ``first_non_finite`` is the first: (step, metric).
    ``ended`` is the time of the last event, seconds since 1970.
    """

    steps: NDArray[np.int64]
    losses: Mapping[str, Floats]
    non_finite: int
    first_non_finite: tuple[int, str] | None
    ended: float | None


def read_history(path: Path) -> LossHistory:
    """Raises BadInput where the file is missing, empty or damaged. A broken last line is left out."""
    steps: list[int] = []
    rows: list[list[float]] = []
    non_finite: list[tuple[int, str]] = []
    ended: float | None = None
    try:
        for event in read_events(path):
            ended = event.get("time", ended)
            if is_training_step(event):
                losses = _losses(event)
                non_finite += [(event["step"], name) for name in losses if not math.isfinite(losses[name])]
                steps.append(int(event["step"]))
                rows.append([losses.get(name, math.nan) for name in LOSS_METRICS])
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; is {path.parent} the folder of a training run?") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise BadInput(f"{path}: truncated or damaged ({error}); train the leg anew") from None
    if ended is None:
        raise BadInput(f"{path}: truncated: it holds no event; train the leg anew")
    return _history(steps, rows, non_finite, ended)


def _losses(event: Event) -> dict[str, float]:
    metrics = event["metrics"]
    found = {name: metrics[name] for name in LOSS_METRICS if name in metrics}
    return {name: math.nan if value is None else float(value) for name, value in found.items()}


def _history(steps: list[int], rows: list[list[float]], non_finite: list[tuple[int, str]], ended: float) -> LossHistory:
    table = np.asarray(rows, dtype=np.float64).reshape(len(rows), len(LOSS_METRICS))
    # A resumed run repeats the steps after its last checkpoint: the later run of a step counts.
    kept_steps, from_the_end = np.unique(np.asarray(steps, dtype=np.int64)[::-1], return_index=True)
    table = table[len(rows) - 1 - from_the_end] if rows else table
    losses = {name: table[:, column] for column, name in enumerate(LOSS_METRICS)}
    logged = {name: values for name, values in losses.items() if not np.isnan(values).all()}
    return LossHistory(kept_steps, logged, len(non_finite), non_finite[0] if non_finite else None, ended)
