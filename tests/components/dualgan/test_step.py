"""One training step on each runtime: both ways to run it, every kind of loss."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dualgan.devices import open_device
from dualgan.flops import operations_behind
from dualgan.graph import StepGraph, StepOptions
from dualgan.losses import LossOptions
from dualgan.networks import Shape
from dualgan.options import GAN_TYPES
from dualgan.run_folder import LOSS_METRICS, NETWORKS, read_events
from dualgan.tensorflow_v1 import tf
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
    n_critic = 2 if "--n_critic" in options else 1
    for mode in ("one-run", "two-run"):
        norms = [event["update_norms"] for event in read_events(tmp_path / mode / "events.jsonl") if "feed" in event]
        assert [[n for n in NETWORKS if moved[n] > 0] for moved in norms] == [
            list(NETWORKS if (step + 1) % n_critic == 0 else NETWORKS[2:]) for step in range(1, 5)
        ]


@pytest.mark.parametrize("one_run", [True, False], ids=["one-run", "two-run"])
@pytest.mark.parametrize("GAN_type", GAN_TYPES)
def test_losses_read_a_variable_before_its_first_update(GAN_type: str, one_run: bool) -> None:
    options = StepOptions(
        Shape(32, 3, 3, 2, 2, "globalgan"),
        *(LossOptions(GAN_type, "L1", 1000.0, 1000.0), 1, 5e-5, 0.9, 1, 0.01, 0.0),
        one_run=one_run,
    )
    with tf.Graph().as_default():
        critics = StepGraph(options, open_device("cpu")).runs(True)[0]
        updates = [op for op in operations_behind(critics.operations) if op.type.startswith("ResourceApply")]
        terms = [critics.terms[name] for name in ("Ad_fake", "Ad_real", "Bd_fake", "Bd_real", "d_loss")]
        reads = [op for op in operations_behind(terms) if op.type == "ReadVariableOp"]
        for update in updates:
            own = {read for read in reads if read.inputs[0] is update.inputs[0]}
            assert own <= set(operations_behind([update])), update.inputs[0].name
        assert any(read.inputs[0] is update.inputs[0] for read in reads for update in updates)
