"""The runs of MLflow: an experiment a dataset, a parent run a pipeline run, a child run a leg and seed.

A server with basic auth answers 403, as if it were forbidden, to many a question about something that it does not
have. So what looks for something here asks the one question that tells "not there" from "not allowed", with basic auth
on and off, and lets MLflow's exception through for the latter.
"""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from components.common.address import Address
from components.tracking.names import equals
from components.tracking.store import NOT_MLFLOWS, artifact_location
from dualgan.errors import BadInput, DualGANError

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

Role = Literal["reference", "candidate"]
PARENT_TAG = "mlflow.parentRunId"
# Limit of MLflow's REST API.
TAG_LENGTH = 8000
NOT_THERE, NOT_ALLOWED = "RESOURCE_DOES_NOT_EXIST", "PERMISSION_DENIED"


@dataclass(frozen=True)
class PipelineRun:
    """One run of a pipeline. ``experiment`` is the dataset's name."""

    experiment: str
    pipeline_run_id: str

    def __post_init__(self) -> None:
        _require_text("experiment", self.experiment)
        _require_text("pipeline run id", self.pipeline_run_id)


@dataclass(frozen=True)
class LegRun:
    """One leg's training with one seed."""

    pipeline: PipelineRun
    leg: str
    role: Role
    seed: int
    runtime: str | None = None

    def __post_init__(self) -> None:
        _require_text("leg", self.leg)
        if self.role not in ("reference", "candidate"):
            raise BadInput(f"role {self.role!r}: it is reference or candidate")

    @property
    def tags(self) -> dict[str, str]:
        """The tags by which the run is found."""
        return {
            "leg": self.leg,
            "seed": str(self.seed),
            "role": self.role,
            "pipeline_run_id": self.pipeline.pipeline_run_id,
        }


def _require_text(what: str, value: str) -> None:
    if not value.strip():
        raise BadInput(f"{what} {value!r}: it must be text")


def find_experiment(client: "MlflowClient", name: str) -> str | None:
    """Return the id of an experiment, None if there is none. Raises DualGANError if it was deleted."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        return None
    if experiment.name != name:
        server = Address(client.tracking_uri)
        raise DualGANError(f"{server}: {NOT_MLFLOWS} (an experiment of another name); correct the tracking URI")
    if experiment.lifecycle_stage != "active":
        raise DualGANError(
            f"experiment {name!r} is deleted; "
            f"`mlflow experiments restore --experiment-id {experiment.experiment_id}` or choose another name"
        )
    return str(experiment.experiment_id)


def open_experiment(client: "MlflowClient", name: str) -> str:
    """Return the id of an experiment, created if it is missing."""
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


def find_run(client: "MlflowClient", run_id: str) -> "Run | None":
    """Return the run, None if there is none that this account may read.

    A look for a run that is not there is refused; a search among the runs that may be read finds nothing.
    """
    from mlflow.exceptions import MlflowException

    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if error.error_code not in (NOT_THERE, NOT_ALLOWED):
            raise
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    found = client.search_runs(experiments, equals("attributes.run_id", run_id), max_results=1)
    return found[0] if found else None


def version_with_alias(client: "MlflowClient", name: str, alias: str) -> "ModelVersion | None":
    """Return the version of the registered model ``name`` that has ``alias``; None if model or alias is not there.

    A look for the alias itself is refused if the model is not there; a look for the model says which of the two it is.
    """
    from mlflow.exceptions import MlflowException

    try:
        model = client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code == NOT_THERE:
            return None
        raise
    version = model.aliases.get(alias)
    return client.get_model_version(name, str(version)) if version else None


def pipeline_runs(client: "MlflowClient", experiment_id: str, pipeline_run_id: str) -> "list[Run]":
    """Return the parent runs of a pipeline run, the oldest first: one, unless legs have just started together."""
    return _runs_with(client, experiment_id, {"role": "pipeline", "pipeline_run_id": pipeline_run_id})


def leg_runs(client: "MlflowClient", experiment_id: str, pipeline_run_id: str) -> "list[Run]":
    """Return the runs of all legs and seeds of a pipeline run, the oldest first."""
    return [
        run
        for run in _runs_with(client, experiment_id, {"pipeline_run_id": pipeline_run_id})
        if run.data.tags.get("leg")
    ]


def leg_filter(pipeline_run_id: str) -> str:
    """Return the search filter that finds a pipeline run's legs in the user interface."""
    return f"{equals('tags.pipeline_run_id', pipeline_run_id)} and tags.leg != ''"


