"""Run folders as the trainer writes them, small, and growing while they are watched."""

import json
from pathlib import Path
from typing import Any

from PIL import Image

from dualgan.run_folder import SAMPLE_KINDS, RunFolder, sample_path, write_json

START_TIME = 1_750_000_000.25
METRICS = ("A_loss", "B_loss", "d_loss")


def event_time(step: int, attempt: int = 0) -> float:
    return START_TIME + step + attempt * 10_000


def value_of(metric: str, step: int) -> float:
    return 1.0 / (1 + step) + METRICS.index(metric)


def training_step(step: int, attempt: int = 0) -> dict[str, Any]:
    metrics = {metric: value_of(metric, step) for metric in METRICS}
    return {"step": step, "time": event_time(step, attempt), "seconds": 0.1, "epoch": 0, "metrics": metrics}


def typed(kind: str, step: int, attempt: int = 0, **more: Any) -> dict[str, Any]:
    return {"type": kind, "step": step, "time": event_time(step, attempt) + 0.5, **more}


def timing(step: int) -> dict[str, Any]:
    return typed("timing", step, metrics={"sec_per_step": 0.1, "images_per_sec": 10.0})


def append(folder: Path, *events: dict[str, Any]) -> None:
    with RunFolder(folder).events.open("a") as file:
        file.writelines(json.dumps(event) + "\n" for event in events)


def begin(folder: Path, seed: int = 3, **options: Any) -> Path:
    folder.mkdir(parents=True)
    content = {
        "options": {"seed": seed, "lr": 0.0002, "steps": 20, "device": "cpu", **options},
        "environment": {
            "device": {"kind": "cpu", "name": "a test CPU"},
            "tensorflow": "1.15.0",
            "python": "3.7.16",
            "git_commit": "0123abcd",
        },
        "dataset": {"name": "shapes", "source": "synthetic", "counts": {"train/A": 8}, "digest": "d" * 64},
    }
    write_json(RunFolder(folder).options, content)
    append(folder, typed("started", 0))
    return folder


def train(folder: Path, first: int, last: int, attempt: int = 0) -> None:
    append(folder, *[training_step(step, attempt) for step in range(first, last + 1)])


def sample(folder: Path, step: int, images: int = 1, shade: int = 90, name: str = "") -> None:
    target = RunFolder(folder).samples_of(step)
    target.mkdir(parents=True, exist_ok=True)
    for number in range(images):
        for place, kind in enumerate(SAMPLE_KINDS):
            picture = Image.new("RGB", (40, 40), (shade, 40 * place, number))
            picture.save(sample_path(target, name or f"{number:04d}", kind))
    append(folder, typed("sample", step))


def finish(folder: Path, steps: int, status: str = "finished") -> None:
    append(folder, typed(status, steps))
    summary = {
        "status": status,
        "steps": steps,
        "min_loss": 0.05,
        "final_loss": {"A_loss": 0.06, "B_loss": 0.07, "window": 4},
        "sec_per_step": 0.1,
        "sec_per_step_p95": 0.12,
        "images_per_sec": 10.0,
        "time": {"total": 2.0},
        "peak_memory_bytes": None,
    }
    write_json(RunFolder(folder).summary, summary)


def finished_run(folder: Path, seed: int = 3, shade: int = 90, name: str = "") -> Path:
    """20 steps, timing after 10 and 20, samples of one image after step 20."""
    begin(folder, seed)
    train(folder, 1, 10)
    append(folder, timing(10))
    train(folder, 11, 20)
    append(folder, timing(20))
    sample(folder, 20, shade=shade, name=name)
    finish(folder, 20)
    return folder
