"""The losses of a run, step by step, out of events.jsonl; read line by line, for it may have 100,000."""

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dualgan.errors import BadInput
from dualgan.run_folder import LOSS_METRICS, NETWORKS, Event, is_training_step, read_events
from dualgan.summary import WARM_UP_STEPS

Floats = NDArray[np.float64]
# Of a row: losses, norms of updates, seconds, whether it is a steady step.
COLUMNS = len(LOSS_METRICS) + len(NETWORKS) + 2


@dataclass(frozen=True)
class LossHistory:
    """What a run logged, by training step; of a step that was repeated after resuming the later run counts.

    Attributes:
        steps: int64 [n], rising.
        losses: By metric, float64 [n]; NaN if a step has none. Metrics that no step has are left out.
        seconds: What each step took, float64 [n]; NaN if it was not logged.
        steady: bool [n]; false for the first steps of a process, which compile kernels.
        feed: The signature of what each step was fed, float32 [n, k], k even; NaN if a step has none, None if no step
            has one.
        update_norms: How far each step moved each of NETWORKS, float64 [n, 4]; NaN if it was not logged.
        non_finite: How many losses are NaN or infinite.
        first_non_finite: The first of them: (step, metric).
        started: The time of the first event, seconds since 1970.
        ended: That of the last event.
    """

    steps: NDArray[np.int64]
    losses: Mapping[str, Floats]
    seconds: Floats
    steady: NDArray[np.bool_]
    feed: NDArray[np.float32] | None
    update_norms: Floats
    non_finite: int
    first_non_finite: tuple[int, str] | None
    started: float | None
    ended: float | None


def read_history(path: Path) -> LossHistory:
    """Read events.jsonl. Raises BadInput if it is missing, empty or damaged; a broken last line is left out."""
    # Rows of COLUMNS numbers, and which row is the last one of a step.
    numbers, rows = array("d"), dict[int, int]()
    feeds: dict[int, Sequence[float]] = {}
    non_finite, first_non_finite, of_process = 0, None, 0
    started: float | None = None
    ended: float | None = None
    if not path.is_file():
        raise BadInput(f"{path}: no such file; is {path.parent} the folder of a training run?")
    try:
        for event in read_events(path):
            ended = event.get("time", ended)
            started = ended if started is None else started
            if event.get("type") in ("started", "resumed"):
                of_process = 0
            elif is_training_step(event):
                step, metrics = event["step"], event["metrics"]
                broken = [name for name in LOSS_METRICS if name in metrics and not math.isfinite(metrics[name])]
                if broken:
                    non_finite += len(broken)
                    first_non_finite = first_non_finite or (step, broken[0])
                of_process += 1
                rows[step] = len(numbers) // COLUMNS
                numbers.extend(_row(event, of_process > WARM_UP_STEPS))
                if event.get("feed"):
                    feeds[step] = array("f", event["feed"])
        steps = sorted(rows)
        feed = _feed([feeds.get(step, ()) for step in steps]) if feeds else None
    except ValueError as error:
        raise BadInput(f"{path}: truncated or damaged ({error}); train the leg anew") from None
    if ended is None:
        raise BadInput(f"{path}: truncated: it holds no event; train the leg anew")
    table = np.asarray(numbers).reshape(-1, COLUMNS)[np.array([rows[step] for step in steps], dtype=np.int64)]
    losses, norms, seconds, steady = np.split(table, np.cumsum([len(LOSS_METRICS), len(NETWORKS), 1]), axis=1)
    by_metric = zip(LOSS_METRICS, losses.T.copy(), strict=True)
    return LossHistory(
        steps=np.array(steps, dtype=np.int64),
        losses={name: values for name, values in by_metric if not np.isnan(values).all()},
        seconds=seconds.ravel(),
        steady=steady.ravel() > 0,
        feed=feed,
        update_norms=norms.copy(),
        non_finite=non_finite,
        first_non_finite=first_non_finite,
        started=started,
        ended=ended,
    )


def _row(event: Event, steady: bool) -> list[float]:
    metrics, norms = event["metrics"], event.get("update_norms", {})
    losses = [metrics.get(name, math.nan) for name in LOSS_METRICS]
    return [*losses, *(norms.get(name, math.nan) for name in NETWORKS), event.get("seconds", math.nan), steady]


def _feed(signatures: Sequence[Sequence[float]]) -> NDArray[np.float32]:
    widths = sorted({len(signature) for signature in signatures if signature})
    if len(widths) > 1 or widths[0] % 2:
        raise ValueError(f"feed signatures have {' and '.join(map(str, widths[:2]))} numbers, not one even number of")
    return np.array([signature or [math.nan] * widths[0] for signature in signatures], dtype=np.float32)
