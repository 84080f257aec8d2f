"""A saved view of MLflow's user interface: one link that opens the curves and images of all legs.

A view is an experiment tag that holds the page's state. It is state of the user interface of mlflow 3.17 and
no documented contract: a test opens it in a browser, and links.comparison_url needs no view.
"""

import base64
import json
import time
import uuid
import zlib
from collections.abc import Sequence
from typing import Any

from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from components.tracking.links import FLAT_ORDER
from components.tracking.runs import leg_filter, leg_runs
from components.tracking.step_images import stored_images

TAG_PREFIX = "mlflow.sharedViewState."
CURVES = ("loss/A_loss", "loss/B_loss", "time/sec_per_step")
SMOOTHING_PERCENT = 60
IMAGE_ROWS = 6
IMAGE_KINDS = ("real_A", "A2B", "A2B2A", "real_B", "B2A", "B2A2B")


def view_key(pipeline_run_id: str) -> str:
    return uuid.uuid5(uuid.NAMESPACE_OID, f"comparison/{pipeline_run_id}").hex


def publish_view(client: MlflowClient, experiment_id: str, pipeline_run_id: str) -> str:
    """Save or renew the view of a pipeline run that compares its legs; returns its key for links.view_url."""
    keys, step = _common_images(client, leg_runs(client, experiment_id, pipeline_run_id))
    now = int(time.time() * 1000)
    key = view_key(pipeline_run_id)
    view = {
        "name": f"Legs of {pipeline_run_id}",
        "createdAt": now,
        "updatedAt": now,
        "state": _compressed(_state(pipeline_run_id, keys, step)),
    }
    client.set_experiment_tag(experiment_id, TAG_PREFIX + key, json.dumps(view))
    return key


def has_view(client: MlflowClient, experiment_id: str, pipeline_run_id: str) -> bool:
    return TAG_PREFIX + view_key(pipeline_run_id) in client.get_experiment(experiment_id).tags


def _common_images(client: MlflowClient, legs: Sequence[Run]) -> tuple[list[str], int]:
    """The image keys of the last step that all legs have: every kind of the first validation image."""
    places = [set(stored_images(client, leg.info.run_id)) for leg in legs]
    common = [place.split("+step+") for place in set.intersection(*places)] if places else []
    steps = [int(step) for _, step in common]
    if not steps:
        return [], 0
    last = max(steps)
    keys = sorted(key.replace("~", "/") for key, step in common if int(step) == last)
    images = sorted({key.partition("/")[2] for key in keys})
    ordered = [f"{kind}/{image}" for image in images for kind in IMAGE_KINDS]
    return [key for key in ordered if key in keys][:IMAGE_ROWS], last


def _compressed(state: dict[str, Any]) -> str:
    return "deflate;" + base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()


def _state(pipeline_run_id: str, image_keys: Sequence[str], step: int) -> dict[str, Any]:
    curves = _section("Curves", columns=len(CURVES), card_height=360)
    images = _section("Images", columns=1, card_height=900)
    charts = [_line_chart(metric, curves["uuid"]) for metric in CURVES]
    sections = [curves]
    if image_keys:
        charts.append(_image_grid(image_keys, step, images["uuid"]))
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
    return {
        **_chart("LINE", metric, section),
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


def _image_grid(keys: Sequence[str], step: int, section: str) -> dict[str, Any]:
    return {
        **_chart("IMAGE", "Images", section),
        "imageKeys": list(keys),
        "step": step,
        "showRunParams": False,
    }
