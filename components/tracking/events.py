"""Events of a run folder as metric points of MLflow, read while the trainer appends to them or rewrites their end."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from mlflow.entities import Metric
from pydantic import BaseModel, Field, ValidationError

from dualgan.errors import BadInput
from dualgan.run_folder import TIMING_METRICS

# Limit of MLflow's REST API, per request.
METRICS_PER_BATCH = 1000
MAX_LINE_BYTES = 1 << 20
SUMMARY_NUMBERS = ("min_loss", "sec_per_step", "sec_per_step_p95", "images_per_sec", "peak_memory_bytes")

# MLflow keeps both as 64-bit integers, the time in milliseconds.
Step = Annotated[int, Field(ge=0, lt=2**53)]
Time = Annotated[float, Field(ge=0, lt=1e12, allow_inf_nan=False)]


class Event(BaseModel):
    """A line of events.jsonl, as far as MLflow gets it. ``time`` is in seconds since 1970."""

    step: Step
    time: Time
    type: str | None = None
    metrics: dict[str, Any] | None = None

    @property
    def milliseconds(self) -> int:
        """The event's own time: sent again with the same time, a metric point is stored once."""
        return int(self.time * 1000)


class Mark(NamedTuple):
    """How far a file was read: the position in bytes, and the line that ends there."""

    position: int = 0
    line: bytes = b""


START = Mark()


def events_after(path: Path, mark: Mark) -> Iterator[tuple[Event, Mark]]:
    """Yield the whole lines after ``mark``, each with the mark behind it; all lines if the file was rewritten.

    Nothing comes of a file that is missing.

    Raises:
        BadInput: A line is no event with a step and a time.
    """
    if not path.is_file():
        return
    with path.open("rb") as file:
        file.seek(mark.position - len(mark.line))
        position = mark.position if file.read(len(mark.line)) == mark.line else 0
        file.seek(position)
        while line := file.readline(MAX_LINE_BYTES):
            if not line.endswith(b"\n") and len(line) < MAX_LINE_BYTES:
                return
            try:
                event = Event.model_validate_json(line)
            except ValidationError:
                raise BadInput(f"{path}: the line at byte {position} is no event with a step and a time") from None
            position += len(line)
            yield event, Mark(position, line)


def metric_batches(
    events: Iterable[tuple[Event, Mark]],
    start: Mark,
    last_steps: dict[str, int],
    key_of: Callable[[str], str],
) -> Iterator[tuple[list[Metric], Mark]]:
    """Yield the points of ``events`` in portions that a request may have, each with the mark behind it.

    The points of an event are never divided. The last portion may be empty: its mark is behind the last event.

    Args:
        events: With the mark behind each.
        start: The mark before the first.
        last_steps: The last step that MLflow has of each key; earlier points are left out. It is kept up to date.
        key_of: Gives a metric's key in MLflow.
    """
    batch: list[Metric] = []
    mark = start
    for event, next_mark in events:
        # Without an object for each point that was sent before: of a long run there are a million.
        new = [
            (key, number)
            for name, value in (event.metrics or {}).items()
            if event.step > last_steps.get(key := key_of(name), -1) and (number := as_number(value)) is not None
        ]
        if len(batch) + len(new) > METRICS_PER_BATCH:
            yield batch, mark
            batch = []
        for key, number in new[:METRICS_PER_BATCH]:
            batch.append(Metric(key, number, event.milliseconds, event.step))
            last_steps[key] = event.step
        mark = next_mark
    yield batch, mark


def training_key(name: str) -> str:
    """Return the key of a trainer's metric: its prefix is a section of the charts."""
    return f"time/{name}" if name in TIMING_METRICS else f"loss/{name}"


def system_key(name: str) -> str:
    """Return the key of a system metric: MLflow's page of a run shows these apart."""
    return f"system/{name}"


def as_number(value: object) -> float | None:
    """Return a JSON number as MLflow keeps it, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def summary_metrics(summary: Mapping[str, Any], step: int, timestamp: int) -> Iterator[Metric]:
    """Yield ``summary/...`` at the last step: SUMMARY_NUMBERS and every final loss that was measured."""
    numbers = {name: summary.get(name) for name in SUMMARY_NUMBERS}
    final = summary.get("final_loss")
    if isinstance(final, dict):
        numbers |= {f"final_{name}": value for name, value in final.items() if name != "window"}
    for name, value in numbers.items():
        if (number := as_number(value)) is not None:
            yield Metric(f"summary/{name}", number, timestamp, step)
