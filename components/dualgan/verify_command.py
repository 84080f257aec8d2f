"""Replaying a golden file and printing how far off this runtime and device are."""

from pathlib import Path
from typing import Callable, Sequence

from dualgan import golden
from dualgan.devices import Device
from dualgan.graph import StepGraph
from dualgan.options import check_loss_scale
from dualgan.tensorflow_v1 import tf

ADVICE = """
Where to look: before/ wrong means weights, layout or the forward pass; a loss wrong at step 1, the losses; right at
step 1 and wrong later, gradients or the optimiser. An error near its bound that comes and goes with threads or drivers
is rounding: a unit near a rectifier's zero fell on the other side of it."""


def verify(file: Path, device: Device, modes: Sequence[bool], say: Callable[[str], None]) -> int:
    """Replay ``file`` in each of ``modes`` (True: one session.run a step); 0 where every bound holds, else 1."""
    check_loss_scale(device.options.loss_scale, True in modes)
    recorded = golden.load(file)
    say("{}: {} steps of {GAN_type}, {disc_type}, {loss_metric}, batch {batch_size}".format(
        file, recorded.steps, **recorded.meta))  # fmt: skip
    say("TensorFlow {} on {kind} ({name})".format(tf.version.VERSION, **device.describe()))
    if device.products != "float32":
        say("factors of products are {} here, and the bounds those of such a device".format(device.products))
    failed = 0
    for one_run in modes:
        say("\n{}\n{:<18}{:>12}{:>12}".format("one-run" if one_run else "two-run", "quantity", "worst error", "bound"))
        with tf.Graph().as_default():
            graph = StepGraph(golden.step_options(recorded, one_run), device)
            initializer = tf.global_variables_initializer()
            tf.get_default_graph().finalize()
            with tf.Session(config=device.session_config()) as session:
                session.run(initializer)
                for check in golden.replay(recorded, graph, session, device.products):
                    kind = "relative" if check.bound.relative else "absolute"
                    since = " from step {} on".format(check.exceeded_at) if check.exceeded_at else ""
                    verdict = "" if check.holds else "  EXCEEDED" + since
                    say("{:<18}{:>12.1e}{:>12.0e} {}{}".format(
                        check.quantity, check.error, check.bound.limit, kind, verdict))  # fmt: skip
                    failed += not check.holds
    if not failed:
        say("\nall bounds hold")
        return 0
    say(ADVICE)
    say("\n{} bounds exceeded".format(failed))
    return 1
