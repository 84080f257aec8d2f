"""Where a run folder belongs in MLflow, kept beside the folder so that a later sync needs no flags.

The trainer alone writes the run folder while it trains, so what tracking keeps are its neighbours: ``runs/gpu`` has
``runs/gpu.tracking.json`` and, of what the machine did meanwhile, ``runs/gpu.system.jsonl``. A pipeline hands a folder
on and not its neighbours, so at the end copies go into it.
"""

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

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
class Placement:
    """What is known of a run folder's place; None is filled in from options.json (see leg_run)."""

    tracking_uri: Address | str | None = field(default=None, repr=False)
    experiment: str | None = None
    pipeline_run_id: str | None = None
    leg: str | None = None
    role: Role | None = None
    runtime: str | None = None

    def completed(self, other: "Placement") -> "Placement":
        """Return this placement, with what it leaves open taken from ``other``."""
        return Placement(**{name: value or getattr(other, name) for name, value in vars(self).items()})

    def with_environment(self) -> "Placement":
        """Return this placement, completed with MLFLOW_TRACKING_URI, else the local store.

        Not with MLFLOW_RUN_ID: what sets it for a task (KFP's MLflow plugin) names a run of its own, in an experiment
        of its own, and a leg's run belongs beside the other legs.
        """
        return replace(self, tracking_uri=resolve_tracking_uri(self.tracking_uri))


def placement_file(run_folder: Path) -> Path:
    """Return the file beside a run folder that says where it belongs."""
    return neighbour(run_folder, TARGET)


def write_placement(run_folder: Path, placement: Placement) -> None:
    """Write the file beside ``run_folder``, without the login of the tracking URI, which the environment has."""
    content = {name: value for name, value in vars(placement).items() if value is not None}
    if placement.tracking_uri:
        uri = Address(placement.tracking_uri).without_login
        content["tracking_uri"] = str(uri)
        if uri.has_secret:
            del content["tracking_uri"]
    file = placement_file(run_folder)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, content)


def read_placement(run_folder: Path) -> Placement:
    """Return what the file beside ``run_folder``, or its copy inside, says; nothing if there is none.

    Raises:
        BadInput: The file is broken.
    """
    file = find(run_folder, TARGET)
    if not file.is_file():
        return Placement()
    advice = "delete it and give the flags of sync"
    try:
        content = read_json(file)
    except ValueError as error:
        raise BadInput(f"{error}; {advice}") from None
    known = {entry.name for entry in fields(Placement)}
    wrong = sorted(name for name, value in content.items() if name not in known or not isinstance(value, str))
    if wrong:
        raise BadInput(f"{file}: entry {wrong[0]!r} is unknown or no text; {advice}")
    return Placement(**content)


def leg_run(placement: Placement, options: Mapping[str, Any], run_folder: Path) -> LegRun:
    """Return the leg's run that a folder belongs to, from its placement and its options.json.

    What the placement leaves open: the experiment is the dataset's name, the leg is the kind of the
    device, the role is candidate, and the pipeline run is one of this training alone, the same at every
    call.

    Raises:
        BadInput: Neither names the experiment or the leg.
    """
    device = part_of(part_of(options, "environment"), "device")
    experiment = placement.experiment or part_of(options, "dataset").get("name")
    leg = placement.leg or device.get("kind")
    if not experiment or not leg:
        missing = "dataset name" if not experiment else "device kind"
        flag = "--experiment" if not experiment else "--leg"
        raise BadInput(f"{RunFolder(run_folder).options}: no {missing}; give {flag}")
    seed = part_of(options, "options").get("seed") or 0
    if not isinstance(seed, int):
        raise BadInput(f"{RunFolder(run_folder).options}: seed {seed!r} is no whole number")
    return LegRun(
        pipeline=PipelineRun(str(experiment), placement.pipeline_run_id or _own_pipeline_run_id(run_folder)),
        leg=str(leg),
        role=placement.role or "candidate",
        seed=seed,
        runtime=placement.runtime,
    )


def _own_pipeline_run_id(run_folder: Path) -> str:
    # The first event holds the time of the start: it stays when a training is resumed or its folder is moved.
    with RunFolder(run_folder).events.open("rb") as file:
        return "training-" + hashlib.sha256(file.readline()).hexdigest()[:12]
