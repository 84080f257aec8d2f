"""The verdict of a run on a cluster: as MLflow has it, else as its comparison's log has it."""

import os
from dataclasses import dataclass
from typing import Any

from components.common.address import Address
from components.compare.verdict import LoggedVerdict, Verdict, verdict_in_log, worst
from components.tracking.reasons import explain
from components.tracking.runs import pipeline_runs
from components.tracking.store import connect
from components.tracking.ui import comparison_url, ui_address
from dualgan.errors import DualGANError
from pipelines.kfp_api import KfpApi
from pipelines.package import Package
from pipelines.run_progress import newest_try

TRACKING_VARIABLE = "MLFLOW_TRACKING_URI"
COMPARISON_TASK = "compare-"


@dataclass(frozen=True)
class FoundVerdict:
    """A verdict, and where more is: ``source`` says in a line where it was read."""

    verdict: Verdict
    source: str


def read_verdict(
    api: KfpApi, run_id: str, package: Package, tracking_uri: str | None, tracked_as: str | None = None
) -> FoundVerdict:
    """Return the verdict of KFP's run ``run_id``: MLflow's, or that of the run's comparisons if MLflow has none.

    tracked_as: what MLflow calls the run if it was added to another one.

    Raises:
        DualGANError: It cannot be known; the reasons are said.
    """
    try:
        return _in_mlflow(tracked_as or run_id, tracking_uri)
    except DualGANError as error:
        logged = verdict_in_logs(api, run_id, package)
        if logged is None:
            raise DualGANError(f"{error}; nor do the logs of its comparisons say one") from None
        return FoundVerdict(logged.verdict, f"its comparison, kept at {logged.address} ({error})")


def verdict_in_logs(api: KfpApi, run_id: str, package: Package) -> LoggedVerdict | None:
    """The worst verdict that the run's comparisons logged; None unless all of the package's did.

    KFP's API has no artifacts, but the logs of tasks, those of pods that are gone as well.
    """
    run = api.run(run_id)
    logged = [_logged(api, run, task) for task in package.tasks if task.startswith(COMPARISON_TASK)]
    found = [one for one in logged if one]
    if not found or len(found) < len(logged):
        return None
    overall = worst([one.verdict for one in found])
    return next(one for one in found if one.verdict == overall)


def _logged(api: KfpApi, run: Any, task: str) -> LoggedVerdict | None:
    newest = newest_try(run, task)
    if newest is None:
        return None
    try:
        return verdict_in_log(api.task_log(run.run_id, newest))
    except DualGANError:
        # A log that cannot be read says nothing.
        return None


def _in_mlflow(run_id: str, tracking_uri: str | None) -> FoundVerdict:
    uri = tracking_uri or os.environ.get(TRACKING_VARIABLE)
    if not uri:
        raise DualGANError(f"MLflow was not asked: give --tracking-uri, or set {TRACKING_VARIABLE}")
    shown = str(Address(uri)).rstrip("/")
    try:
        client = connect(uri)
        for experiment in client.search_experiments():
            runs = pipeline_runs(client, experiment.experiment_id, run_id)
            found = [Verdict(run.data.tags["verdict"]) for run in runs if "verdict" in run.data.tags]
            if found:
                ui = ui_address(uri)
                page = comparison_url(ui, experiment.experiment_id, run_id) if ui else shown
                return FoundVerdict(worst(found), f"MLflow, with curves and images: {page}")
    except Exception as error:
        # MLflow raises whatever its client, its server or the network had to say.
        raise DualGANError(f"MLflow's cannot be read: {explain(error, uri)}") from None
    raise DualGANError(f"MLflow ({shown}) has no verdict of run {run_id}; did its tasks track there?")
