"""The losses of a run, step by step, out of events.jsonl; read line by line, for it may have 100,000."""

import math
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json

from dualgan.errors import BadInput
from dualgan.run_folder import LOSS_METRICS, NETWORKS, is_training_step
from dualgan.summary import WARM_UP_STEPS

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LossHistory:
    """What a run logged, by training step: ``steps`` int64 [n], rising.

    ``losses``: float64 [n] each, NaN where a step has none. ``seconds``: what each step took, float64 [n], NaN where it
    was not logged; ``steady`` (bool [n]) is false for the first steps of a process, which compile kernels. ``feed``:
    the signature of what each step was fed, float32 [n, k], None where the run has none. ``update_norms``: how far each
    step moved each of NETWORKS, float64 [n, 4], NaN where it was not logged. ``non_finite`` counts losses
    that are NaN or infinite, ``first_non_finite`` is the first: (step, metric). ``started`` and ``ended`` are the times
    of the first and last event, seconds since 1970.
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


@dataclass
class _Rows:
    """The training steps in the order of the file, with nothing but numbers in memory."""

    steps: "array[int]" = field(default_factory=lambda: array("q"))
    losses: "array[float]" = field(default_factory=lambda: array("d"))
    seconds: "array[float]" = field(default_factory=lambda: array("d"))
    steady: "array[int]" = field(default_factory=lambda: array("b"))
    feed: "array[float]" = field(default_factory=lambda: array("f"))
    norms: "array[float]" = field(default_factory=lambda: array("d"))
    fed_rows: "array[int]" = field(default_factory=lambda: array("q"))
    feed_width: int = 0
    non_finite: int = 0
    first_non_finite: tuple[int, str] | None = None
    of_process: int = 0

    def add(self, event: Mapping[str, Any]) -> None:
        step, metrics = int(event["step"]), event["metrics"]
        for name in LOSS_METRICS:
            present = name in metrics
            value = metrics[name] if present else None
            number = math.nan if value is None else float(value)
            if present and not math.isfinite(number):
                self.non_finite += 1
                self.first_non_finite = self.first_non_finite or (step, name)
            self.losses.append(number)
        self.of_process += 1
        self.steps.append(step)
        seconds = event.get("seconds")
        self.seconds.append(math.nan if seconds is None else seconds)
        self.steady.append(self.of_process > WARM_UP_STEPS)
        norms = event.get("update_norms") or {}
        self.norms.extend(float(norms.get(network, math.nan)) for network in NETWORKS)
        self._add_feed(event.get("feed"))

    def _add_feed(self, signature: list[float] | None) -> None:
        if signature is None:
            return
        self.feed_width = self.feed_width or len(signature)
        if len(signature) != self.feed_width:
            raise ValueError(f"the feed signature has {len(signature)} numbers, before it had {self.feed_width}")
        self.fed_rows.append(len(self.steps) - 1)
        self.feed.extend(signature)

    def history(self, started: float | None, ended: float | None) -> LossHistory:
        # A resumed run repeats the steps after its last checkpoint: the later run of a step counts.
        count = len(self.steps)
        kept_steps, from_the_end = np.unique(np.asarray(self.steps, dtype=np.int64)[::-1], return_index=True)
        kept = count - 1 - from_the_end
        table = np.asarray(self.losses, dtype=np.float64).reshape(count, len(LOSS_METRICS))[kept]
        losses = {name: np.ascontiguousarray(table[:, column]) for column, name in enumerate(LOSS_METRICS)}
        feed = None
        if self.feed_width:
            feed = np.full((count, self.feed_width), np.nan, dtype=np.float32)
            feed[np.asarray(self.fed_rows)] = np.asarray(self.feed).reshape(-1, self.feed_width)
            feed = feed[kept]
        return LossHistory(
            steps=kept_steps,
            losses={name: values for name, values in losses.items() if not np.isnan(values).all()},
            seconds=np.asarray(self.seconds, dtype=np.float64)[kept],
            steady=np.asarray(self.steady, dtype=np.bool_)[kept],
            feed=feed,
            update_norms=np.asarray(self.norms, dtype=np.float64).reshape(count, len(NETWORKS))[kept],
            non_finite=self.non_finite,
            first_non_finite=self.first_non_finite,
            started=started,
            ended=ended,
        )


def read_history(path: Path) -> LossHistory:
    """Raises BadInput where the file is missing, empty or damaged. A broken last line is left out."""
    rows = _Rows()
    started: float | None = None
    ended: float | None = None
    try:
        for event in _events(path):
            ended = event.get("time", ended)
            started = ended if started is None else started
            if event.get("type") in ("started", "resumed"):
                rows.of_process = 0
            elif is_training_step(event):
                rows.add(event)
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; is {path.parent} the folder of a training run?") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise BadInput(f"{path}: truncated or damaged ({error}); train the leg anew") from None
    if ended is None:
        raise BadInput(f"{path}: truncated: it holds no event; train the leg anew")
    return rows.history(started, ended)


def _events(path: Path) -> Iterator[dict[str, Any]]:
    """As dualgan.run_folder.read_events, by a parser that is several times as fast."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            try:
                event = from_json(line)
            except ValueError as error:
                raise ValueError(f"{path}:{number}: not a JSON object: {error}") from None
            if not isinstance(event, dict) or "step" not in event:
                raise ValueError(f"{path}:{number}: not an event: it has no step")
            yield event
