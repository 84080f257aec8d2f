"""The metrics of a run folder under their names in MLflow, where a prefix is a section of the charts."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

from mlflow.entities import Metric

from components.tracking.event_reading import Event
from dualgan.run_folder import TIMING_METRICS

SUMMARY_NUMBERS = ("min_loss", "sec_per_step", "sec_per_step_p95", "images_per_sec", "peak_memory_bytes")


def metric_key(name: str) -> str:
    return f"time/{name}" if name in TIMING_METRICS else f"loss/{name}"


def is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def milliseconds(event: Event) -> int:
    """The event's own time: sent again with the same time, a metric point is stored once."""
    return int(event["time"] * 1000)


def event_metrics(event: Event) -> Iterator[tuple[str, float]]:
    for name, value in (event.get("metrics") or {}).items():
        if is_number(value):
            yield metric_key(name), float(value)


def system_metrics(event: Event) -> Iterator[tuple[str, float]]:
    """``system/...``: the prefix of what MLflow's page of a run shows as system metrics."""
    for name, value in (event.get("metrics") or {}).items():
        if is_number(value):
            yield f"system/{name}", float(value)


def summary_metrics(summary: Mapping[str, Any], timestamp: int) -> Iterator[Metric]:
    """``summary/...`` at the last step: SUMMARY_NUMBERS and every final loss that was measured."""
    numbers = {name: summary.get(name) for name in SUMMARY_NUMBERS}
    final = summary.get("final_loss") or {}
    numbers |= {f"final_{name}": value for name, value in final.items() if name != "window"}
    for name, value in numbers.items():
        if is_number(value):
            yield Metric(f"summary/{name}", float(value), timestamp, int(summary.get("steps") or 0))
