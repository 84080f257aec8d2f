"""Run folders as the trainer leaves them, made without training."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from components.compare.leg import Leg, Source
from dualgan.run_folder import (
    LOSS_METRICS,
    NETWORKS,
    RunFolder,
    is_training_step,
    min_loss,
    read_events,
    sample_path,
    write_json,
)

STARTED = 1_700_000_000.0
DIGEST = "a" * 64
OPTIONS: dict[str, Any] = {
    "seed": 7,
    "lr": 5e-5,
    "batch_size": 1,
    "image_size": 64,
    "gcn": 8,
    "device": "cpu",
    "threads": 2,
}


def write_run(
    folder: Path,
    *,
    device: str = "cpu",
    device_name: str = "Example CPU",
    tensorflow: str = "2.21.0",
    steps: int = 60,
    loss_factor: float = 1.0,
    sec_per_step: float | None = 0.1,
    options: Mapping[str, Any] = {},
    digest: str = DIGEST,
    summary: Mapping[str, Any] | None = {},
    noise: int = 0,
    images: int = 2,
    blur: float = 0.0,
    rebuilding_error: float = 6.0,
) -> Path:
    """A finished run: losses of ``loss_factor`` times a common curve, and samples of ``images`` images.

    ``options`` and ``summary`` replace entries of the files; ``summary=None`` leaves the file out. ``noise``
    seeds what differs from run to run. A2B and B2A are 3 levels off the other domain's pictures and then blurred with
    radius ``blur``; A2B2A and B2A2B are on average about ``rebuilding_error`` levels off.
    """
    run = RunFolder(folder)
    folder.mkdir(parents=True)
    environment = {
        "device": {"kind": device, "name": device_name, "driver": "25.0", "products": "float32"},
        "tensorflow": tensorflow,
        "python": "3.11.9",
        "numpy": "2.3.0",
        "platform": "Linux-x86_64",
        "git_commit": None,
        "variables": {"TF_ENABLE_ONEDNN_OPTS": "0"},
    }
    dataset = {
        "name": "shapes",
        "source": "made for a test",
        "counts": {"train/A": 8, "train/B": 8},
        "digest": digest,
    }
    resolved = {**OPTIONS, "device": device, **options}
    write_json(run.options, {"options": resolved, "environment": environment, "dataset": dataset})
    write_events(run.events, loss_table(steps, loss_factor, noise), sec_per_step)
    write_samples(run.samples_of(steps), images=images, blur=blur, rebuilding_error=rebuilding_error, noise=noise)
    if summary is not None:
        write_json(run.summary, {**_summary(run, steps, sec_per_step), **summary})
    return folder


def write_leg(name: str, folder: Path, seeds: Sequence[int] = (0, 1, 2), noise: int = 0, **run: Any) -> Leg:
    """A leg with a finished run of each seed in ``folder``; ``run`` is what write_run takes."""
    options = run.pop("options", {})
    runs = [
        write_run(folder / f"seed-{seed}", noise=10 * noise + seed, options={**options, "seed": seed}, **run)
        for seed in seeds
    ]
    return Leg(name, tuple(map(Source, runs)))


def loss_table(steps: int, factor: float = 1.0, noise: int = 0) -> list[dict[str, float]]:
    return list(loss_rows(steps, factor, noise))


def loss_rows(steps: int, factor: float = 1.0, noise: int = 0) -> Iterator[dict[str, float]]:
    """The losses of each step: reconstruction falls from 0.5 towards 0.05 times ``factor``."""
    random = np.random.default_rng(noise)
    for step in range(1, steps + 1):
        rebuilding = factor * (0.05 + 0.45 * np.exp(-8 * step / steps)) * random.uniform(0.98, 1.02, 2)
        metrics = dict.fromkeys(LOSS_METRICS, 0.1)
        metrics |= {"A_loss": float(rebuilding[0]), "B_loss": float(rebuilding[1])}
        metrics["g_loss"] = float(1000 * rebuilding.sum())
        metrics["d_loss"] = float(random.normal(-1.0, 0.2))
        metrics["gradient_penalty"] = float(0.02 + random.exponential(0.01))
        yield metrics


def write_events(
    path: Path, losses: Iterable[dict[str, float]], sec_per_step: float | None = 0.1, feed: Sequence[float] = ()
) -> None:
    """Write the events of a finished training; ``feed`` is the signature of what every step was fed."""
    seconds, step = sec_per_step or 0.1, 0
    more = {"update_norms": dict.fromkeys(NETWORKS, 0.1), **({"feed": feed} if feed else {})}
    with path.open("w", encoding="utf-8") as file:

        def write(step: int, **event: Any) -> None:
            file.write(json.dumps({"step": step, "time": STARTED + step * seconds, **event}) + "\n")

        write(0, type="started")
        for step, metrics in enumerate(losses, 1):
            write(step, seconds=seconds, epoch=step // 8, metrics=metrics, **more)
        write(step, type="timing", metrics={"sec_per_step": seconds, "images_per_sec": 1 / seconds})
        write(step, type="finished")


def write_samples(
    folder: Path,
    *,
    images: int = 2,
    size: int = 64,
    blur: float = 0.0,
    rebuilding_error: float = 6.0,
    noise: int = 0,
) -> Path:
    """``images`` validation images with all six kinds; what comes in is the same for every ``noise``."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(noise)
    for number in range(1, images + 1):
        name = f"val-{number:03d}"
        sketch, photo = _sketch(size, number), _photo(size, number)
        pictures = {
            "real_A": sketch,
            "A2B": _disturbed(photo, 3.0, random).filter(ImageFilter.GaussianBlur(blur)),
            "A2B2A": _disturbed(sketch, rebuilding_error, random),
            "real_B": photo,
            "B2A": _disturbed(sketch, 3.0, random).filter(ImageFilter.GaussianBlur(blur)),
            "B2A2B": _disturbed(photo, rebuilding_error, random),
        }
        for kind, picture in pictures.items():
            picture.save(sample_path(folder, name, kind))
    return folder


