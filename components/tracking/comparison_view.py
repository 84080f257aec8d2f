"""A comparison in MLflow: its result at the parent run, and one link that opens curves and images of all legs.

The link opens a saved view of MLflow's user interface: an experiment tag that holds the page's state. That is state of
the user interface of mlflow 3.17 and no documented contract: a test opens it in a browser, and links.comparison_url
needs no view.
"""

import base64
import json
import math
import time
import uuid
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlflow.entities import Metric, Run
from mlflow.tracking import MlflowClient
from pydantic import BaseModel, ValidationError

from components.tracking.events import as_number
from components.tracking.images import key_and_step, stored_images
from components.tracking.links import FLAT_ORDER
from components.tracking.runs import (
    TAG_LENGTH,
    PipelineRun,
    leg_filter,
    leg_runs,
    open_experiment,
    open_pipeline_run,
    set_missing_tags,
    settle_parent,
)
from dualgan.errors import BadInput
from dualgan.json_files import read_json

# At the artifact root: MLflow's page of common artifacts shows nothing that lies deeper.
ARTIFACTS = ("comparison.json", "report.html", "report.md")
IMAGE_PATTERN = "*.jpg"
# Before a candidate's name: the tag of its verdict.
CANDIDATE = "candidate."
WORST_FIRST = ("fail", "inconclusive", "pass")

VIEW_TAG_PREFIX = "mlflow.sharedViewState."
CURVES = ("loss/A_loss", "loss/B_loss", "time/sec_per_step")
SMOOTHING_PERCENT = 60
IMAGE_ROWS = 6
IMAGE_KINDS = ("real_A", "A2B", "A2B2A", "real_B", "B2A", "B2A2B")


class _Axis(BaseModel):
    verdict: str | None = None
    reason: str | None = None
    numbers: dict[str, dict[str, Any]] | None = None


class _Comparison(BaseModel):
    """What MLflow gets of comparison.json."""

    verdict: str
    axes: dict[str, _Axis]
    candidates: list[str] = []


def log_comparison(client: MlflowClient, pipeline: PipelineRun, folder: Path) -> str:
    """Log the output folder of a comparison to the pipeline's run, and end that run.

    It gets ``parity/{axis}/{name}`` metrics, tags ``verdict`` and ``verdict.{axis}``, the reports and named images as
    artifacts, and the saved view that compares the legs. A repeat replaces what was there.

    Returns:
        The run's id.

    Raises:
        BadInput: The folder has no readable comparison.json.
        MlflowException: The server cannot be reached, or refuses.
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
    set_missing_tags(client, parent, dict(_tags(comparison, client.get_run(run_id).data.tags)))
    client.set_terminated(run_id, "FINISHED")
    return run_id


def _read(file: Path) -> _Comparison:
    advice = "it must be the output folder of a comparison"
    try:
        return _Comparison.model_validate(read_json(file))
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        raise BadInput(f"{file}: no comparison ({place}: {error.errors()[0]['msg']}); {advice}") from None
    except (OSError, ValueError) as error:
        raise BadInput(f"{file}: no comparison ({error}); {advice}") from None


def _metrics(comparison: _Comparison, timestamp: int) -> Iterator[Metric]:
    """Yield one metric a number; the candidate's name is in it only if there are several."""
    for axis_name, axis in comparison.axes.items():
        candidates = axis.numbers or {}
        for candidate, values in candidates.items():
            prefix = f"parity/{candidate}" if len(candidates) > 1 else "parity"
            for name, value in values.items():
                number = as_number(value)
                if number is not None and math.isfinite(number):
                    yield Metric(f"{prefix}/{axis_name}/{name}", number, timestamp, 0)


