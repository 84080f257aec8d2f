"""One training step on each runtime: both ways to run it, every kind of loss."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dualgan.devices.cpu import Cpu
from dualgan.networks import is_critic_variable
from dualgan.options import GAN_TYPES, TrainOptions
from dualgan.run_folder import LOSS_METRICS, NETWORKS, read_events
from dualgan.step import StepGraph
from dualgan.taps import operations_behind
from dualgan.tensorflow_v1 import tf
from tests.components.dualgan.trainer import losses_of

GENERATOR_TERMS = ("A_loss", "B_loss", "Ag_loss", "Bg_loss", "g_loss")


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        (("--GAN_type", "wgan-gp", "--n_critic", "2", "--flip"), set()),
        pytest.param(
            ("--GAN_type", "classic", "--disc_type", "patchgan", "--loss_metric", "L2"),
            {"gradient_penalty"},
            marks=pytest.mark.system,
        ),
        pytest.param(
            ("--GAN_type", "wgan", "--dropout_rate", "0.3", "--A_channels", "1"),
            {"gradient_penalty"},
            marks=pytest.mark.system,
        ),
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


class WithReferenceVariables(Cpu):
    """A CPU that has variables as an NPU has them."""

    use_resource = False


@pytest.mark.parametrize("device", [Cpu, WithReferenceVariables], ids=["resources", "references"])
@pytest.mark.parametrize("one_run", [True, False], ids=["one-run", "two-run"])
@pytest.mark.parametrize("GAN_type", GAN_TYPES)
def test_an_update_waits_for_every_loss_that_is_fetched_beside_it(
    GAN_type: str, one_run: bool, device: type[Cpu]
) -> None:
    step_mode = "one-run" if one_run else "two-run"
    options = TrainOptions(image_size=32, gcn=2, dcn=2, GAN_type=GAN_type, step_mode=step_mode)
    with tf.Graph().as_default() as graph:
        for phase in StepGraph(options, device(options)).phases(True):
            needed = operations_behind(phase.operations)
            updates = [op for op in graph.get_operations() if op in needed and op.type.endswith("ApplyRMSProp")]
            # The last one of each variable: classic has two of the generators in one run.
            last = {update.inputs[0].op.name: update for update in updates}
            assert last
            for variable, update in last.items():
                of_critic = is_critic_variable(variable)
                # Directly, not by way of a read or of an operation without a result: an NPU's compiler drops those.
                first = set(update.control_inputs) | {tensor.op for tensor in update.inputs}
                assert {
                    phase.terms[name].op for name in phase.terms if (name not in GENERATOR_TERMS) == of_critic
                } <= first
                # A variable that is not copied where it is read changes under a gradient that still needs it.
                gradients = {u.inputs[-1].op for name, u in last.items() if is_critic_variable(name) == of_critic}
                assert device.use_resource or gradients <= first