def _summary(run: RunFolder, steps: int, sec_per_step: float | None) -> dict[str, Any]:
    rows = [event["metrics"] for event in read_events(run.events) if is_training_step(event)]
    window = max(1, steps // 10)
    final = {name: float(np.mean([row[name] for row in rows[-window:]])) for name in ("A_loss", "B_loss")}
    training = steps * (sec_per_step or 0.1)
    return {
        "status": "finished",
        "reason": None,
        "steps": steps,
        "epochs": steps / 8,
        "min_loss": min_loss(row["A_loss"] for row in rows),
        "final_loss": {**final, "window": window},
        "sec_per_step": sec_per_step,
        "sec_per_step_p95": sec_per_step and sec_per_step * 1.2,
        "images_per_sec": sec_per_step and 1 / sec_per_step,
        "time": {
            "total": training + 4.0,
            "training": training,
            "waiting_for_data": 1.0,
            "checkpointing": 2.0,
            "sampling": 1.0,
        },
        "peak_memory_bytes": 700 * 2**20,
    }


def _sketch(size: int, number: int) -> Image.Image:
    """Dark lines on white paper, others for every ``number``."""
    down, across = np.mgrid[0:size, 0:size]
    lines = (across + number * down) % 16 < 2
    return Image.fromarray(np.where(lines[..., None], [40, 40, 60], [250, 250, 245]).astype(np.uint8))


def _photo(size: int, number: int) -> Image.Image:
    """Coloured texture, another for every ``number``."""
    texture = np.random.default_rng(100 + number).integers(0, 90, (size, size, 3))
    shade = np.linspace(0, 120, size)[:, None, None] * np.array([1.0, 0.7, 0.3])
    return Image.fromarray((texture + shade).astype(np.uint8))


def _disturbed(picture: Image.Image, error: float, random: np.random.Generator) -> Image.Image:
    pixels = np.asarray(picture, dtype=np.float64)
    # The mean absolute value of a normal distribution is 0.8 times its deviation.
    return Image.fromarray(np.clip(pixels + random.normal(0, error / 0.8, pixels.shape), 0, 255).astype(np.uint8))
