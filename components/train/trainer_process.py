"""The trainer process of a leg: started, shown, and started again from its newest checkpoint when it dies."""

import json
import math
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import BinaryIO

from components.common.console import Progress, print_status
from components.train.checkpoint_mirror import checkpoint_folders
from components.train.command import train_command
from components.train.leg import LegSettings
from components.train.runtimes import python_of, trainer_environment, trainer_failure
from dualgan.dataset_folder import image_counts
from dualgan.errors import BadInput, DualGANError, Interrupted
from dualgan.options import TrainOptions
from dualgan.run_folder import Event, RunFolder, is_training_step, step_of

POLL_SECONDS = 0.5
TAIL_BYTES = 1 << 16
SHOWN_LINES = 20
# A card that was reset or a node short of memory needs a moment; each pause is twice the one before.
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 10.0, 300.0


def run_trainer(leg: LegSettings, title: str, options: TrainOptions, retries: int = 0) -> None:
    """Run the trainer to its end, showing progress; a trainer that dies goes on from its newest checkpoint.

    Args:
        leg: What is trained, with which interpreter.
        title: What begins each line that is printed.
        options: The trainer's; ``run_dir`` is the run folder.
        retries: How often it is started again.

    Raises:
        BadInput: if the trainer refuses its input, which is never tried again.
        DualGANError: if it does not finish: with its own last line, or what killed it.
    """
    python, run, tries = python_of(leg.runtime), Path(options.run_dir), retries + 1
    for number in range(1, tries + 1):
        try:
            _run_once(leg, title, python, options)
            return
        except (BadInput, Interrupted):
            raise
        except DualGANError as error:
            if _comes_again(options):
                raise
            if number == tries:
                raise DualGANError(f"{error} (try {number} of {tries})" if retries else str(error)) from None
            pause = min(FIRST_PAUSE_SECONDS * 2 ** (number - 1), MAX_PAUSE_SECONDS)
            start = _newest_checkpoint(run)
            where = f"from step {start}" if start else "from the beginning"
            reason = str(error).removeprefix(f"leg {leg.name}: ")
            print_status(f"{title}: {reason}; goes on {where} in {pause:g} s ({number + 1} of {tries})")
        if not RunFolder(run).options.is_file():
            # It died before it had written what makes a folder its own.
            shutil.rmtree(run, ignore_errors=True)
        time.sleep(pause)


def _comes_again(options: TrainOptions) -> bool:
    """Whether the failure is a loss that is not finite: the same steps have the same losses."""
    last = newest_step(RunFolder(Path(options.run_dir)).events)
    return options.on_nan == "stop" and last is not None and not all(map(math.isfinite, last["metrics"].values()))


def _newest_checkpoint(run: Path) -> int:
    folders = checkpoint_folders(run)
    return (step_of(folders[-1].name) or 0) if folders else 0


def _run_once(leg: LegSettings, title: str, python: Path, options: TrainOptions) -> None:
    # A vendor's libraries say there whatever they have to say: a file never makes them wait for a reader.
    with tempfile.TemporaryFile() as output:
        try:
            _run_process(leg, title, train_command(python, options), options, output)
        except DualGANError:
            for line in last_lines(output):
                print_status(f"{title}: {line}")
            raise


def last_lines(file: BinaryIO) -> list[str]:
    """Return the last lines, SHOWN_LINES at most, of what a process has written into ``file``."""
    file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
    return file.read().decode("utf-8", "replace").splitlines()[-SHOWN_LINES:]


def _run_process(leg: LegSettings, title: str, command: list[str], options: TrainOptions, output: BinaryIO) -> None:
    process = subprocess.Popen(
        command, env=trainer_environment(leg.environment), stdout=output, stderr=subprocess.PIPE, text=True
    )
    terminated = False

    def pass_on(*_: object) -> None:
        nonlocal terminated
        terminated = True
        process.terminate()

    # A pod that is taken away gets SIGTERM: passed on, it lets the trainer save a checkpoint and end.
    previous = signal.signal(signal.SIGTERM, pass_on)
    try:
        errors = _follow(title, process, options)
    except BaseException:
        process.terminate()
        process.wait()
        raise
    finally:
        signal.signal(signal.SIGTERM, previous)
    if process.returncode:
        failure = trainer_failure(leg.name, process.returncode, errors)
        raise Interrupted(str(failure)) if terminated else failure


def _follow(title: str, process: "subprocess.Popen[str]", options: TrainOptions) -> str:
    """Show the run's progress until the process ends; what it wrote to stderr."""
    run = Path(options.run_dir)
    start = _newest_checkpoint(run)
    with Progress(title, _total_steps(options)) as progress:
        progress.show(start, "going on" if start else "starting")
        while True:
            try:
                _, errors = process.communicate(timeout=POLL_SECONDS)
                _show(progress, RunFolder(run).events)
                return errors
            except subprocess.TimeoutExpired:
                _show(progress, RunFolder(run).events)


def _total_steps(options: TrainOptions) -> int:
    counts = image_counts(Path(options.data_dir))
    steps = options.train_epochs * (min(counts["train/A"], counts["train/B"]) // options.batch_size)
    return min(steps, options.max_steps) if options.max_steps else steps


def newest_step(events: Path) -> Event | None:
    """The last training step in the file, read from its end: the file may hold a hundred thousand."""
    if not events.is_file():
        return None
    with events.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
        lines = file.read().split(b"\n")[1:-1]
    for line in reversed(lines):
        event: Event = json.loads(line)
        if is_training_step(event):
            return event
    return None


def _show(progress: Progress, events: Path) -> None:
    if not progress.due(time.monotonic()):
        return
    last = newest_step(events)
    if last:
        losses = {name: last["metrics"][name] for name in ("A_loss", "B_loss")}
        shown = " ".join(f"{name} {value:.3f}" for name, value in losses.items())
        progress.show(last["step"], f"{shown} {last['seconds']:.3f} s/step")
