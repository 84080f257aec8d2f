"""A leg's run in MLflow as a recorded reference."""

import datetime
import json
import os
from typing import Any

from components.compare.measure import ALL
from components.compare.record import UNRECORDED
from components.compare.references import Recorded, parse_recorded
from components.tracking.reasons import explain
from components.tracking.store import connect, resolve_tracking_uri
from dualgan.errors import BadInput, DualGANError

SUMMARY = "summary/"


def reference_of_mlflow_run(run_id: str, tracking_uri: str | None = None) -> Recorded:
    """The numbers of the run's summary, from the server of MLFLOW_TRACKING_URI, else from the local store.

    Raises BadInput where there is no such run or it is no finished leg's, DualGANError where the server is silent.
    """
    from mlflow.exceptions import MlflowException

    uri = resolve_tracking_uri(tracking_uri or os.environ.get("MLFLOW_TRACKING_URI"))
    try:
        run = connect(uri).get_run(run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise BadInput(f"reference mlflow:{run_id}: {uri} has no such run") from None
        raise DualGANError(f"reference mlflow:{run_id}: {explain(error, uri)}") from error
    if "leg" not in run.data.tags or run.info.status != "FINISHED" or not run.inputs.dataset_inputs:
        raise BadInput(f"reference mlflow:{run_id}: not the run of a leg that finished; name a leg's run")
    dataset = run.inputs.dataset_inputs[0].dataset
    tags = run.data.tags
    ended = datetime.datetime.fromtimestamp(run.info.end_time / 1000, datetime.UTC)
    content = {
        "name": tags["leg"],
        "source": f"MLflow run {run_id}",
        "date": ended.date(),
        "hardware": f"TensorFlow {tags.get('tensorflow', '?')} on {tags.get('device_name') or tags.get('device', '?')}",
        "dataset": {"name": dataset.name, "digest": dataset.digest},
        "options": {name: _value(text) for name, text in run.data.params.items() if name not in UNRECORDED},
        "measurements": {
            name: {
                "value": run.data.metrics[SUMMARY + name],
                "unit": measure.unit,
                "definition": measure.definition,
                "certainty": "measured",
                "repeats": 1,
            }
            for name, measure in ALL.items()
            if SUMMARY + name in run.data.metrics
        },
    }
    return parse_recorded(content, f"reference mlflow:{run_id}")


def _value(text: str) -> Any:
    """What a parameter was before it became text."""
    try:
        return json.loads(text)
    except ValueError:
        return text
