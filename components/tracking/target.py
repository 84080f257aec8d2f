"""Where a run folder belongs in MLflow, kept beside the folder so that a later sync needs no flags.

The trainer alone writes the run folder while it trains, so what tracking keeps are its neighbours: ``runs/gpu`` has
``runs/gpu.tracking.json`` and, of what the machine did meanwhile, ``runs/gpu.system.jsonl``. A pipeline hands a folder
on and not its neighbours, so at the end copies go into it.
"""

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from components.common.address import Address
from components.tracking.runs import LegRun, PipelineRun, Role, part_of
from components.tracking.store import resolve_tracking_uri
from dualgan.errors import BadInput
from dualgan.json_files import read_json
from dualgan.run_folder import RunFolder, write_json

TARGET, SYSTEM_METRICS = "tracking.json", "system.jsonl"


def neighbour(run_folder: Path, kind: str) -> Path:
    """Return the file of a training that goes on: beside its run folder."""
    folder = run_folder.resolve()
    return folder.with_name(f"{folder.name}.{kind}")


def find(run_folder: Path, kind: str) -> Path:
    """Return the file to read: the neighbour, or the copy in the folder if that is all there is."""
    beside = neighbour(run_folder, kind)
    return beside if beside.is_file() else run_folder / kind


def take_along(run_folder: Path) -> None:
    """Copy the neighbours into the folder of a training that has ended."""
    for kind in (TARGET, SYSTEM_METRICS):
        if neighbour(run_folder, kind).is_file():
            shutil.copyfile(neighbour(run_folder, kind), run_folder / kind)


@dataclass(frozen=True)
class TrackingTarget:
    """Where in MLflow a run folder is tracked; None is filled in from options.json (see leg_run)."""

    __pydantic_config__ = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    tracking_uri: Address | str | None = field(default=None, repr=False)
    experiment: str | None = None
    pipeline_run_id: str | None = None
    leg: str | None = None
    role: Role | None = None
    runtime: str | None = None

    def completed(self, other: "TrackingTarget") -> "TrackingTarget":
        """Return this target, with what it leaves open taken from ``other``."""
        return TrackingTarget(**{name: value or getattr(other, name) for name, value in vars(self).items()})

    def with_environment(self) -> "TrackingTarget":
        """Return this target, completed with MLFLOW_TRACKING_URI, else the local store.

        Not with MLFLOW_RUN_ID: what sets it for a task (KFP's MLflow plugin) names a run of its own, in an experiment
        of its own, and a leg's run belongs beside the other legs.
        """
        return replace(self, tracking_uri=resolve_tracking_uri(self.tracking_uri))


def write_target(run_folder: Path, target: TrackingTarget) -> None:
    """Write the file beside ``run_folder``, without the login of the tracking URI, which the environment has."""
    content = {name: value for name, value in vars(target).items() if value is not None}
    if uri := content.pop("tracking_uri", None):
        address = Address(uri).without_login
        content |= {} if address.has_secret else {"tracking_uri": str(address)}
    file = neighbour(run_folder, TARGET)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, content)


def read_target(run_folder: Path) -> TrackingTarget:
    """Return what the file beside ``run_folder``, or its copy inside, says; nothing if there is none.

    Raises:
        BadInput: The file is broken.
    """
    file = find(run_folder, TARGET)
    if not file.is_file():
        return TrackingTarget()
    try:
        return TypeAdapter(TrackingTarget).validate_python(read_json(file))
    except ValidationError as error:
        fault = error.errors()[0]
        reason = f"{file}: entry {fault['loc'][0]!r}: {fault['msg']}"
    except BadInput as error:
        reason = str(error)
    raise BadInput(f"{reason}; delete it and give the flags of sync")


def leg_run(target: TrackingTarget, options: Mapping[str, Any], run_folder: Path) -> LegRun:
    """Return the leg's run that a folder belongs to, from its target and its options.json.

    What the target leaves open: the experiment is the dataset's name, the leg is the kind of the device, the role
    is candidate, and the pipeline run is one of this training alone, the same at every call.

    Raises:
        BadInput: Neither names the experiment or the leg.
    """
    experiment = target.experiment or part_of(options, "dataset").get("name")
    leg = target.leg or part_of(part_of(options, "environment"), "device").get("kind")
    if not experiment or not leg:
        missing = "no dataset name; give --experiment" if not experiment else "no device kind; give --leg"
        raise BadInput(f"{RunFolder(run_folder).options}: {missing}")
    pipeline = PipelineRun(str(experiment), target.pipeline_run_id or _own_pipeline_run_id(run_folder))
    seed = part_of(options, "options").get("seed") or 0
    return LegRun(pipeline, str(leg), target.role or "candidate", seed, target.runtime)


def _own_pipeline_run_id(run_folder: Path) -> str:
    # The first event holds the time of the start: it stays when a training is resumed or its folder is moved.
    with RunFolder(run_folder).events.open("rb") as file:
        return "training-" + hashlib.sha256(file.readline()).hexdigest()[:12]
