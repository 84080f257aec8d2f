"""Addresses of pages of MLflow's user interface."""

from urllib.parse import quote, urlencode

from components.tracking.reasons import without_credentials
from components.tracking.runs import leg_filter

# Without it MLflow opens its page for language models.
WORKFLOW = {"workflowType": "machine_learning"}
# Sorted by time, the default, the page folds the legs into their pipeline run and draws only that.
FLAT_ORDER: dict[str, str | bool] = {"orderByKey": "tags.`mlflow.runName`", "orderByAsc": True}


def ui_address(tracking_uri: str) -> str | None:
    """The address of the server's user interface, None where the URI is no server's."""
    return without_credentials(tracking_uri).rstrip("/") if tracking_uri.startswith(("http://", "https://")) else None


def comparison_url(ui: str, experiment_id: str, pipeline_run_id: str) -> str:
    """The charts and images of all legs of one pipeline run."""
    parameters = {
        **WORKFLOW,
        "compareRunsMode": "CHART",
        "searchFilter": leg_filter(pipeline_run_id),
        "orderByKey": FLAT_ORDER["orderByKey"],
        "orderByAsc": "true",
    }
    return f"{ui}/#/experiments/{experiment_id}/runs?{urlencode(parameters, quote_via=quote)}"


def view_url(ui: str, experiment_id: str, view_key: str) -> str:
    """A saved view of an experiment (see saved_view)."""
    parameters = {"viewStateShareKey": view_key, **WORKFLOW, "compareRunsMode": "CHART"}
    return f"{ui}/#/experiments/{experiment_id}/runs?{urlencode(parameters)}"


def run_url(ui: str, experiment_id: str, run_id: str) -> str:
    return f"{ui}/#/experiments/{experiment_id}/runs/{run_id}?{urlencode(WORKFLOW)}"


def model_url(ui: str, name: str, version: str) -> str:
    """A version of a registered model."""
    return f"{ui}/#/models/{quote(name, safe='')}/versions/{version}"
