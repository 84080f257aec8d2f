"""The runs of MLflow: an experiment a dataset, a parent run a pipeline run, a child run a leg and seed.

A server with basic auth answers 403, as if it were forbidden, to many a question about something that it does not
have. So what looks for something here asks the one question that tells "not there" from "not allowed", with basic auth
on and off, and lets MLflow's exception through for the latter.
"""

import contextlib
import hashlib
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from components.common.address import Address
from components.tracking.store import NOT_MLFLOWS, artifact_location
from dualgan.errors import DualGANError
from dualgan.names import shortened

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

Role = Literal["reference", "candidate"]
PARENT_TAG = "mlflow.parentRunId"
# Limit of MLflow's REST API.
TAG_LENGTH = 8000
NOT_THERE, NOT_ALLOWED = "RESOURCE_DOES_NOT_EXIST", "PERMISSION_DENIED"
RUNNING, FINISHED, FAILED, KILLED = "RUNNING", "FINISHED", "FAILED", "KILLED"
# MLflow's filters know no escaped quotes.
_UNQUOTABLE = re.compile("['\"`\\\\\n\r]")


@dataclass(frozen=True)
class PipelineRun:
    """One run of a pipeline. ``experiment`` is the dataset's name."""

    experiment: str
    pipeline_run_id: str


@dataclass(frozen=True)
class LegRun:
    """One leg's training with one seed."""

    pipeline: PipelineRun
    leg: str
    role: Role
    seed: int
    runtime: str | None = None

    @property
    def identity(self) -> dict[str, str]:
        """The tags by which the run is found."""
        return {"leg": self.leg, "seed": str(self.seed), "pipeline_run_id": self.pipeline.pipeline_run_id}


def readable_key(name: str, max_bytes: int, plain: str = "_.- ") -> str:
    """Return a key that no other name has, and that is the name itself if that can be.

    Letters, their marks and digits of every script stay, and what is ``plain``. Any other character becomes "_", and
    then a digest of the name follows, as it does if the name has more than ``max_bytes`` in UTF-8.
    """
    key = "".join(sign if sign in plain or unicodedata.category(sign)[0] in "LMN" else "_" for sign in name)
    if key == name:
        return shortened(name, max_bytes)
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return shortened(key, max_bytes - len(digest) - 1) + f"-{digest}"


def equals(field: str, value: str) -> str:
    """Return the condition of an MLflow filter that ``field`` is ``value``.

    What cannot stand in a filter is a wildcard there: so it may find a value that differs in such a character, and
    who needs to be sure looks at what was found.
    """
    pattern = _UNQUOTABLE.sub("_", value)
    return f"{field} = '{value}'" if pattern == value else f"{field} LIKE '{pattern}'"


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
    from mlflow.exceptions import MlflowException

    if found := find_experiment(client, name):
        return found
    try:
        return str(client.create_experiment(name, artifact_location=artifact_location(client.tracking_uri)))
    except MlflowException:
        # Another leg may have created it in between.
        if found := find_experiment(client, name):
            return found
        raise


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
    runs = _runs_with(client, experiment_id, {"pipeline_run_id": pipeline_run_id})
    return [run for run in runs if run.data.tags.get("leg")]


def leg_filter(pipeline_run_id: str) -> str:
    """Return the search filter that finds a pipeline run's legs in the user interface."""
    return f"{equals('tags.pipeline_run_id', pipeline_run_id)} and tags.leg != ''"


def _runs_with(client: "MlflowClient", experiment_id: str, tags: Mapping[str, str]) -> "list[Run]":
    query = " and ".join(equals(f"tags.{name}", value) for name, value in tags.items())
    found = client.search_runs([experiment_id], query, order_by=["attributes.start_time ASC"])
    same = [run for run in found if tags.items() <= run.data.tags.items()]
    return sorted(same, key=lambda run: (run.info.start_time, run.info.run_id))


def open_pipeline_run(client: "MlflowClient", pipeline: PipelineRun, experiment_id: str) -> "Run":
    """Return the parent run, created if it is missing. Legs in parallel may each create one: see settle_parent."""
    tags = {"role": "pipeline", "pipeline_run_id": pipeline.pipeline_run_id}

    def create() -> "Run":
        return client.create_run(experiment_id, tags=tags, run_name=f"pipeline run {pipeline.pipeline_run_id}")

    return _oldest_or_new(client, experiment_id, tags, create)


def open_leg_run(client: "MlflowClient", leg_run: LegRun, start_time: int) -> "Run":
    """Return the run of a leg and seed below its pipeline run, created if it is missing.

    ``start_time`` is in milliseconds since 1970.
    """
    experiment_id = open_experiment(client, leg_run.pipeline.experiment)
    parent = open_pipeline_run(client, leg_run.pipeline, experiment_id)

    def create() -> "Run":
        # A pipeline run that was interrupted goes on.
        if parent.info.status != RUNNING:
            client.update_run(parent.info.run_id, status=RUNNING)
        tags = {**leg_run.identity, "role": leg_run.role, PARENT_TAG: parent.info.run_id}
        name = f"{leg_run.leg} seed {leg_run.seed}"
        return client.create_run(experiment_id, start_time=start_time, tags=tags, run_name=name)

    return _oldest_or_new(client, experiment_id, leg_run.identity, create)


def _oldest_or_new(
    client: "MlflowClient", experiment_id: str, tags: Mapping[str, str], create: "Callable[[], Run]"
) -> "Run":
    """Return the oldest run with ``tags``, created if there is none.

    Others that hold nothing go: of a parallel start, or of a request that was sent twice, its first answer being lost.
    """
    found = _runs_with(client, experiment_id, tags)
    if not found:
        created = create()
        found = _runs_with(client, experiment_id, tags) or [created]
    for run in found[1:]:
        if not run.data.metrics:
            _delete(client, run)
    return found[0]


def settle_parent(client: "MlflowClient", experiment_id: str, pipeline_run_id: str) -> "Run | None":
    """Leave one parent run, the oldest, with all legs below it; return it, None if there is no parent run.

    Two legs that start in the same moment can each miss the other's parent run, so whoever finishes looks again.
    """
    parents = pipeline_runs(client, experiment_id, pipeline_run_id)
    if not parents:
        return None
    kept, *extra = parents
    for leg in leg_runs(client, experiment_id, pipeline_run_id):
        set_missing_tags(client, leg, {PARENT_TAG: kept.info.run_id})
    for run in extra:
        _delete(client, run)
    return kept


def end_open_runs(client: "MlflowClient", experiment_id: str, pipeline_run_id: str) -> int:
    """End as KILLED what is open of a pipeline run whose process is gone: its legs and itself; return how many."""
    runs = _runs_with(client, experiment_id, {"pipeline_run_id": pipeline_run_id})
    left_open = [run.info.run_id for run in runs if run.info.status == RUNNING]
    for run_id in left_open:
        client.set_terminated(run_id, KILLED)
    return len(left_open)


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
