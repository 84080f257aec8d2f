"""The runs of MLflow: an experiment a dataset, a parent run a pipeline run, a child run a leg and seed."""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.tracking.role import Role
from components.tracking.store import artifact_location
from dualgan.errors import BadInput, DualGANError

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

PARENT_TAG = "mlflow.parentRunId"


@dataclass(frozen=True)
class PipelineRun:
    """One run of a pipeline. ``experiment`` is the dataset's name."""

    experiment: str
    pipeline_run_id: str

    def __post_init__(self) -> None:
        _require_quotable("experiment", self.experiment)
        _require_quotable("pipeline run id", self.pipeline_run_id)


@dataclass(frozen=True)
class LegRun:
    """One leg's training with one seed."""

    pipeline: PipelineRun
    leg: str
    role: Role
    seed: int
    runtime: str | None = None

    def __post_init__(self) -> None:
        _require_quotable("leg", self.leg)
        if self.role not in ("reference", "candidate"):
            raise BadInput(f"role {self.role!r}: it is reference or candidate")


def _require_quotable(what: str, value: str) -> None:
    if not value or any(character in value for character in "'\"`\\\n"):
        raise BadInput(f"{what} {value!r}: it must be text without quotes, backslashes and line ends")


def find_experiment(client: "MlflowClient", name: str) -> str | None:
    """The id of an experiment, None where there is none; DualGANError where it was deleted."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        return None
    if experiment.lifecycle_stage != "active":
        raise DualGANError(
            f"experiment {name!r} is deleted; "
            f"`mlflow experiments restore --experiment-id {experiment.experiment_id}` or choose another name"
        )
    return str(experiment.experiment_id)


def open_experiment(client: "MlflowClient", name: str) -> str:
    """The id of an experiment, created where it is missing."""
    found = find_experiment(client, name)
    if found is not None:
        return found
    from mlflow.exceptions import MlflowException

    try:
        return str(client.create_experiment(name, artifact_location=artifact_location(client.tracking_uri)))
    except MlflowException:
        # Another leg may have created it in between.
        found = find_experiment(client, name)
        if found is None:
            raise
        return found


def pipeline_runs(client: "MlflowClient", experiment_id: str, pipeline_run_id: str) -> "list[Run]":
    """The parent runs of a pipeline run, the oldest first: one, unless legs have just started together."""
    return _search(client, experiment_id, f"tags.role = 'pipeline' and tags.pipeline_run_id = '{pipeline_run_id}'")


def leg_runs(client: "MlflowClient", experiment_id: str, pipeline_run_id: str) -> "list[Run]":
    """The runs of all legs and seeds of a pipeline run, the oldest first."""
    return _search(client, experiment_id, leg_filter(pipeline_run_id))


def end_open_runs(client: "MlflowClient", pipeline_run_id: str) -> None:
    """End the runs of a pipeline run, its own and its legs', that are still RUNNING, as KILLED."""
    identifiers = [experiment.experiment_id for experiment in client.search_experiments()]
    query = f"tags.pipeline_run_id = '{pipeline_run_id}' and attributes.status = 'RUNNING'"
    for run in client.search_runs(identifiers, query) if identifiers else ():
        client.set_terminated(run.info.run_id, "KILLED")


def leg_filter(pipeline_run_id: str) -> str:
    """The search filter that finds a pipeline run's legs, in the API and in the user interface."""
    return f"tags.pipeline_run_id = '{pipeline_run_id}' and tags.leg != ''"


def _search(client: "MlflowClient", experiment_id: str, query: str) -> "list[Run]":
    runs = client.search_runs([experiment_id], query, order_by=["attributes.start_time ASC"])
    return sorted(runs, key=lambda run: (run.info.start_time, run.info.run_id))


def open_pipeline_run(client: "MlflowClient", pipeline: PipelineRun, experiment_id: str) -> "Run":
    """The parent run, created where it is missing.

    Legs in parallel pods may each create one: see settle_parent.
    """
    identifier = pipeline.pipeline_run_id

    def create() -> "Run":
        tags = {"role": "pipeline", "pipeline_run_id": identifier}
        return client.create_run(experiment_id, tags=tags, run_name=f"pipeline run {identifier}")

    return _oldest_or_new(client, lambda: pipeline_runs(client, experiment_id, identifier), create)


