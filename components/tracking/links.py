"""Addresses of pages of MLflow's user interface."""

from urllib.parse import quote, urlencode

from components.common.address import Address
from components.tracking.runs import leg_filter

# Without it MLflow opens its page for language models.
WORKFLOW = {"workflowType": "machine_learning"}
# Sorted by time, the default, the page folds the legs into their pipeline run and draws only that.
FLAT_ORDER: dict[str, str | bool] = {"orderByKey": "tags.`mlflow.runName`", "orderByAsc": True}


def ui_address(tracking_uri: Address | str) -> str | None:
    """Return the address of the server's user interface, None if the URI is no server's."""
    address = Address(tracking_uri)
    return str(address).rstrip("/") if address.is_http else None


def comparison_url(ui: str, experiment_id: str, pipeline_run_id: str) -> str:
    """Return the page with the charts and images of all legs of one pipeline run."""
    parameters = {
        **WORKFLOW,
        "compareRunsMode": "CHART",
        "searchFilter": leg_filter(pipeline_run_id),
        "orderByKey": FLAT_ORDER["orderByKey"],
        "orderByAsc": "true",
    }
    return f"{ui}/#/experiments/{experiment_id}/runs?{urlencode(parameters, quote_via=quote)}"


def view_url(ui: str, experiment_id: str, view_key: str) -> str:
    """Return the page of an experiment's saved view (see comparison_view)."""
    parameters = {"viewStateShareKey": view_key, **WORKFLOW, "compareRunsMode": "CHART"}
    return f"{ui}/#/experiments/{experiment_id}/runs?{urlencode(parameters)}"


def run_url(ui: str, experiment_id: str, run_id: str) -> str:
    """Return the page of a run."""
    return f"{ui}/#/experiments/{experiment_id}/runs/{run_id}?{urlencode(WORKFLOW)}"


def model_url(ui: str, name: str, version: str) -> str:
    """Return the page of a version of a registered model."""
    return f"{ui}/#/models/{quote(name, safe='')}/versions/{version}"
