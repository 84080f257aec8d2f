"""Recorded runs of the original implementation, replayed on each runtime.

golden/*.npz are recorded on TensorFlow 1.15.0 (CPU) with gcn = dcn = 2 at 256 px; dualgan.golden says what they hold.
"""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.train.runtimes import WORKING_TREE, is_set_up, python_of, trainer_environment
from dualgan import golden
from tests.components.dualgan.trainer import Trainer, on_one_runtime

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.npz"))


@pytest.mark.parametrize("file", GOLDEN, ids=lambda path: path.stem)
def test_the_original_s_losses_and_images_come_out(trainer: Trainer, file: Path) -> None:
    verified(trainer, file, ["one-run"], "--step_mode", "one-run")


@pytest.mark.system
@pytest.mark.parametrize("file", GOLDEN, ids=lambda path: path.stem)
def test_they_come_out_in_both_step_modes(trainer: Trainer, file: Path) -> None:
    verified(trainer, file, ["one-run", "two-run"])


# Combinations that the golden files lack, recorded here with a graph of the original's shape.
COMBINATIONS = {
    "clipped critics, every other step without generators": (
        *("--GAN_type", "wgan", "--disc_type", "patchgan", "--loss_metric", "L2", "--batch_size", "2"),
        *("--lambda_A", "500", "--lambda_B", "500", "--n_critic", "2", "--seed", "5"),
    ),
    "a penalty for two images": (
        *("--disc_type", "patchgan", "--batch_size", "2", "--lambda_B", "500", "--steps", "3", "--seed", "6"),
    ),
    "a classic critic of whole images": (
        *("--GAN_type", "classic", "--batch_size", "2", "--steps", "3", "--seed", "1"),
    ),
}


@pytest.mark.system
@pytest.mark.skipif(not is_set_up("tf1"), reason="the original's graph needs TensorFlow 1.15.0")
@pytest.mark.parametrize("options", COMBINATIONS.values(), ids=COMBINATIONS)
def test_other_combinations_come_out(trainer: Trainer, options: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "recorded.npz"
    recorder = [str(python_of("tf1")), "-m", "tests.components.dualgan.recorder", str(file), *options]
    subprocess.run(recorder, env=trainer_environment({}), cwd=WORKING_TREE, check=True, timeout=300)
    verified(trainer, file, ["one-run"], "--step_mode", "one-run")


def verified(trainer: Trainer, file: Path, step_modes: list[str], *options: str) -> None:
    """As recorded or, where this processor rounds a unit over its zero, along a path within rounding."""
    answer = trainer("verify", str(file), *options)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    lines = answer.stdout.splitlines()
    assert [line for line in lines if line in ("one-run", "two-run")] == step_modes
    assert lines[-1] in ("all bounds hold", "all bounds hold, along a path within rounding")


def changed(tmp_path: Path, steps: int, change: Callable[[dict[str, Any]], None]) -> str:
    """The first steps of a golden file whose arrays ``change`` changed."""
    recorded = golden.first_steps(golden.load(GOLDEN[1]), steps)
    arrays = {**recorded.arrays, "meta": np.array(json.dumps(recorded.meta))}
    change(arrays)
    np.savez(tmp_path / "changed.npz", **arrays)
    return str(tmp_path / "changed.npz")


def exceeded(answer: "subprocess.CompletedProcess[str]") -> list[str]:
    return [line.split()[0] for line in answer.stdout.splitlines() if "EXCEEDED from step 1 on" in line]


@on_one_runtime
def test_a_wrong_value_is_found(trainer: Trainer, tmp_path: Path) -> None:
    def enlarge_a_loss(arrays: dict[str, Any]) -> None:
        arrays["loss/A_loss"] *= 1 + 2e-5

    answer = trainer("verify", changed(tmp_path, 1, enlarge_a_loss), "--step_mode", "one-run")
    assert answer.returncode == 1
    assert exceeded(answer) == ["loss/A_loss"]
    assert "Is the rest rounding?" not in answer.stdout, "what is wrong at step 1 is not"
    assert answer.stdout.splitlines()[-1] == "1 bounds exceeded"


@on_one_runtime
def test_a_wrong_optimiser_is_not_taken_for_rounding(trainer: Trainer, tmp_path: Path) -> None:
    def enlarge_learning_rate(arrays: dict[str, Any]) -> None:
        meta = json.loads(str(arrays["meta"]))
        arrays["meta"] = np.array(json.dumps({**meta, "lr": meta["lr"] * 1.01}))

    answer = trainer("verify", changed(tmp_path, 2, enlarge_learning_rate), "--step_mode", "one-run", "--tries", "8")
    assert answer.returncode == 1
    assert exceeded(answer) == []
    assert "not found: 0 of 2 steps could be followed" in answer.stdout


@on_one_runtime
def test_what_is_no_golden_file_is_refused_in_a_line(trainer: Trainer, tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no archive")
    answer = trainer("verify", str(tmp_path / "text.npz"))
    assert answer.returncode == 2
    assert answer.stderr.splitlines()[-1].startswith(f"error: {tmp_path / 'text.npz'}: not a golden file")