def _tags(comparison: _Comparison, known: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield tags; ``known`` are the run's: of several comparisons, each of a candidate, the worst verdict decides."""
    for name, axis in comparison.axes.items():
        yield f"verdict.{name}", str(axis.verdict)
        if axis.reason:
            yield f"verdict.{name}.reason", axis.reason[:TAG_LENGTH]
    own = {f"{CANDIDATE}{name}": comparison.verdict for name in comparison.candidates}
    yield from own.items()
    others = [verdict for name, verdict in known.items() if name.startswith(CANDIDATE) and name not in own]
    found = {comparison.verdict, *others}
    yield "verdict", next((verdict for verdict in WORST_FIRST if verdict in found), comparison.verdict)


def view_key(pipeline_run_id: str) -> str:
    """Return the key of a pipeline run's view, for links.view_url."""
    return uuid.uuid5(uuid.NAMESPACE_OID, f"comparison/{pipeline_run_id}").hex


def has_view(client: MlflowClient, experiment_id: str, pipeline_run_id: str) -> bool:
    """Return whether the experiment has the view of a pipeline run."""
    return VIEW_TAG_PREFIX + view_key(pipeline_run_id) in client.get_experiment(experiment_id).tags


def publish_view(client: MlflowClient, experiment_id: str, pipeline_run_id: str) -> str:
    """Save or renew the view of a pipeline run that compares its legs; return its key."""
    keys, step = _common_images(client, leg_runs(client, experiment_id, pipeline_run_id))
    now = int(time.time() * 1000)
    state = json.dumps(_state(pipeline_run_id, keys, step)).encode()
    key = view_key(pipeline_run_id)
    view = {
        "name": f"Legs of {pipeline_run_id}",
        "createdAt": now,
        "updatedAt": now,
        "state": "deflate;" + base64.b64encode(zlib.compress(state)).decode(),
    }
    client.set_experiment_tag(experiment_id, VIEW_TAG_PREFIX + key, json.dumps(view))
    return key


def _common_images(client: MlflowClient, legs: Sequence[Run]) -> tuple[list[str], int]:
    """Return the image keys of the last step that all legs have: every kind of the first validation image."""
    places = [set(stored_images(client, leg.info.run_id)) for leg in legs]
    common = [key_and_step(place) for place in set.intersection(*places)] if places else []
    if not common:
        return [], 0
    last = max(step for _, step in common)
    keys = {key for key, step in common if step == last}
    images = sorted({key.partition("/")[2] for key in keys})
    ordered = [f"{kind}/{image}" for image in images for kind in IMAGE_KINDS]
    return [key for key in ordered if key in keys][:IMAGE_ROWS], last


def _state(pipeline_run_id: str, image_keys: Sequence[str], step: int) -> dict[str, Any]:
    curves = _section("Curves", columns=len(CURVES), card_height=360)
    images = _section("Images", columns=1, card_height=900)
    charts = [_line_chart(metric, curves["uuid"]) for metric in CURVES]
    sections = [curves]
    if image_keys:
        grid = {"imageKeys": list(image_keys), "step": step, "showRunParams": False}
        charts.append(_chart("IMAGE", "Images", images["uuid"]) | grid)
        sections.append(images)
    return {
        "searchFilter": leg_filter(pipeline_run_id),
        **FLAT_ORDER,
        "compareRunCharts": charts,
        "compareRunSections": sections,
        "isAccordionReordered": True,
        "runsHiddenMode": "FIRST_20_RUNS",
        "hideEmptyCharts": True,
    }


def _section(name: str, columns: int, card_height: int) -> dict[str, Any]:
    return {
        "uuid": uuid.uuid5(uuid.NAMESPACE_OID, f"section/{name}").hex,
        "name": name,
        "display": True,
        "isReordered": True,
        "deleted": False,
        "isGenerated": False,
        "columns": columns,
        "cardHeight": card_height,
    }


def _chart(kind: str, name: str, section: str) -> dict[str, Any]:
    return {
        "uuid": uuid.uuid5(uuid.NAMESPACE_OID, f"chart/{name}").hex,
        "type": kind,
        "metricSectionId": section,
        "deleted": False,
        "isGenerated": False,
        "displayName": name,
        "runsCountToCompare": 10,
    }


def _line_chart(metric: str, section: str) -> dict[str, Any]:
    return _chart("LINE", metric, section) | {
        "metricKey": metric,
        "selectedMetricKeys": [metric],
        "lineSmoothness": SMOOTHING_PERCENT,
        "useGlobalLineSmoothing": False,
        "useGlobalXaxisKey": True,
        "xAxisKey": "step",
        "yAxisKey": "metric",
        "yAxisExpressions": [],
        "scaleType": "linear",
        "xAxisScaleType": "linear",
        "range": {},
        "ignoreOutliers": False,
    }
