"""A comparison in MLflow: its result at the parent run, and one link that opens curves and images of all legs.

The link opens a saved view of MLflow's user interface: an experiment tag that holds the page's state. That is state of
the user interface of mlflow 3.17 and no documented contract: a test opens it in a browser, and ui.comparison_url needs
no view.
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

from components.tracking.entities import as_number
from components.tracking.images import key_and_step, stored_images
from components.tracking.runs import (
    FINISHED,
    TAG_LENGTH,
    PipelineRun,
    leg_filter,
    leg_runs,
    open_experiment,
    open_pipeline_run,
    readable_key,
    set_missing_tags,
    settle_parent,
)
from components.tracking.store import connect, store_uri
from components.tracking.ui import FLAT_ORDER_KEY, comparison_url, view_url
from dualgan.json_files import read_json
from dualgan.run_folder import SAMPLE_KINDS

ARTIFACTS = ("comparison.json", "report.html", "report.md")
IMAGE_PATTERN = "*.jpg"
# Before a candidate's name: the tag of its verdict.
CANDIDATE = "candidate."
WORST_FIRST = ("fail", "inconclusive", "pass")
MAX_FOLDER_BYTES = 100

VIEW_TAG_PREFIX = "mlflow.sharedViewState."
CURVES = ("loss/A_loss", "loss/B_loss", "time/sec_per_step")
IMAGE_ROWS = 6
# Every part of the page is the user's own, not one that MLflow makes by itself.
_OWN = {"deleted": False, "isGenerated": False}
_SECTION = {**_OWN, "display": True, "isReordered": True}
_CHART = {**_OWN, "runsCountToCompare": 10}
_LINE_CHART = {
    **_CHART,
    "type": "LINE",
    "lineSmoothness": 60,
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


def log_comparison(client: MlflowClient, pipeline: PipelineRun, folder: Path) -> str:
    """Log the output folder of a comparison, which was read or written before, to the pipeline's run; end that run.

    It gets ``parity/{axis}/{name}`` metrics, tags ``verdict`` and ``verdict.{axis}``, the reports and named images as
    artifacts, and the saved view that compares the legs. A repeat replaces what was there. Returns the run's id.
    """
    comparison = read_json(folder / "comparison.json")
    experiment_id = open_experiment(client, pipeline.experiment)
    parent = settle_parent(client, experiment_id, pipeline.pipeline_run_id)
    parent = parent or open_pipeline_run(client, pipeline, experiment_id)
    legs = leg_runs(client, experiment_id, pipeline.pipeline_run_id)
    run_id = str(parent.info.run_id)
    timestamp = int((folder / "comparison.json").stat().st_mtime * 1000)
    # Only those that it lacks: a comparison that was handed on to another pod has another time there.
    metrics = [one for one in _metrics(comparison, timestamp) if parent.data.metrics.get(one.key) != one.value]
    if metrics:
        client.log_batch(run_id, metrics=metrics)
    place = _artifact_folder(comparison, legs)
    for file in [folder / name for name in ARTIFACTS] + sorted(folder.glob(IMAGE_PATTERN)):
        if file.is_file():
            client.log_artifact(run_id, str(file), place)
    publish_view(client, experiment_id, pipeline.pipeline_run_id, legs)
    # Last, and of them the verdict: by that a run is known to have the whole comparison.
    set_missing_tags(client, parent, dict(_tags(comparison, client.get_run(run_id).data.tags)))
    client.set_terminated(run_id, FINISHED)
    return run_id


def _artifact_folder(comparison: Mapping[str, Any], legs: Sequence[Run]) -> str | None:
    """Return a folder for each candidate that has a comparison of its own.

    None, the artifact root, if all candidates are in this one: MLflow's page of common artifacts shows nothing that
    lies deeper.
    """
    candidates = {run.data.tags["leg"] for run in legs if run.data.tags.get("role") == "candidate"}
    own = comparison.get("candidates", [])
    others = candidates - {*own, comparison.get("reference")}
    return readable_key(" ".join(own), MAX_FOLDER_BYTES) if own and others else None


def _metrics(comparison: Mapping[str, Any], timestamp: int) -> Iterator[Metric]:
    """Yield one metric a number; the candidate's name is in it only if there are several."""
    for axis_name, axis in comparison["axes"].items():
        candidates = axis.get("numbers") or {}
        for candidate, values in candidates.items():
            prefix = f"parity/{candidate}" if len(candidates) > 1 else "parity"
            for name, value in values.items():
                number = as_number(value)
                if number is not None and math.isfinite(number):
                    yield Metric(f"{prefix}/{axis_name}/{name}", number, timestamp, 0)


