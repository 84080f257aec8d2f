"""Train one leg: start the trainer of its runtime, follow what it writes, and keep MLflow level with it."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from components.common.console import print_status
from components.tracking.follower import follow_in_background
from components.tracking.placement import Placement
from components.train.checkpoint_mirror import mirrored
from components.train.code_version import code_commit
from components.train.leg import LegSettings, checked_options
from components.train.runtimes import python_of
from components.train.trainer_process import run_trainer
from dualgan.run_folder import RunFolder, read_json


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
    retries: int = 0,
    checkpoint_uri: str | None = None,
) -> dict[str, Any]:
    """Train ``leg`` on a dataset folder into the run folder ``run``; MLflow never makes it fail.

    Args:
        leg: What is trained, on which device.
        dataset: The dataset folder.
        run: The run folder.
        model: Where the checkpoints go at the end, beside a copy of options.json; such a folder is as good as the run
            folder to draw with, to export, to trace and to replay. Without it they stay where they are.
        overrides: Trainer options on top of the leg's.
        seed: Of the weights, the order of images and the noise.
        placement: Where the run belongs in MLflow. What is left open comes from the environment, and without a server
            it is the local store.
        cache: Of decoded images; by default the user's.
        retries: How often a trainer that dies is started again, from its newest checkpoint.
        checkpoint_uri: s3://bucket/prefix where the newest checkpoint is copied, so that another machine goes on.

    Returns:
        The content of summary.json.

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
    place = replace(placement or Placement(), leg=leg.name, role=leg.role, runtime=leg.runtime)
    title = f"train {leg.name} seed {seed}"
    if model and RunFolder(model).checkpoints.is_dir() and not RunFolder(run).checkpoints.exists():
        # An earlier try was ended just after its training: the trainer finds that there is nothing left to do.
        shutil.move(RunFolder(model).checkpoints, RunFolder(run).checkpoints)
    with mirrored(run, checkpoint_uri, print_status), follow_in_background(run, place, title, print_status):
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
