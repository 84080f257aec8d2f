"""Folders of runs on this machine: what each run is of, whether it goes on, and which one a later run takes up."""

import contextlib
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from components.common.files import write_file
from dualgan.errors import BadInput
from dualgan.run_folder import read_json
from pipelines.profile import Profile

STATE_FILE, LOCK_FILE = "run.json", ".lock"
SETTINGS = {"profile", "parameters"}
State = Literal["running", "finished", "failed", "interrupted"]


class RunState(BaseModel):
    """What run.json of a run's folder holds.

    Attributes:
        run_id: What the run is called in MLflow.
        profile: All of the profile, its seeds included.
        parameters: The pipeline's, without MLflow's address, which may hold a password.
        tracking_uri: MLflow's address; "" if it holds a password.
        runner: "subprocess" or "docker".
    """

    model_config = ConfigDict(extra="ignore")

    run_id: str
    state: State
    profile: Profile
    parameters: dict[str, Any]
    tracking_uri: str = ""
    runner: str = "subprocess"

    def is_of(self, profile: Profile, parameters: Mapping[str, Any]) -> bool:
        """Return whether this is a run of that profile, dataset and options."""
        other = self.model_copy(update={"profile": profile, "parameters": dict(parameters)})
        return self.model_dump_json(include=SETTINGS) == other.model_dump_json(include=SETTINGS)


def new_folder(root: Path) -> Path:
    """Make a folder of ``root``/runs that is named by the time, and by a number if another run has begun just then."""
    runs = (root / "runs").resolve()
    runs.mkdir(parents=True, exist_ok=True)
    name, number = time.strftime("%Y-%m-%d-%H%M%S"), 1
    while True:
        folder = runs / (name if number == 1 else f"{name}-{number}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder
        number += 1


def new_run_id(folder: Path) -> str:
    """Return an id that no other run has, on whatever machine."""
    return f"{folder.name}-{secrets.token_hex(3)}"


def read_state(folder: Path) -> RunState | None:
    """Return what a folder says of its run; None if it says nothing that can be read."""
    with contextlib.suppress(OSError, ValueError, ValidationError):
        return RunState.model_validate(read_json(folder / STATE_FILE))
    return None


def write_state(folder: Path, state: RunState) -> None:
    """Write run.json, whole or not at all."""
    write_file(folder / STATE_FILE, state.model_dump_json(indent=1))


@contextlib.contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Hold a run's folder for this process within the block; the value is False if another process holds it."""
    lock = FileLock(folder / LOCK_FILE)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def to_resume(root: Path, name: str, profile: Profile, parameters: Mapping[str, Any]) -> Path:
    """Return the folder of the run to go on with.

    Args:
        root: Where runs are.
        name: A run's name or folder; "" for the newest unfinished one of ``profile`` and ``parameters``.
        profile: The profile that is asked for.
        parameters: The pipeline's parameters that are asked for.

    Raises:
        BadInput: if there is no such run.
    """
    if name:
        folder = Path(name) if os.sep in name else root / "runs" / name
        if read_state(folder) is None:
            raise BadInput(f"--resume {name}: no run that can be gone on with ({folder / STATE_FILE} is missing)")
        return folder.resolve()
    for folder in _folders(root):
        state = read_state(folder)
        if state and state.state != "finished" and state.is_of(profile, parameters):
            with held(folder) as is_free:
                if is_free:
                    return folder.resolve()
    raise BadInput("--resume: no unfinished run of this profile, dataset and options; leave it out to begin one")


def abandoned(root: Path) -> Iterator[tuple[Path, RunState]]:
    """Yield the runs that ended without saying so, as their processes were killed; each is marked as interrupted."""
    for folder in _folders(root):
        state = read_state(folder)
        if state is None or state.state != "running":
            continue
        with held(folder) as is_free:
            if is_free:
                yield folder, state
                write_state(folder, state.model_copy(update={"state": "interrupted"}))


def _folders(root: Path) -> list[Path]:
    """The runs' folders, the newest first."""
    runs = root / "runs"
    found = [folder for folder in runs.iterdir() if folder.is_dir()] if runs.is_dir() else []
    return sorted(found, key=lambda folder: folder.stat().st_mtime, reverse=True)
