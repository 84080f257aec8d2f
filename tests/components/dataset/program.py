"""The dataset step's command line as a process of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

DEADLINE = 60.0


def start_fetch(source: str, destination: Path, *options: str) -> subprocess.Popen[str]:
    """A process that fetches; it records no checksums."""
    arguments = ["fetch", source, str(destination), "--no-lock", *options]
    return subprocess.Popen(
        [sys.executable, "-m", "components.dataset", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def finished(process: subprocess.Popen[str]) -> str:
    """What a process wrote that must succeed."""
    output, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, errors
    return output


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for ``condition``, which must come while ``process`` still runs."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
