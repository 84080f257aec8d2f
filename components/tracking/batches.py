"""Metric points in the portions that a request to MLflow may have."""

from collections.abc import Callable, Iterable, Iterator

from mlflow.entities import Metric

from components.tracking.event_reading import Event, Mark
from components.tracking.measurements import milliseconds

# Limit of MLflow's REST API, per request.
METRICS_PER_BATCH = 1000


def metric_batches(
    events: Iterable[tuple[Event, Mark]],
    start: Mark,
    last_steps: dict[str, int],
    numbers: Callable[[Event], Iterable[tuple[str, float]]],
) -> Iterator[tuple[list[Metric], Mark]]:
    """The points of ``events`` later than ``last_steps``, which is kept up to date, with the mark behind each batch.

    ``numbers`` gives an event's metrics by their keys in MLflow. The points of an event are never divided. The last
    batch may be empty: its mark is behind the last event.
    """
    batch: list[Metric] = []
    mark = start
    for event, next_mark in events:
        step = int(event["step"])
        # Without an object for each point that was sent before: of a long run there are a million.
        new = [(key, value) for key, value in numbers(event) if step > last_steps.get(key, -1)]
        if len(batch) + len(new) > METRICS_PER_BATCH:
            yield batch, mark
            batch = []
        for key, value in new:
            batch.append(Metric(key, value, milliseconds(event), step))
            last_steps[key] = step
        mark = next_mark
    yield batch, mark
