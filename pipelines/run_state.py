"""Folders of runs on this machine: what each run is of, whether it goes on, and which one a later run takes up."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.common.files import write_file
from dualgan.errors import BadInput
from dualgan.json_files import DamagedFile, read_json
from pipelines.profile import Profile

STATE_FILE, LOCK_FILE = "run.json", ".lock"
State = Literal["running", "finished", "failed", "interrupted"]
Runner = Literal["subprocess", "docker"]


class Parameters(BaseModel):
    """The pipeline's (see pipelines/parity.py), but for MLflow's address, which may hold a password."""

    model_config = ConfigDict(extra="forbid")

    dataset: str
    options: dict[str, Any] = {}
    experiment: str = ""
    dataset_sha256: str = ""
    quarantine: bool = False


class RunState(BaseModel):
    """What run.json of a run's folder holds.

    Attributes:
        run_id: What the run is called in MLflow.
        profile: All of the profile, its seeds included.
        tracking_uri: MLflow's address; "" if it holds a password.
        runner: A process for each task, or a container.
    """

    run_id: str = ""
    state: State = "running"
    profile: Profile
    parameters: Parameters
    tracking_uri: str = Field("", pattern=r"^[^\x00-\x1f\x7f]*$")
    runner: Runner = "subprocess"

    def settings(self) -> str:
        """Return what makes another run one of the same."""
        return self.model_dump_json(include={"profile", "parameters"})


def new_folder(root: Path) -> Path:
    """Make a folder of ``root``/runs that is named by the time, and by a number if another run has begun just then."""
    runs, name = (root / "runs").resolve(), time.strftime("%Y-%m-%d-%H%M%S")
    runs.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        folder = runs / (name if number == 1 else f"{name}-{number}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder
        number += 1


def read_state(folder: Path) -> RunState | None:
    """Return what a folder says of its run; None if it says nothing that can be read."""
    with contextlib.suppress(OSError, ValueError):
        return checked_state(folder)
    return None


def checked_state(folder: Path) -> RunState:
    """Return what run.json says. Raises BadInput, which is a DamagedFile, if it says something else; OSError."""
    file = folder / STATE_FILE
    try:
        return RunState.model_validate(read_json(file))
    except ValidationError as error:
        first = error.errors()[0]
        reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise DamagedFile(f"{file}: no record of a run ({reason})") from None


def write_state(folder: Path, state: RunState) -> None:
    """Write run.json, whole or not at all."""
    write_file(folder / STATE_FILE, state.model_dump_json(indent=1))


@contextlib.contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Hold a run's folder for this process within the block; the value is False if another process holds it."""
    lock = FileLock(folder / LOCK_FILE, blocking=False)
    with contextlib.suppress(Timeout):
        lock.acquire()
    try:
        yield lock.is_locked
    finally:
        lock.release()


def named(root: Path, name: str) -> Path:
    """Return the folder of the run that ``name``, a name in ``root`` or a folder, says. Raises BadInput without one."""
    folder = Path(name) if os.sep in name else root / "runs" / name
    if not (folder / STATE_FILE).exists():
        raise BadInput(f"--resume {name}: no run that can be gone on with ({folder / STATE_FILE} is missing)")
    return folder.resolve()


def unfinished(root: Path, wanted: RunState) -> Path:
    """Return the folder of the newest unfinished run of the same settings. Raises BadInput without one."""
    for folder in all_folders(root):
        state = read_state(folder)
        if state and state.state != "finished" and state.settings() == wanted.settings():
            with held(folder) as is_free:
                if is_free:
                    return folder.resolve()
    raise BadInput("--resume: no unfinished run of this profile, dataset and options; leave it out to begin one")


@contextlib.contextmanager
def abandoned(folder: Path) -> Iterator[RunState | None]:
    """Hold a run whose process was killed before it could say how the run ended; None for any other folder."""
    state = read_state(folder)
    with held(folder) if state and state.state == "running" else contextlib.nullcontext(False) as is_free:
        yield state if is_free else None


def all_folders(root: Path) -> list[Path]:
    """Return the runs' folders, the newest first."""
    runs = root / "runs"
    found = [folder for folder in runs.iterdir() if folder.is_dir()] if runs.is_dir() else []
    return sorted(found, key=lambda folder: folder.stat().st_mtime, reverse=True)
