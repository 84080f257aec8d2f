"""Kill trainer processes as an out-of-memory killer does, while something else waits for them."""

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from components.train.train import newest_step

SECONDS = 300.0


@contextlib.contextmanager
def killed_at(steps: Sequence[int]) -> Iterator[list[int]]:
    """Within the block, kill one trainer after the other below this process, each at its step (0: as it starts).

    The list has the ids of those that were killed.
    """
    killed: list[int] = []
    thread = threading.Thread(target=_kill, args=(steps, killed), daemon=True)
    thread.start()
    yield killed
    thread.join(SECONDS)


def _kill(steps: Sequence[int], killed: list[int]) -> None:
    deadline = time.monotonic() + SECONDS
    for step in steps:
        # Found first and watched then: looking through all processes takes longer than some steps.
        while (found := next((one for one in _trainers() if one[0].pid not in killed), None)) is None:
            if time.monotonic() > deadline:
                return
            time.sleep(0.1)
        process, run = found
        while _step(run) < step and process.is_running() and time.monotonic() < deadline:
            time.sleep(0.005)
        process.kill()
        killed.append(process.pid)


def _step(run: Path) -> int:
    last = newest_step(run)
    return int(last["step"]) if last else 0


def _trainers() -> list[tuple[psutil.Process, Path]]:
    """The trainers that run, each with its run folder."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            command = process.cmdline()
            if command[2:4] == ["dualgan", "train"]:
                found.append((process, Path(command[command.index("--run_dir") + 1])))
    return found
