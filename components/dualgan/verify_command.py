"""Replaying a golden file and printing how far off this runtime and device are."""

from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence, Tuple

from dualgan import golden
from dualgan.devices import Device
from dualgan.golden import Golden
from dualgan.golden_replay import ROUNDED_FACTORS_STEPS, Check, Replay
from dualgan.graph import StepGraph
from dualgan.options import check_loss_scale
from dualgan.shadowing import MOVES, follow
from dualgan.tensorflow_v1 import tf

Say = Callable[[str], None]

ADVICE = """
Where to look: before/ wrong means weights, layout or the forward pass; a loss wrong at step 1, the losses; right at
step 1 and wrong later, gradients or the optimiser. Where a path within rounding was followed for some steps and then
lost, more --tries may find it."""


def verify(file: Path, device: Device, modes: Sequence[bool], tries: int, say: Say) -> int:
    """Replay ``file`` in each of ``modes`` (True: one session.run a step); 0 where every bound holds, else 1.

    tries: where the bounds hold at step 1 and not later, how many steps to do from weights moved in their last
    digits, to tell rounding from a fault; 0: none.
    """
    check_loss_scale(device.options.loss_scale, True in modes)
    recorded = golden.load(file)
    say("{}: {} steps of {GAN_type}, {disc_type}, {loss_metric}, batch {batch_size}".format(
        file, recorded.steps, **recorded.meta))  # fmt: skip
    say("TensorFlow {} on {kind} ({name})".format(tf.version.VERSION, **device.describe()))
    if device.products != "float32":
        recorded = golden.first_steps(recorded, ROUNDED_FACTORS_STEPS)
        say("factors of products are {} here: the bounds are those of such a device, for the first {} steps".format(
            device.products, recorded.steps))  # fmt: skip
    verification = _Verification(recorded, device, tries, say)
    failed = sum([verification.failures(one_run) for one_run in modes])
    if failed:
        say(ADVICE)
        say("\n{} bounds exceeded".format(failed))
        return 1
    say("\nall bounds hold" + (", along a path within rounding" if verification.within_rounding else ""))
    return 0


class _Verification:
    """One golden file on one device. within_rounding: whether a mode holds along such a path only."""

    def __init__(self, recorded: Golden, device: Device, tries: int, say: Say) -> None:
        self._recorded = recorded
        self._device = device
        # Bounds of a device that rounds factors have room for what follows from it.
        self._tries = tries if device.products == "float32" else 0
        self._say = say
        self._known: Dict[Tuple[Check, ...], int] = {}
        self.within_rounding = False

    def failures(self, one_run: bool) -> int:
        """How many bounds do not hold in this mode."""
        self._say("\n{}\n{:<18}{:>12}{:>12}".format(
            "one-run" if one_run else "two-run", "quantity", "worst error", "bound"))  # fmt: skip
        with tf.Graph().as_default():
            graph = StepGraph(golden.step_options(self._recorded, one_run), self._device)
            initializer = tf.global_variables_initializer()
            tf.get_default_graph().finalize()
            with tf.Session(config=self._device.session_config()) as session:
                session.run(initializer)
                return self._failures(Replay(self._recorded, graph, session, self._device.products))

    def _failures(self, replay: Replay) -> int:
        replay.restore(replay.initial)
        before = replay.translation_checks("before")
        losses = {number: replay.step(number) for number in range(1, replay.steps + 1)}
        checks = before + replay.loss_checks(losses) + replay.translation_checks("after")
        self._print(checks)
        failed = sum(not check.holds for check in checks)
        first = before + replay.loss_checks({1: losses[1]})
        if not failed or not self._tries or not all(check.holds for check in first):
            return failed
        key = tuple(checks)
        if key in self._known:
            self._say("the same to the last digit as above, and so is what follows")
            return self._known[key]
        self._known[key] = 0 if self._is_rounding(replay, before) else failed
        return self._known[key]

    def _is_rounding(self, replay: Replay, before: List[Check]) -> bool:
        self._say(
            "\nStep 1 holds. Is the rest rounding? Looking for weights within {:.0e} of these, a step at a time, from "
            "which\nevery bound holds (minutes)".format(MOVES[-1])
        )
        shadow = follow(replay, self._tries)
        if shadow.path is None:
            self._say("not found: {} of {} steps could be followed, {} steps tried".format(
                shadow.followed, replay.steps, shadow.tried))  # fmt: skip
            return False
        self.within_rounding = True
        losses: Dict[int, Any] = dict(enumerate(shadow.path.losses, 1))
        self._print(before + replay.loss_checks(losses) + list(shadow.path.translations))
        self._say("It is rounding: so it comes out with weights moved before {} of {} steps ({} steps tried)".format(
            shadow.path.moved, replay.steps, shadow.tried))  # fmt: skip
        return True

    def _print(self, checks: Sequence[Check]) -> None:
        for check in checks:
            kind = "relative" if check.bound.relative else "absolute"
            since = " from step {} on".format(check.exceeded_at) if check.exceeded_at else ""
            verdict = "" if check.holds else "  EXCEEDED" + since
            self._say("{:<18}{:>12.1e}{:>12.0e} {}{}".format(
                check.quantity, check.error, check.bound.limit, kind, verdict))  # fmt: skip
