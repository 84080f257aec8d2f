"""Convert the files of a run folder to MLflow's entities: metric points, params, tags and a dataset."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from mlflow.entities import Dataset, Metric

from components.tracking.runs import TAG_LENGTH, part_of
from dualgan.run_folder import TIMING_METRICS, Event

# Limits of MLflow's REST API.
PARAM_LENGTH = 6000
DATASET_DIGEST_LENGTH = 36
SUMMARY_NUMBERS = ("min_loss", "sec_per_step", "sec_per_step_p95", "images_per_sec", "peak_memory_bytes")


def milliseconds(event: Event) -> int:
    """Return the event's own time: sent again with the same time, a metric point is stored once."""
    return int(event.get("time", 0) * 1000)


def training_key(name: str) -> str:
    """Return the key of a trainer's metric: its prefix is a section of the charts."""
    return f"time/{name}" if name in TIMING_METRICS else f"loss/{name}"


def new_points(events: Iterable[Event], last_steps: dict[str, int], key_of: Callable[[str], str]) -> Iterator[Metric]:
    """Yield the points of ``events`` that are later than ``last_steps``, which has the last step of each key.

    ``last_steps`` is kept up to date.
    """
    for event in events:
        step = event["step"]
        for name, value in event.get("metrics", {}).items():
            key = key_of(name)
            if step > last_steps.get(key, -1):
                last_steps[key] = step
                yield Metric(key, float(value), milliseconds(event), step)


def as_number(value: Any) -> float | None:
    """Return a JSON number as MLflow keeps it, None for anything else."""
    return float(value) if type(value) in (int, float) else None


def summary_points(summary: Mapping[str, Any], step: int, timestamp: int) -> Iterator[Metric]:
    """Yield ``summary/...`` at the last step: SUMMARY_NUMBERS and every final loss that was measured."""
    numbers = {name: summary.get(name) for name in SUMMARY_NUMBERS}
    final = summary.get("final_loss")
    if isinstance(final, dict):
        numbers |= {f"final_{name}": value for name, value in final.items() if name != "window"}
    for name, value in numbers.items():
        if (number := as_number(value)) is not None:
            yield Metric(f"summary/{name}", number, timestamp, step)


def params_of(options: Mapping[str, Any]) -> dict[str, str]:
    """Return the trainer's options, from its options.json."""
    values = part_of(options, "options").items()
    return {name: (value if isinstance(value, str) else json.dumps(value))[:PARAM_LENGTH] for name, value in values}


def environment_tags(options: Mapping[str, Any], runtime: str | None) -> dict[str, str]:
    """Return what ran a leg and on which data, from its options.json; what is unknown is left out."""
    environment, dataset = part_of(options, "environment"), part_of(options, "dataset")
    device = part_of(environment, "device")
    found = {
        "device": device.get("kind"),
        "device_name": device.get("name"),
        "runtime": runtime,
        **{name: environment.get(name) for name in ("tensorflow", "python", "git_commit")},
        **{name: device.get(name) for name in ("cuda", "cann", "driver")},
        "mlflow.source.git.commit": environment.get("git_commit"),
        "dataset": dataset.get("name"),
        "dataset_digest": dataset.get("digest"),
    }
    return {name: str(value)[:TAG_LENGTH] for name, value in found.items() if value is not None}


def dataset_of(options: Mapping[str, Any]) -> Dataset | None:
    """Return the dataset of an options.json, None if it is not named there."""
    description = part_of(options, "dataset")
    if not description.get("name") or not description.get("digest"):
        return None
    return Dataset(
        name=str(description["name"]),
        digest=str(description["digest"])[:DATASET_DIGEST_LENGTH],
        source_type="local",
        source=json.dumps({"uri": description.get("source")}),
        profile=json.dumps(description.get("counts") or {}),
    )
