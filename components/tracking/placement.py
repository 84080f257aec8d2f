"""Where a run folder belongs in MLflow, kept beside the folder so that a later sync needs no flags."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from components.tracking.neighbours import TARGET, find, neighbour
from components.tracking.role import Role
from components.tracking.runs import LegRun, PipelineRun
from components.tracking.store import has_password, resolve_tracking_uri
from dualgan.errors import BadInput
from dualgan.run_folder import RunFolder, read_json, write_json


@dataclass(frozen=True)
class Placement:
    """What is known of a run folder's place; None is filled in from options.json (see leg_run)."""

    tracking_uri: str | None = None
    experiment: str | None = None
    pipeline_run_id: str | None = None
    leg: str | None = None
    role: Role | None = None
    runtime: str | None = None

    def completed(self, other: "Placement") -> "Placement":
        """Self, with what it leaves open taken from ``other``."""
        return Placement(**{name: value or getattr(other, name) for name, value in asdict(self).items()})

    def with_environment(self) -> "Placement":
        """Self, completed with MLFLOW_TRACKING_URI, else the local store.

        Not with MLFLOW_RUN_ID: what sets it for a task (KFP's MLflow plugin) names a run of its own, in an experiment
        of its own, and a leg's run belongs beside the other legs.
        """
        return replace(self, tracking_uri=resolve_tracking_uri(self.tracking_uri))


def placement_file(run_folder: Path) -> Path:
    return neighbour(run_folder, TARGET)


def write_placement(run_folder: Path, placement: Placement) -> None:
    """Write the file beside ``run_folder``. A tracking URI that holds a password is left out of it."""
    uri = placement.tracking_uri
    kept = replace(placement, tracking_uri=None) if uri and has_password(uri) else placement
    file = placement_file(run_folder)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, {name: value for name, value in asdict(kept).items() if value is not None})


def read_placement(run_folder: Path) -> Placement:
    """What the file beside ``run_folder``, or its copy inside, says; empty if there is none, BadInput if broken."""
    file = find(run_folder, TARGET)
    if not file.is_file():
        return Placement()
    try:
        content = read_json(file)
    except ValueError as error:
        raise BadInput(f"{file}: not a JSON object ({error}); delete it and give the flags of sync") from None
    unknown = sorted(set(content) - {field.name for field in fields(Placement)})
    if unknown:
        raise BadInput(f"{file}: unknown entry {unknown[0]!r}; delete it and give the flags of sync")
    return Placement(**content)


def leg_run(placement: Placement, options: Mapping[str, Any], run_folder: Path) -> LegRun:
    """The leg's run that a folder belongs to, from its placement and its options.json.

    What the placement leaves open: the experiment is the dataset's name, the leg is the kind of the
    device, the role is candidate, and the pipeline run is one of this training alone, the same at every
    call.
    """
    device = (options.get("environment") or {}).get("device") or {}
    dataset = options.get("dataset") or {}
    experiment = placement.experiment or dataset.get("name")
    leg = placement.leg or device.get("kind")
    if not experiment or not leg:
        missing = "dataset name" if not experiment else "device kind"
        flag = "--experiment" if not experiment else "--leg"
        raise BadInput(f"{RunFolder(run_folder).options}: no {missing}; give {flag}")
    return LegRun(
        pipeline=PipelineRun(str(experiment), placement.pipeline_run_id or _own_pipeline_run_id(run_folder)),
        leg=str(leg),
        role=placement.role or "candidate",
        seed=int((options.get("options") or {}).get("seed") or 0),
        runtime=placement.runtime,
    )


def _own_pipeline_run_id(run_folder: Path) -> str:
    # The first event holds the time of the start: it stays when a training is resumed or its folder is moved.
    with RunFolder(run_folder).events.open("rb") as file:
        return "training-" + hashlib.sha256(file.readline()).hexdigest()[:12]
