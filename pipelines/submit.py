"""Submit a package to a cluster, and wait for its end as CI needs it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import kfp_server_api

from dualgan.errors import DualGANError
from pipelines.kfp_api import KfpApi, Lost
from pipelines.package import Package

SUCCEEDED = "SUCCEEDED"
# PAUSED ends nothing by itself, but nothing here can make such a run go on.
ENDS = (SUCCEEDED, "SKIPPED", "FAILED", "CANCELED", "PAUSED")
SHORT_ERROR = 300


@dataclass(frozen=True)
class Submission:
    """What is asked for. Raises nothing; ``parameters`` have the pipeline's types (see Package.checked)."""

    package: Package
    experiment_id: str
    name: str
    parameters: Mapping[str, Any]
    service_account: str | None = None


@dataclass(frozen=True)
class Waiting:
    """poll: seconds between two looks; timeout: seconds until we give up, None for never; patience: seconds that the
    server may stay away meanwhile."""

    poll: float = 5.0
    timeout: float | None = None
    patience: float = 900.0


def submit(api: KfpApi, asked: Submission) -> str:
    """The id of the new run."""
    run = kfp_server_api.V2beta1Run(
        display_name=asked.name,
        experiment_id=asked.experiment_id,
        pipeline_spec=asked.package.to_api(),
        runtime_config=kfp_server_api.V2beta1RuntimeConfig(parameters=dict(asked.parameters)),
        service_account=asked.service_account,
    )
    return api.submit(run)


def page_of(api: KfpApi, run_id: str) -> str:
    """The run's page in KFP's user interface."""
    return f"{api.at.url}/#/runs/details/{run_id}"


def wait(
    api: KfpApi,
    run_id: str,
    waiting: Waiting,
    say: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Follow a run to its end, telling each change of it and of its tasks.

    Raises DualGANError where it ends otherwise than succeeded, is not over in time, or the server stays away; the run
    itself goes on.
    """
    begun = answered = clock()
    told: dict[str, str] = {}
    while True:
        try:
            run = api.run(run_id)
            answered = clock()
            for name, state in _states(run):
                if told.get(name) != state:
                    told[name] = state
                    say(f"{name}: {state.lower()}")
            if run.state in ENDS:
                _require_success(run)
                return
        except Lost as error:
            if clock() - answered > waiting.patience:
                raise
            say(f"{error}; still waiting")
        if waiting.timeout is not None and clock() - begun >= waiting.timeout:
            raise DualGANError(f"run {run_id} is not over after {waiting.timeout:g} s; it goes on")
        api.sleep(waiting.poll)


def _states(run: Any) -> list[tuple[str, str]]:
    details = (run.run_details.task_details if run.run_details else None) or ()
    tasks = [(str(task.display_name), str(task.state)) for task in details if task.display_name and task.state]
    # Drivers are KFP's own pods, not steps of the pipeline.
    shown = [
        (name, state) for name, state in tasks if not name.endswith("-driver") and name not in ("executor", "root")
    ]
    return [*shown, ("run", str(run.state or "PENDING"))]


def _require_success(run: Any) -> None:
    if run.state == SUCCEEDED:
        return
    failed = [name for name, state in _states(run) if state == "FAILED" and name != "run"]
    said = " ".join(str(run.error.message).split())[:SHORT_ERROR] if run.error and run.error.message else ""
    where = f" at {', '.join(failed)}" if failed else ""
    raise DualGANError(f"run {run.run_id} {run.state.lower()}{where}{f': {said}' if said else ''}")