def _runs_with(client: "MlflowClient", experiment_id: str, tags: Mapping[str, str]) -> "list[Run]":
    query = " and ".join(equals(f"tags.{name}", value) for name, value in tags.items())
    found = client.search_runs([experiment_id], query, order_by=["attributes.start_time ASC"])
    same = [run for run in found if tags.items() <= run.data.tags.items()]
    return sorted(same, key=lambda run: (run.info.start_time, run.info.run_id))


def open_pipeline_run(client: "MlflowClient", pipeline: PipelineRun, experiment_id: str) -> "Run":
    """Return the parent run, created if it is missing.

    Legs in parallel pods may each create one: see settle_parent.
    """
    identifier = pipeline.pipeline_run_id

    def create() -> "Run":
        tags = {"role": "pipeline", "pipeline_run_id": identifier}
        return client.create_run(experiment_id, tags=tags, run_name=f"pipeline run {identifier}")

    return _oldest_or_new(client, lambda: pipeline_runs(client, experiment_id, identifier), create)


def open_leg_run(client: "MlflowClient", leg_run: LegRun, start_time: int) -> "Run":
    """Return the run of a leg and seed below its pipeline run, created if it is missing.

    ``start_time`` is in milliseconds since 1970.
    """
    experiment_id = open_experiment(client, leg_run.pipeline.experiment)
    parent = open_pipeline_run(client, leg_run.pipeline, experiment_id)
    identity = {name: value for name, value in leg_run.tags.items() if name != "role"}

    def create() -> "Run":
        # A pipeline run that was interrupted goes on.
        if parent.info.status != "RUNNING":
            client.update_run(parent.info.run_id, status="RUNNING")
        return client.create_run(
            experiment_id,
            start_time=start_time,
            tags={**leg_run.tags, PARENT_TAG: parent.info.run_id},
            run_name=f"{leg_run.leg} seed {leg_run.seed}",
        )

    return _oldest_or_new(client, lambda: _runs_with(client, experiment_id, identity), create)


def settle_parent(client: "MlflowClient", experiment_id: str, pipeline_run_id: str) -> "Run | None":
    """Leave one parent run, the oldest, with all legs below it; return it, None if there is no parent run.

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


def end_open_runs(client: "MlflowClient", experiment_id: str, pipeline_run_id: str) -> int:
    """End as KILLED what is open of a pipeline run whose process is gone: its legs and itself; return how many."""
    runs = [
        *leg_runs(client, experiment_id, pipeline_run_id),
        *pipeline_runs(client, experiment_id, pipeline_run_id),
    ]
    left_open = [run.info.run_id for run in runs if run.info.status in ("RUNNING", "SCHEDULED")]
    for run_id in left_open:
        client.set_terminated(run_id, "KILLED")
    return len(left_open)


def _oldest_or_new(client: "MlflowClient", find: "Callable[[], list[Run]]", create: "Callable[[], Run]") -> "Run":
    """Return the oldest run that there is. Others that hold nothing go: of a parallel start, or of a request whose
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


def set_missing_tags(client: "MlflowClient", run: "Run", tags: Mapping[str, str]) -> None:
    """Set the tags that ``run`` lacks or has with another value."""
    for name, value in tags.items():
        if run.data.tags.get(name) != value:
            client.set_tag(run.info.run_id, name, value)


def part_of(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the object ``name`` in what was read from a file, an empty one if there is none."""
    found = content.get(name)
    return found if isinstance(found, dict) else {}


def environment_tags(options: Mapping[str, Any], runtime: str | None) -> dict[str, str]:
    """Return what ran a leg and on which data, from its options.json; what is unknown is left out."""
    environment, dataset = part_of(options, "environment"), part_of(options, "dataset")
    device = part_of(environment, "device")
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
    return {name: str(value)[:TAG_LENGTH] for name, value in found.items() if value is not None}
