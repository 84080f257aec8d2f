"""A leg that was really trained, for a moment, its comparison, and a store to publish it into."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.publish.registry import Graphs, export_graphs
from components.train.leg import LegSettings
from components.train.runtimes import python_of, trainer_environment
from dualgan.run_folder import RunFolder, read_json, write_json

# Fixtures of the tests of tracking: the database with MLflow's tables, and an environment without its variables.
from tests.components.tracking.conftest import database, no_tracking_variables, store

__all__ = ["database", "no_tracking_variables", "store"]

SIDE = 32
OPTIONS = ("--image_size", str(SIDE), "--gcn", "2", "--dcn", "2", "--threads", "1", "--max_steps", "12")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of 12 steps on TensorFlow 2, with samples of one image."""
    folder = tmp_path_factory.mktemp("trained")
    random = np.random.default_rng(0)
    for place in ("train/A", "train/B", "val/A", "val/B"):
        (folder / "shapes" / place).mkdir(parents=True)
        for number in range(2):
            coarse = random.integers(0, 256, (5, 5, 3), dtype=np.uint8)
            picture = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
            picture.save(folder / "shapes" / place / f"{number}.png")
    command = [str(python_of("tf2")), "-m", "dualgan", "train", *OPTIONS, "--sample_images", "1"]
    command += ["--data_dir", str(folder / "shapes"), "--run_dir", str(folder / "run")]
    command += ["--cache_dir", str(folder / "cache")]
    subprocess.run(command, env=trainer_environment({}), capture_output=True, timeout=300, check=True)
    return folder / "run"


@pytest.fixture(scope="session")
def exported(trained: Path) -> Graphs:
    """The graphs of the trained run, as they are exported when it is published."""
    return export_graphs(LegSettings("npu", "tf2", "cpu", "candidate"), trained, trained.with_name("graphs"))


@pytest.fixture
def run(tmp_path: Path, trained: Path) -> Path:
    """A copy of the trained run, that the test may change."""
    return Path(shutil.copytree(trained, tmp_path / "candidate"))


@pytest.fixture
def comparison(tmp_path: Path, run: Path) -> Path:
    """The folder of a comparison that the candidate ``npu`` passed against ``gpu``."""
    return write_comparison(tmp_path / "comparison", run)


def write_comparison(folder: Path, run: Path, verdict: str = "pass") -> Path:
    folder.mkdir(exist_ok=True)
    result = {name: read_json(RunFolder(run).summary)[name] for name in ("min_loss", "steps")}
    content = {
        "schema_version": 2,
        "weaknesses": [],
        "recorded": None,
        "differing_options": [],
        "notes": [],
        "bounds": {"max_loss_ratio": 1.15},
        "reference": "gpu",
        "candidates": ["npu"],
        "verdict": verdict,
        "reason": "npu was held against gpu.",
        "axes": {
            "training": {
                "verdict": verdict,
                "reason": "losses",
                "bound": {"max_loss_ratio": 1.15},
                "numbers": {"npu": {"min_loss_ratio": 1.01}},
            }
        },
        "legs": {
            "npu": {
                "description": "npu: TensorFlow 2.21.0 on a CPU",
                "device": {"kind": "cpu", "name": "CPU"},
                "tensorflow": "2.21.0",
                "runs": [{"seed": 0, "status": "finished", "result": result}],
            }
        },
    }
    (folder / "comparison.json").write_text(json.dumps(content))
    (folder / "report.html").write_text("<p>report</p>")
    return folder


def worsen(run: Path, factor: float) -> Path:
    """The same run as if another training had reached ``factor`` times its losses."""
    summary = read_json(RunFolder(run).summary)
    summary["min_loss"] *= factor
    summary["final_loss"] = {**summary["final_loss"], "A_loss": summary["final_loss"]["A_loss"] * factor}
    write_json(RunFolder(run).summary, summary)
    events = RunFolder(run).events
    first, *others = events.read_text().splitlines(keepends=True)
    started = json.loads(first)
    started["time"] += factor
    events.write_text(json.dumps(started) + "\n" + "".join(others))
    return run
