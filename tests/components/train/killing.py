"""Kill trainer processes as an out-of-memory killer does, while something else waits for them."""

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from components.train.trainer_process import newest_step
from dualgan.run_folder import RunFolder

SECONDS = 120.0


@contextlib.contextmanager
def killed_at(run: Path, steps: Sequence[int]) -> Iterator[list[int]]:
    """Within the block, kill one trainer of ``run`` after the other, each at its step (0: as it starts).

    The list has the ids of those that were killed.
    """
    killed: list[int] = []
    thread = threading.Thread(target=_kill, args=(run, steps, killed), daemon=True)
    thread.start()
    yield killed
    thread.join(SECONDS)


def _kill(run: Path, steps: Sequence[int], killed: list[int]) -> None:
    deadline = time.monotonic() + SECONDS
    for step in steps:
        while time.monotonic() < deadline:
            last = newest_step(RunFolder(run).events)
            found = [process for process in _trainers(run) if process.pid not in killed]
            if found and (last["step"] if last else 0) >= step:
                killed.append(found[0].pid)
                found[0].kill()
                break
            time.sleep(0.005)


def _trainers(run: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            command = process.cmdline()
            if "train" in command and str(run) in command:
                found.append(process)
    return found
