"""The files that tracking keeps of a run folder: where it belongs in MLflow, and what the machine did meanwhile.

The trainer alone writes the run folder while it trains, so they are its neighbours: ``runs/gpu`` has
``runs/gpu.tracking.json``. A pipeline hands a folder on and not its neighbours, so at the end copies go into it.
"""

import shutil
from pathlib import Path

TARGET, SYSTEM_METRICS = "tracking.json", "system.jsonl"


def neighbour(run_folder: Path, kind: str) -> Path:
    """The file of a training that goes on: beside its run folder."""
    folder = run_folder.resolve()
    return folder.with_name(f"{folder.name}.{kind}")


def find(run_folder: Path, kind: str) -> Path:
    """The file to read: the neighbour, or the copy in the folder if that is all there is."""
    beside = neighbour(run_folder, kind)
    return beside if beside.is_file() else run_folder / kind


def take_along(run_folder: Path) -> None:
    """Copy the neighbours into the folder of a training that has ended."""
    for kind in (TARGET, SYSTEM_METRICS):
        if neighbour(run_folder, kind).is_file():
            shutil.copyfile(neighbour(run_folder, kind), run_folder / kind)
