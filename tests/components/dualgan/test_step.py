"""One training step on each runtime: both ways to run it, every kind of loss."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dualgan.run_folder import LOSS_METRICS
from tests.components.dualgan.trainer import losses_of


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        (("--GAN_type", "wgan-gp", "--n_critic", "2", "--flip"), set()),
        (("--GAN_type", "classic", "--disc_type", "patchgan", "--loss_metric", "L2"), {"gradient_penalty"}),
        (("--GAN_type", "wgan", "--dropout_rate", "0.3", "--A_channels", "1"), {"gradient_penalty"}),
    ],
    ids=["wgan-gp", "classic", "wgan"],
)
def test_one_run_and_two_runs_a_step_do_the_same(
    tmp_path: Path, train: Callable[..., object], options: tuple[str, ...], missing: set[str]
) -> None:
    common = ("--max_steps", "4", "--sample_images", "1", *options)
    for mode in ("one-run", "two-run"):
        train(tmp_path / mode, "--step_mode", mode, *common)
    one, two = losses_of(tmp_path / "one-run"), losses_of(tmp_path / "two-run")
    assert len(one) == 4
    for (_, _, left), (_, _, right) in zip(one, two, strict=True):
        assert set(left) == set(LOSS_METRICS) - missing
        assert left == pytest.approx(right, rel=2e-3, abs=1e-4)
        assert left["g_loss"] == pytest.approx(right["g_loss"], rel=1e-5)