def _tags(comparison: Mapping[str, Any], known: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield tags; ``known`` are the run's: of several comparisons, each of a candidate, the worst verdict decides."""
    for name, axis in comparison["axes"].items():
        yield f"verdict.{name}", axis["verdict"]
        if axis.get("reason"):
            yield f"verdict.{name}.reason", axis["reason"][:TAG_LENGTH]
    whole = comparison["verdict"]
    own = {f"{CANDIDATE}{name}": whole for name in comparison.get("candidates", [])}
    yield from own.items()
    others = [verdict for name, verdict in known.items() if name.startswith(CANDIDATE) and name not in own]
    yield "verdict", next((verdict for verdict in WORST_FIRST if verdict in (whole, *others)), whole)


def newest_comparison(store: Path, address: str) -> str | None:
    """Return the page that compares the legs of the newest pipeline run in ``store``, None if there is none."""
    client = connect(store_uri(store))
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    newest = ["attributes.start_time DESC"]
    for run in client.search_runs(experiments, "tags.role = 'pipeline'", order_by=newest, max_results=1):
        experiment_id, pipeline_run_id = run.info.experiment_id, run.data.tags["pipeline_run_id"]
        if has_view(client, experiment_id, pipeline_run_id):
            return view_url(address, experiment_id, view_key(pipeline_run_id))
        return comparison_url(address, experiment_id, pipeline_run_id)
    return None


def view_key(pipeline_run_id: str) -> str:
    """Return the key of a pipeline run's view, for ui.view_url."""
    return _identifier(f"comparison/{pipeline_run_id}")


def has_view(client: MlflowClient, experiment_id: str, pipeline_run_id: str) -> bool:
    """Return whether the experiment has the view of a pipeline run."""
    return VIEW_TAG_PREFIX + view_key(pipeline_run_id) in client.get_experiment(experiment_id).tags


def publish_view(client: MlflowClient, experiment_id: str, pipeline_run_id: str, legs: Sequence[Run]) -> None:
    """Save or renew the view of a pipeline run that compares its legs."""
    now = int(time.time() * 1000)
    state = json.dumps(_state(pipeline_run_id, *_common_images(client, legs))).encode()
    view = {
        "name": f"Legs of {pipeline_run_id}",
        "createdAt": now,
        "updatedAt": now,
        "state": "deflate;" + base64.b64encode(zlib.compress(state)).decode(),
    }
    client.set_experiment_tag(experiment_id, VIEW_TAG_PREFIX + view_key(pipeline_run_id), json.dumps(view))


def _common_images(client: MlflowClient, legs: Sequence[Run]) -> tuple[list[str], int]:
    """Return the image keys of the last step that all legs have: every kind of the first validation image."""
    places = [set(stored_images(client, leg.info.run_id)) for leg in legs]
    common = [key_and_step(place) for place in set.intersection(*places)] if places else []
    last = max((step for _, step in common), default=0)
    keys = {key for key, step in common if step == last}
    images = sorted({key.partition("/")[2] for key in keys})
    ordered = [f"{kind}/{image}" for image in images for kind in SAMPLE_KINDS]
    return [key for key in ordered if key in keys][:IMAGE_ROWS], last


def _state(pipeline_run_id: str, image_keys: Sequence[str], step: int) -> dict[str, Any]:
    curves, images = _identifier("section/Curves"), _identifier("section/Images")
    sections = [{**_SECTION, "uuid": curves, "name": "Curves", "columns": len(CURVES), "cardHeight": 360}]
    charts = [
        {
            **_LINE_CHART,
            "uuid": _identifier(f"chart/{metric}"),
            "metricSectionId": curves,
            "displayName": metric,
            "metricKey": metric,
            "selectedMetricKeys": [metric],
        }
        for metric in CURVES
    ]
    if image_keys:
        sections.append({**_SECTION, "uuid": images, "name": "Images", "columns": 1, "cardHeight": 900})
        grid = {"type": "IMAGE", "imageKeys": list(image_keys), "step": step, "showRunParams": False}
        identity = {"uuid": _identifier("chart/Images"), "metricSectionId": images, "displayName": "Images"}
        charts.append({**_CHART, **identity, **grid})
    return {
        "searchFilter": leg_filter(pipeline_run_id),
        "orderByKey": FLAT_ORDER_KEY,
        "orderByAsc": True,
        "compareRunCharts": charts,
        "compareRunSections": sections,
        "isAccordionReordered": True,
        "runsHiddenMode": "FIRST_20_RUNS",
        "hideEmptyCharts": True,
    }


def _identifier(name: str) -> str:
    return uuid.uuid5(uuid.NAMESPACE_OID, name).hex
