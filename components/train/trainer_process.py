"""The trainer's program ``dualgan``, run for a leg: with its interpreter and environment, never outliving its caller.

Training shows progress meanwhile, and is started again from its newest checkpoint if the process dies.
"""

import json
import math
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from components.common.console import Progress, print_status
from components.common.processes import child_process, exit_reason
from components.train.checkpoint_mirror import checkpoint_folders
from components.train.leg import LegSettings, train_arguments
from components.train.runtimes import python_of, trainer_environment
from dualgan.dataset_folder import image_counts
from dualgan.errors import EXIT_BAD_INPUT, BadInput, DualGANError
from dualgan.options import TrainOptions
from dualgan.run_folder import Event, RunFolder, is_training_step, step_of

POLL_SECONDS = 0.5
TAIL_BYTES = 1 << 16
SHOWN_LINES = 20
# A card that was reset or a node short of memory needs a moment; each pause is twice the one before.
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 10.0, 300.0


class Answer(NamedTuple):
    """How ``dualgan`` ended: its exit code, and the end of what it wrote to standard output and standard error."""

    exit_code: int
    output: str
    errors: str


def run_dualgan(leg: LegSettings, arguments: Sequence[str], poll: Callable[[], None] = lambda: None) -> Answer:
    """Run ``dualgan`` to its end, as the leg's runtime does; ``poll`` is called now and then meanwhile.

    Raises:
        BadInput: if the runtime is missing.
    """
    command = [str(python_of(leg.runtime)), "-m", "dualgan", *arguments]
    # A vendor's libraries say there whatever they have to say: a file never makes them wait for a reader.
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        environment = trainer_environment(leg.environment)
        with child_process(command, env=environment, stdout=output, stderr=errors) as process:
            while True:
                try:
                    exit_code = process.wait(POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    poll()
        poll()
        return Answer(exit_code, _tail(output), _tail(errors))


def trainer_failure(leg: str, answer: Answer) -> DualGANError:
    """Return the error that ``dualgan`` ended with: what killed it, or in its own words what it said last."""
    # Libraries may go on after the trainer's own last line.
    lines = answer.errors.strip().splitlines() or [""]
    last = ([line for line in lines if line.startswith("error: ")] or lines)[-1].removeprefix("error: ")
    kind = BadInput if answer.exit_code == EXIT_BAD_INPUT else DualGANError
    return kind(f"leg {leg}: {exit_reason(answer.exit_code, last)}")


def require_success(leg: LegSettings, answer: Answer) -> str:
    """Return what ``dualgan`` wrote to standard output. Raises DualGANError, with its own line, if it failed."""
    if answer.exit_code:
        raise trainer_failure(leg.name, answer)
    return answer.output


def _tail(file: BinaryIO) -> str:
    file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
    return file.read().decode("utf-8", "replace")


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
    run, tries = Path(options.run_dir), retries + 1
    for number in range(1, tries + 1):
        try:
            _train_once(leg, title, options)
            return
        except BadInput:
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


def _train_once(leg: LegSettings, title: str, options: TrainOptions) -> None:
    run = Path(options.run_dir)
    start = _newest_checkpoint(run)
    with Progress(title, _total_steps(options)) as progress:
        progress.show(start, "going on" if start else "starting")
        answer = run_dualgan(leg, train_arguments(options), lambda: _show(progress, RunFolder(run).events))
    if answer.exit_code:
        for line in answer.output.splitlines()[-SHOWN_LINES:]:
            print_status(f"{title}: {line}")
        raise trainer_failure(leg.name, answer)


def _comes_again(options: TrainOptions) -> bool:
    """Return whether the failure is a loss that is not finite: the same steps have the same losses."""
    last = newest_step(RunFolder(Path(options.run_dir)).events)
    return options.on_nan == "stop" and last is not None and not all(map(math.isfinite, last["metrics"].values()))


def _newest_checkpoint(run: Path) -> int:
    folders = checkpoint_folders(run)
    return (step_of(folders[-1].name) or 0) if folders else 0


def _total_steps(options: TrainOptions) -> int:
    counts = image_counts(Path(options.data_dir))
    steps = options.train_epochs * (min(counts["train/A"], counts["train/B"]) // options.batch_size)
    return min(steps, options.max_steps) if options.max_steps else steps


def newest_step(events: Path) -> Event | None:
    """Return the last training step in the file, read from its end: the file may hold a hundred thousand."""
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
