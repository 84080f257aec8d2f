"""Running ``python -m dualgan`` as a user does, and reading what it leaves behind."""

import io
import subprocess
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dualgan.cli import main
from dualgan.run_folder import RunFolder, is_training_step, read_events

# For what does not depend on TensorFlow's version.
on_one_runtime = pytest.mark.parametrize("trainer", ["tf2"], indirect=True)
# A command on TensorFlow 1.15 costs its import each time: what takes many of them is seen on it in the system tier.
tf1_in_the_system_tier = pytest.mark.parametrize(
    "trainer", [pytest.param("tf1", marks=pytest.mark.system), "tf2"], indirect=True
)
SMALL = ("--image_size", "32", "--gcn", "2", "--dcn", "2", "--threads", "1")


@dataclass(frozen=True)
class Trainer:
    """``python -m dualgan`` of one runtime.

    in_process: whether a command runs in this process, which is spared the seconds that TensorFlow's import takes.
    """

    python: Path
    environment: Mapping[str, str]
    in_process: bool = False

    def __call__(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        if self.in_process:
            printed, errors = io.StringIO(), io.StringIO()
            with redirect_stdout(printed), redirect_stderr(errors):
                code = main(list(arguments))
            return subprocess.CompletedProcess(arguments, code, printed.getvalue(), errors.getvalue())
        return subprocess.run(
            self.command(*arguments), env=self.environment, capture_output=True, text=True, timeout=300, check=False
        )

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        pipe = subprocess.PIPE
        return subprocess.Popen(self.command(*arguments), env=self.environment, stdout=pipe, stderr=pipe, text=True)

    def command(self, *arguments: str) -> list[str]:
        return [str(self.python), "-m", "dualgan", *arguments]


def losses_of(run: Path) -> list[tuple[int, int, Mapping[str, Any]]]:
    """Step, epoch and metrics of every training step: all of an event that does not depend on the time."""
    events = read_events(RunFolder(run).events)
    return [(event["step"], event["epoch"], event["metrics"]) for event in events if is_training_step(event)]


def checkpoint_bytes(run: Path, step: int) -> bytes:
    """The variables and slots of a checkpoint, as they lie on disk."""
    (file,) = (RunFolder(run).checkpoints / f"step-{step:06d}").glob("model.data-*")
    return file.read_bytes()


def event_types(run: Path) -> list[str]:
    return [event["type"] for event in read_events(RunFolder(run).events) if "type" in event]
