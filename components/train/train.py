"""Train one leg: start the trainer of its runtime, follow what it writes, and keep MLflow level with it."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from components.common.console import Progress, print_status
from components.tracking.live import follow_in_background
from components.tracking.placement import Placement
from components.train.command import checked_options, train_command
from components.train.commit import code_commit
from components.train.kept_run import keep_in_s3
from components.train.leg import LegSettings
from components.train.runtimes import python_of, trainer_environment, trainer_failure
from dualgan.dataset_folder import image_counts
from dualgan.options import TrainOptions
from dualgan.run_folder import Event, RunFolder, is_training_step, read_json

POLL_SECONDS = 0.5
TAIL_BYTES = 1 << 16


def train(
    leg: LegSettings,
    dataset: Path,
    run: Path,
    *,
    model: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    seed: int = 0,
    placement: Placement | None = None,
    cache: Path | None = None,
    kept: str | None = None,
) -> dict[str, Any]:
    """Train ``leg`` on a dataset folder into the run folder ``run``; the content of its summary.json.

    model: where the checkpoints go at the end, beside a copy of options.json; such a folder is as good as the run
    folder to draw with, to export, to trace and to replay. Without it they stay where they are. overrides: trainer
    options on top of the leg's. placement: where the run belongs in MLflow; what is left open comes from the
    environment, and without a server it is the local store. kept: s3://bucket/prefix that keeps the run folder while
    it trains, so that another machine goes on with it. Raises BadInput or DualGANError with the trainer's own last
    line where it fails; MLflow never makes it fail.
    """
    python = python_of(leg.runtime)
    options = replace(
        checked_options({**leg.options, **(overrides or {})}),
        data_dir=str(dataset),
        run_dir=str(run),
        cache_dir=str(cache) if cache else "",
        device=leg.device,
        seed=seed,
        git_commit=code_commit() or "",
    )
    place = replace(placement or Placement(), leg=leg.name, role=leg.role, runtime=leg.runtime)
    title = f"train {leg.name} seed {seed}"
    with keep_in_s3(run, kept, print_status), follow_in_background(run, place, title, print_status):
        _run_trainer(leg, title, python, options)
    if model:
        split_off_model(run, model)
    summary = read_json(RunFolder(run).summary)
    print_status(f"{title}: {_in_words(summary)}")
    return summary


def split_off_model(run: Path, model: Path) -> None:
    """Move the checkpoints of ``run`` to the folder ``model``, with the options that they are loaded with."""
    source, target = RunFolder(run), RunFolder(model)
    model.mkdir(parents=True, exist_ok=True)
    shutil.copy(source.options, target.options)
    shutil.move(source.checkpoints, target.checkpoints)


def _in_words(summary: Mapping[str, Any]) -> str:
    speed = summary["sec_per_step"]
    pace = f"{speed:.4f} s a step" if speed else "too few steps to time"
    lowest = summary["min_loss"]
    loss = "no finite loss" if lowest is None else f"min loss {lowest:.4f}"
    return f"{summary['status']} after {summary['steps']} steps, {summary['time']['total']:.0f} s; {loss}, {pace}"


def _run_trainer(leg: LegSettings, title: str, python: Path, options: TrainOptions) -> None:
    """Run the trainer to its end, showing progress. Raises BadInput or DualGANError where it does not finish."""
    process = subprocess.Popen(
        train_command(python, options),
        env=trainer_environment(leg.environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    # A pod that is taken away gets SIGTERM: passed on, it lets the trainer save a checkpoint and end.
    previous = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        errors = _follow(title, process, options)
    except BaseException:
        process.terminate()
        process.wait()
        raise
    finally:
        signal.signal(signal.SIGTERM, previous)
    if process.returncode:
        raise trainer_failure(leg.name, process.returncode, errors)


def _follow(title: str, process: "subprocess.Popen[str]", options: TrainOptions) -> str:
    """Show the run's progress until the process ends; what it wrote to stderr."""
    events = RunFolder(Path(options.run_dir)).events
    with Progress(title, _total_steps(options)) as progress:
        progress.show(0, "starting")
        while True:
            try:
                _, errors = process.communicate(timeout=POLL_SECONDS)
                _show(progress, events)
                return errors
            except subprocess.TimeoutExpired:
                _show(progress, events)


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
