"""A trainer process on each runtime that is set up here, and a dataset for it."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.train.runtimes import RUNTIMES, is_set_up, python_of, trainer_environment
from tests.components.dualgan.trainer import SMALL, Trainer


@pytest.fixture(scope="session", params=RUNTIMES)
def trainer(request: pytest.FixtureRequest) -> Trainer:
    if not is_set_up(request.param):
        (pytest.fail if request.config.getoption("--skip-nothing") else pytest.skip)(
            f"runtime {request.param} is not set up (no Python 3.7 was found)"
        )
    # One thread: sums are then always taken in the same order.
    return Trainer(python_of(request.param), trainer_environment({}), in_process=request.param == "tf2")


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six images of 40 x 48 px in train/A, seven in train/B, two in each of val/A and val/B."""
    folder = tmp_path_factory.mktemp("dataset")
    random = np.random.default_rng(0)
    for place, count in {"train/A": 6, "train/B": 7, "val/A": 2, "val/B": 2}.items():
        (folder / place).mkdir(parents=True)
        for number in range(count):
            coarse = random.integers(0, 256, (6, 5, 3), dtype=np.uint8)
            picture = Image.fromarray(coarse).resize((40, 48), Image.Resampling.BICUBIC)
            picture.save(folder / place / f"{number}.png")
    return folder


@pytest.fixture
def train(trainer: Trainer, dataset: Path, tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Train a tiny model on ``dataset``: train(run folder, "--name", "value", ...)."""

    def run(run_folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
        cache = ("--cache_dir", str(tmp_path / "cache"))
        return trainer("train", "--data_dir", str(dataset), "--run_dir", str(run_folder), *cache, *SMALL, *options)

    return run
