"""Train one leg: start its trainer, again if it dies, follow what it writes, and keep MLflow level with it."""

import json
import math
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from components.common.console import Progress, print_status
from components.common.revision import code_commit
from components.tracking.follower import follow_in_background
from components.tracking.target import TrackingTarget
from components.train.checkpoint_mirror import mirrored, newest_checkpoint
from components.train.leg import LegSettings, checked_options, run_dualgan, tail, train_arguments, trainer_failure
from components.train.runtimes import python_of
from dualgan.dataset_folder import image_counts
from dualgan.errors import BadInput, DualGANError
from dualgan.options import TrainOptions
from dualgan.run_folder import RECONSTRUCTION_METRICS, Event, RunFolder, is_training_step, read_json

SHOWN_LINES = 20
# A card that was reset or a node short of memory needs a moment; each pause is twice the one before.
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 10.0, 300.0


def train(
    leg: LegSettings,
    dataset: Path,
    run: Path,
    *,
    model: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    seed: int = 0,
    target: TrackingTarget | None = None,
    cache: Path | None = None,
    retries: int = 0,
    checkpoint_uri: str | None = None,
) -> dict[str, Any]:
    """Train ``leg`` on a dataset folder into the run folder ``run``; MLflow never makes it fail.

    Args:
        leg: What is trained, on which device.
        dataset: The dataset folder.
        run: The run folder, whose summary.json is returned.
        model: Where the checkpoints go at the end, beside a copy of options.json; such a folder is as good as the run
            folder to draw with, to export, to trace and to replay. Without it they stay where they are.
        overrides: Trainer options on top of the leg's.
        seed: Of the weights, the order of images and the noise.
        target: Where the run belongs in MLflow; what is left open comes from the environment.
        cache: Of decoded images; by default the user's.
        retries: How often a trainer that dies is started again, from its newest checkpoint.
        checkpoint_uri: s3://bucket/prefix where the newest checkpoint is copied, so that another machine goes on.

    Raises:
        BadInput, DualGANError: if the trainer does not finish, with its own last line or what killed it.
    """
    # Before anything is started.
    python_of(leg.runtime)
    options = replace(
        checked_options({**leg.options, **(overrides or {})}),
        data_dir=str(dataset),
        run_dir=str(run),
        cache_dir=str(cache) if cache else "",
        device=leg.device,
        seed=seed,
        git_commit=code_commit() or "",
    )
    target = replace(target or TrackingTarget(), leg=leg.name, role=leg.role, runtime=leg.runtime)
    title = f"train {leg.name} seed {seed}"
    if model and RunFolder(model).checkpoints.is_dir() and not RunFolder(run).checkpoints.exists():
        # An earlier try was ended just after its training: the trainer finds that there is nothing left to do.
        shutil.move(RunFolder(model).checkpoints, RunFolder(run).checkpoints)
    with mirrored(run, checkpoint_uri, print_status), follow_in_background(run, target, title, print_status):
        run_trainer(leg, title, options, retries)
    if model:
        split_off_model(run, model)
    summary = read_json(RunFolder(run).summary)
    print_status(f"{title}: {_in_words(summary)}")
    return summary


def split_off_model(run: Path, model: Path) -> None:
    """Move the checkpoints of ``run`` to the folder ``model``, with the options that they are loaded with.

    The trainer's lock goes: no trainer will work in either.
    """
    source, target = RunFolder(run), RunFolder(model)
    model.mkdir(parents=True, exist_ok=True)
    shutil.copy(source.options, target.options)
    shutil.move(source.checkpoints, target.checkpoints)
    source.lock.unlink(missing_ok=True)


def figures(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the dozen figures of a summary.json that a reader of a pipeline's page looks for; None if not measured."""
    losses, times = summary.get("final_loss") or {}, summary.get("time") or {}
    same = ("steps", "epochs", "min_loss", "sec_per_step", "images_per_sec")
    memory = ("peak_memory_bytes", "peak_device_memory_bytes")
    return {
        **{name: summary.get(name) for name in (*same, *memory)},
        "final_A_loss": losses.get("A_loss"),
        "final_B_loss": losses.get("B_loss"),
        "seconds": times.get("total"),
    }


def _in_words(summary: Mapping[str, Any]) -> str:
    speed = summary["sec_per_step"]
    pace = f"{speed:.4f} s a step" if speed else "too few steps to time"
    lowest = summary["min_loss"]
    loss = "no finite loss" if lowest is None else f"min loss {lowest:.4f}"
    return f"{summary['status']} after {summary['steps']} steps, {summary['time']['total']:.0f} s; {loss}, {pace}"


def run_trainer(leg: LegSettings, title: str, options: TrainOptions, retries: int = 0) -> None:
    """Run the trainer to its end; one that dies is started again ``retries`` times, from its newest checkpoint.

    A trainer that refuses its input, and one whose losses are not finite, would end in the same way again.
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
            start = newest_checkpoint(run)
            where = f"from step {start}" if start else "from the beginning"
            reason = str(error).removeprefix(f"leg {leg.name}: ")
            print_status(f"{title}: {reason}; goes on {where} in {pause:g} s ({number + 1} of {tries})")
        if not RunFolder(run).options.is_file():
            # It died before it had written what makes a folder its own.
            shutil.rmtree(run, ignore_errors=True)
        time.sleep(pause)


def _train_once(leg: LegSettings, title: str, options: TrainOptions) -> None:
    run = Path(options.run_dir)
    start = newest_checkpoint(run)
    with Progress(title, _total_steps(options)) as progress:

        def show() -> None:
            if progress.due(time.monotonic()) and (last := newest_step(run)):
                losses = " ".join(f"{name} {last['metrics'][name]:.3f}" for name in RECONSTRUCTION_METRICS)
                progress.show(last["step"], f"{losses} {last['seconds']:.3f} s/step")

        progress.show(start, "going on" if start else "starting")
        answer = run_dualgan(leg, train_arguments(options), show)
    if answer.exit_code:
        for line in answer.output.splitlines()[-SHOWN_LINES:]:
            print_status(f"{title}: {line}")
        raise trainer_failure(leg.name, answer)


def _comes_again(options: TrainOptions) -> bool:
    """Return whether the failure is a loss that is not finite: the same steps have the same losses."""
    last = newest_step(Path(options.run_dir))
    return options.on_nan == "stop" and last is not None and not all(map(math.isfinite, last["metrics"].values()))


def _total_steps(options: TrainOptions) -> int:
    counts = image_counts(Path(options.data_dir))
    steps = options.train_epochs * (min(counts["train/A"], counts["train/B"]) // options.batch_size)
    return min(steps, options.max_steps) if options.max_steps else steps


def newest_step(run: Path) -> Event | None:
    """Return the last training step of a run folder, read from the end of its events, which may be many."""
    events = RunFolder(run).events
    if not events.is_file():
        return None
    with events.open("rb") as file:
        lines = tail(file).split("\n")[1:-1]
    return next(filter(is_training_step, map(json.loads, reversed(lines))), None)
