"""Single steps of the original implementation, done again on each runtime and on the rounding of an NPU.

golden/*.npz are recorded on TensorFlow 1.15.0 (CPU) with gcn = dcn = 2 at 256 px; dualgan.golden says what they hold.
"""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from dualgan.cli import main
from tests.components.dualgan.array_files import Change, changed, overwritten_header, truncated
from tests.components.dualgan.devices.double import npu_trainer
from tests.components.dualgan.trainer import Trainer, tf1_in_the_system_tier

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.npz"))
ONE = Path(__file__).parent / "golden" / "wgan-gp_globalgan_L1_b1.npz"


@tf1_in_the_system_tier
def test_a_file_holds_in_both_step_modes(trainer: Trainer) -> None:
    holds(trainer("verify", str(ONE)), 1)


@pytest.mark.system()
def test_every_file_holds_in_both_step_modes(trainer: Trainer) -> None:
    holds(trainer("verify", str(GOLDEN[0].parent)), len(GOLDEN))


@pytest.mark.system()
def test_every_file_holds_with_the_rounding_of_an_npu(pytestconfig: pytest.Config) -> None:
    npu = npu_trainer(pytestconfig, NPU_BRIDGE_DOUBLE_CUBE="factors")
    answer = npu("verify", str(GOLDEN[0].parent), "--device", "npu", "--step_mode", "two-run")
    holds(answer, len(GOLDEN))
    assert "factors of products in float16" in answer.stdout


def holds(answer: "subprocess.CompletedProcess[str]", files: int) -> None:
    assert answer.returncode == 0, answer.stdout + answer.stderr
    lines = answer.stdout.splitlines()
    assert lines.count("all bounds hold") == files
    assert lines[-1].startswith(f"{files} of {files} files hold")


def scaled(name: str, factor: float) -> Change:
    def change(arrays: dict[str, Any], _: dict[str, Any]) -> None:
        arrays[name][0] *= factor

    return change


def with_option(name: str, value: float) -> Change:
    return lambda _, meta: meta.update({name: value})


@pytest.mark.parametrize(
    ("change", "exceeded"),
    [
        (scaled("output/B2A2B", 1.001), ["picture: B2A2B at step 1"]),
        (scaled("loss/A_loss", 1.001), ["term: A_loss at step 1"]),
        (scaled("gradient/A_g_e3_conv/w", 1.3), ["gradient: A_g_e3_conv/w at step 1"]),
        (with_option("lr", 1.01e-3), ["update size: A_d at step 1", "update size: B_d at step 1"]),
        (with_option("rmsprop_decay", 0.99), ["update size: A_d at step 1"]),
    ],
    ids=["picture", "loss", "gradient", "learning rate", "decay"],
)
def test_what_is_wrong_is_named(
    change: Callable[..., None], exceeded: Sequence[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(changed(ONE, tmp_path / "changed.npz", change)), "--step_mode", "one-run"]) == 1
    shown = capsys.readouterr().out
    assert all(f"EXCEEDED {what}" in shown for what in exceeded), shown
    assert shown.splitlines()[-1] == "0 of 1 files hold (one-run)"


def of_format_1(arrays: dict[str, Any], meta: dict[str, Any]) -> None:
    del meta["schema_version"]


def of_another_shape(arrays: dict[str, Any], _: dict[str, Any]) -> None:
    arrays["gradient/A_g_e3_conv/w"] = arrays["gradient/A_g_e3_conv/w"][:, :7]


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (lambda target: truncated(ONE, target), "not a golden file, or a damaged one"),
        (lambda target: changed(ONE, target, of_format_1), "schema version 1, this software reads 2"),
        (lambda target: changed(ONE, target, with_option("schema_version", 3)), "schema version 3"),
        (lambda target: changed(ONE, target, with_option("gcn", 10**9)), "gcn is 1000000000, must be 2"),
        (lambda target: changed(ONE, target, with_option("n_critic", 0)), "n_critic 0: must be at least 1"),
        (lambda target: changed(ONE, target, of_another_shape), "has shape (3, 7), not (3, 16)"),
        (lambda target: overwritten_header(ONE, target, "loss/Ad.npy", (10**15,)), "does not fit"),
        (lambda target: target, "no such file"),
        (lambda target: target.parent, "without a golden file"),
    ],
)
def test_what_is_no_golden_file_is_refused_in_a_line(
    broken: Callable[[Path], Path], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = broken(tmp_path / "broken.npz")
    assert main(["verify", str(ONE), str(path)]) == 2
    answer = capsys.readouterr()
    (line,) = answer.err.splitlines()
    assert line.startswith(f"error: {path}: ") and complaint in line
    assert "EXCEEDED" not in answer.out, "files are read before any step is done"
