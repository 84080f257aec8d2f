"""What a run of the cluster came to, read where its comparison logged it: at the pipeline run in MLflow."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from components.compare.verdict import Verdict
from components.tracking.links import comparison_url, ui_address
from components.tracking.reasons import explain
from components.tracking.runs import pipeline_runs
from components.tracking.store import connect
from dualgan.errors import DualGANError

TRACKING_VARIABLE = "MLFLOW_TRACKING_URI"


@dataclass(frozen=True)
class Judged:
    """``page`` is MLflow's view of the legs, None where no server was named but a file."""

    verdict: Verdict
    page: str | None


def verdict_of(run_id: str, tracking_uri: str | None) -> Judged:
    """The verdict of KFP's run ``run_id``. Raises DualGANError where it cannot be known, saying what to do."""
    uri = tracking_uri or os.environ.get(TRACKING_VARIABLE)
    if not uri:
        raise DualGANError(f"its verdict is in MLflow: give --tracking-uri, or set {TRACKING_VARIABLE}")
    try:
        client = connect(uri)
        for experiment in client.search_experiments():
            runs = pipeline_runs(client, experiment.experiment_id, run_id)
            found = [run.data.tags["verdict"] for run in runs if "verdict" in run.data.tags]
            if found:
                ui = ui_address(uri)
                page = comparison_url(ui, experiment.experiment_id, run_id) if ui else None
                return Judged(worst([Verdict(text) for text in found]), page)
    except DualGANError:
        raise
    except Exception as error:
        # MLflow raises whatever its client, its server or the network had to say.
        raise DualGANError(f"its verdict cannot be read: {explain(error, uri)}") from None
    raise DualGANError(f"MLflow ({ui_address(uri) or uri}) has no verdict of run {run_id}; did its tasks track there?")


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """One verdict for several candidates: fail before inconclusive before pass."""
    return max(verdicts, key=(Verdict.PASS, Verdict.NOT_MEASURED, Verdict.INCONCLUSIVE, Verdict.FAIL).index)