def settle_parent(client: "MlflowClient", experiment_id: str, pipeline_run_id: str) -> "Run | None":
    """Leave one parent run, the oldest, with all legs below it; None where there is no parent run.

    Two legs that start in the same moment can each miss the other's parent run, so whoever finishes looks
    again.
    """
    parents = pipeline_runs(client, experiment_id, pipeline_run_id)
    if not parents:
        return None
    kept, *extra = parents
    for leg in leg_runs(client, experiment_id, pipeline_run_id):
        if leg.data.tags.get(PARENT_TAG) != kept.info.run_id:
            client.set_tag(leg.info.run_id, PARENT_TAG, kept.info.run_id)
    for run in extra:
        _delete(client, run)
    return kept


def _oldest_or_new(client: "MlflowClient", find: "Callable[[], list[Run]]", create: "Callable[[], Run]") -> "Run":
    """The oldest run that there is. Others that hold nothing go: of a parallel start, or of a request whose
    answer was lost, so that it was sent twice."""
    found = find()
    if not found:
        created = create()
        found = find() or [created]
    for run in found[1:]:
        if not run.data.metrics:
            _delete(client, run)
    return found[0]


def _delete(client: "MlflowClient", run: "Run") -> None:
    from mlflow.exceptions import MlflowException

    # Whoever works in parallel may have deleted it; what stays is looked at again next time.
    with contextlib.suppress(MlflowException):
        client.delete_run(run.info.run_id)


def open_leg_run(client: "MlflowClient", leg_run: LegRun, start_time: int) -> "Run":
    """The run of a leg and seed below its pipeline run, created where it is missing.

    ``start_time`` is in milliseconds since 1970.
    """
    experiment_id = open_experiment(client, leg_run.pipeline.experiment)
    parent = open_pipeline_run(client, leg_run.pipeline, experiment_id)
    identifier = leg_run.pipeline.pipeline_run_id
    query = f"{leg_filter(identifier)} and tags.leg = '{leg_run.leg}' and tags.seed = '{leg_run.seed}'"

    def create() -> "Run":
        return client.create_run(
            experiment_id,
            start_time=start_time,
            tags={**identifying_tags(leg_run), PARENT_TAG: parent.info.run_id},
            run_name=f"{leg_run.leg} seed {leg_run.seed}",
        )

    return _oldest_or_new(client, lambda: _search(client, experiment_id, query), create)


def set_missing_tags(client: "MlflowClient", run: "Run", tags: Mapping[str, str]) -> None:
    """Set the tags that ``run`` lacks or has with another value."""
    for name, value in tags.items():
        if run.data.tags.get(name) != value:
            client.set_tag(run.info.run_id, name, value)


def identifying_tags(leg_run: LegRun) -> dict[str, str]:
    return {
        "leg": leg_run.leg,
        "seed": str(leg_run.seed),
        "role": leg_run.role,
        "pipeline_run_id": leg_run.pipeline.pipeline_run_id,
    }


def environment_tags(options: Mapping[str, Any], runtime: str | None) -> dict[str, str]:
    """What ran a leg and on which data, from its options.json; what is unknown is left out."""
    environment = options.get("environment") or {}
    device = environment.get("device") or {}
    dataset = options.get("dataset") or {}
    commit = environment.get("git_commit")
    found = {
        "device": device.get("kind"),
        "device_name": device.get("name"),
        "runtime": runtime,
        "tensorflow": environment.get("tensorflow"),
        "cuda": device.get("cuda"),
        "cann": device.get("cann"),
        "driver": device.get("driver"),
        "python": environment.get("python"),
        "git_commit": commit,
        "mlflow.source.git.commit": commit,
        "dataset": dataset.get("name"),
        "dataset_digest": dataset.get("digest"),
    }
    return {name: str(value) for name, value in found.items() if value is not None}
