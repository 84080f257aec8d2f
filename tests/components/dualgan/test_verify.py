"""The first steps of recorded runs of the original implementation, replayed on each runtime.

golden/*.npz are recorded on TensorFlow 1.15.0 (CPU) with gcn = dcn = 2 at 256 px; dualgan.golden says what they hold.
"""

from pathlib import Path

import numpy as np
import pytest

from tests.components.dualgan.trainer import Trainer

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.npz"))


@pytest.mark.parametrize("file", GOLDEN, ids=lambda path: path.stem)
def test_the_original_s_losses_and_images_come_out(trainer: Trainer, file: Path) -> None:
    answer = trainer("verify", str(file))
    assert answer.returncode == 0, answer.stdout + answer.stderr
    lines = answer.stdout.splitlines()
    assert lines[-1] == "all bounds hold"
    assert sum(line.startswith("loss/d_loss") for line in lines) == 2, "one for each step mode"


def test_a_wrong_value_is_found(trainer: Trainer, tmp_path: Path) -> None:
    with np.load(GOLDEN[0]) as content:
        arrays = dict(content)
    arrays["loss/A_loss"] = arrays["loss/A_loss"] * (1 + 2e-5)
    np.savez(tmp_path / "wrong.npz", **arrays)
    answer = trainer("verify", str(tmp_path / "wrong.npz"), "--step_mode", "one-run")
    assert answer.returncode == 1
    assert [line.split()[0] for line in answer.stdout.splitlines() if "EXCEEDED" in line] == ["loss/A_loss"]
    assert answer.stdout.splitlines()[-1] == "1 bounds exceeded"


def test_what_is_no_golden_file_is_refused_in_a_line(trainer: Trainer, tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no archive")
    answer = trainer("verify", str(tmp_path / "text.npz"))
    assert answer.returncode == 2
    assert answer.stderr.splitlines()[-1].startswith(f"error: {tmp_path / 'text.npz'}: not a golden file")
