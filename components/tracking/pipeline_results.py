"""The result of a comparison at the parent run of its pipeline run."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlflow.entities import Metric
from mlflow.tracking import MlflowClient

from components.tracking.measurements import is_number
from components.tracking.runs import (
    PipelineRun,
    open_experiment,
    open_pipeline_run,
    set_missing_tags,
    settle_parent,
)
from components.tracking.saved_view import publish_view
from dualgan.errors import BadInput
from dualgan.run_folder import read_json

# At the artifact root: MLflow's page of common artifacts shows nothing that lies deeper.
ARTIFACTS = ("comparison.json", "report.html", "report.md")
IMAGE_PATTERN = "*.jpg"
TAG_LENGTH = 8000


def log_comparison(client: MlflowClient, pipeline: PipelineRun, folder: Path) -> str:
    """Log the output folder of a comparison to the pipeline's run and close that run; returns the run's id.

    ``parity/{axis}/{name}`` metrics, tags ``verdict`` and ``verdict.{axis}``, the reports and named
    images as artifacts, and the saved view that compares the legs. A repeat replaces what was there.
    BadInput where the folder has no readable comparison.json; MLflow's exceptions where the server cannot
    be reached.
    """
    comparison = _read(folder / "comparison.json")
    experiment_id = open_experiment(client, pipeline.experiment)
    parent = settle_parent(client, experiment_id, pipeline.pipeline_run_id)
    parent = parent or open_pipeline_run(client, pipeline, experiment_id)
    run_id = str(parent.info.run_id)
    timestamp = int((folder / "comparison.json").stat().st_mtime * 1000)
    # Only those that it lacks: a comparison that was handed on to another pod has another time there.
    metrics = [one for one in _metrics(comparison, timestamp) if parent.data.metrics.get(one.key) != one.value]
    if metrics:
        client.log_batch(run_id, metrics=metrics)
    for file in [folder / name for name in ARTIFACTS] + sorted(folder.glob(IMAGE_PATTERN)):
        if file.is_file():
            client.log_artifact(run_id, str(file))
    publish_view(client, experiment_id, pipeline.pipeline_run_id)
    # Last, and of them the verdict: by that a run is known to have the whole comparison.
    set_missing_tags(client, parent, dict(_tags(comparison)))
    client.set_terminated(run_id, "FINISHED")
    return run_id


def _read(file: Path) -> dict[str, Any]:
    try:
        comparison = read_json(file)
    except (OSError, ValueError) as error:
        raise BadInput(f"{file}: no comparison ({error}); it must be the output folder of a comparison") from None
    if not isinstance(comparison.get("verdict"), str) or not isinstance(comparison.get("axes"), dict):
        raise BadInput(f"{file}: no verdict and axes; it must be the output folder of a comparison")
    return comparison


def _axes(comparison: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, axis in comparison["axes"].items():
        if isinstance(axis, dict):
            yield name, axis


def _metrics(comparison: Mapping[str, Any], timestamp: int) -> Iterator[Metric]:
    """One metric a number; the candidate's name is in it only where there are several."""
    for axis_name, axis in _axes(comparison):
        numbers = axis.get("numbers")
        candidates = numbers if isinstance(numbers, dict) else {}
        for candidate, values in candidates.items():
            prefix = f"parity/{candidate}" if len(candidates) > 1 else "parity"
            for name, value in values.items() if isinstance(values, dict) else ():
                if is_number(value) and math.isfinite(value):
                    yield Metric(f"{prefix}/{axis_name}/{name}", float(value), timestamp, 0)


def _tags(comparison: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, axis in _axes(comparison):
        yield f"verdict.{name}", str(axis.get("verdict"))
        if axis.get("reason"):
            yield f"verdict.{name}.reason", str(axis["reason"])[:TAG_LENGTH]
    yield "verdict", comparison["verdict"]
