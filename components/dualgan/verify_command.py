"""Replaying a golden file and printing how far off this runtime and device are."""

from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

from dualgan import golden
from dualgan.devices import Device
from dualgan.golden import Golden
from dualgan.golden_replay import ROUNDED_FACTORS_STEPS, Check, Replay
from dualgan.graph import StepGraph
from dualgan.layers import Kernels
from dualgan.options import check_loss_scale
from dualgan.shadowing import follow
from dualgan.tensorflow_v1 import tf
from dualgan.turning_over import OVER, Way
from dualgan.watched_replay import WatchedKernels, WatchedReplay

Say = Callable[[str], None]

ADVICE = """
Where to look: before/ wrong means weights, layout or the forward pass; a loss wrong at step 1, the losses; right at
step 1 and wrong later, gradients or the optimiser. Where a path within rounding was followed for some steps and then
lost, more --tries may find it."""


def verify(file: Path, device: Device, modes: Sequence[bool], tries: int, say: Say) -> int:
    """Replay ``file`` in each of ``modes`` (True: one session.run a step); 0 where every bound holds, else 1.

    tries: where the bounds hold at step 1 and not later, how many steps to do with units turned over that are near
    their zero, to tell rounding from a fault; 0: none.
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
        with self._session_of(one_run) as (graph, session):
            replay = Replay(self._recorded, graph, session, self._device.products)
            replay.restore(replay.initial)
            before = replay.translation_checks("before")
            losses = {number: replay.step(number) for number in range(1, replay.steps + 1)}
            checks = before + replay.loss_checks(losses) + replay.translation_checks("after")
            first = before + replay.loss_checks({1: losses[1]})
        self._print(checks)
        failed = sum(not check.holds for check in checks)
        if not failed or not self._tries or not all(check.holds for check in first):
            return failed
        key = tuple(checks)
        if key in self._known:
            self._say("the same to the last digit as above, and so is what follows")
            return self._known[key]
        self._known[key] = 0 if self._is_rounding(one_run, before) else failed
        return self._known[key]

    @contextmanager
    def _session_of(self, one_run: bool, kernels: Optional[Kernels] = None) -> Iterator[Tuple[StepGraph, Any]]:
        with tf.Graph().as_default():
            graph = StepGraph(golden.step_options(self._recorded, one_run), self._device, kernels)
            initializer = tf.global_variables_initializer()
            tf.get_default_graph().finalize()
            with tf.Session(config=self._device.session_config()) as session:
                session.run(initializer)
                yield graph, session

    def _is_rounding(self, one_run: bool, before: List[Check]) -> bool:
        self._say(
            "\nStep 1 holds. Is the rest rounding? Turning units over that are so near a rectifier's zero that\n"
            "rounding decides on their side of it, until every bound holds (minutes)"
        )
        kernels = WatchedKernels(self._device.kernels())
        with self._session_of(one_run, kernels) as (graph, session):
            replay = WatchedReplay(self._recorded, graph, kernels, session, self._device.products)
            shadow = follow(replay, self._tries)
        if shadow.path is None:
            self._say("not found: {} of {} steps could be followed, {} steps tried".format(
                shadow.followed, replay.steps, shadow.tried))  # fmt: skip
            return False
        self.within_rounding = True
        losses: Dict[int, Any] = {number: way.losses for number, way in enumerate(shadow.path, 1)}
        self._print(before + replay.loss_checks(losses) + list(shadow.path[-1].translations))
        self._say(_summary(shadow.path, shadow.tried))
        return True

    def _print(self, checks: Sequence[Check]) -> None:
        for check in checks:
            kind = "relative" if check.bound.relative else "absolute"
            since = " from step {} on".format(check.exceeded_at) if check.exceeded_at else ""
            verdict = "" if check.holds else "  EXCEEDED" + since
            self._say("{:<18}{:>12.1e}{:>12.0e} {}{}".format(
                check.quantity, check.error, check.bound.limit, kind, verdict))  # fmt: skip


def _summary(path: Sequence[Way], tried: int) -> str:
    distances = [abs(nudge) / OVER for way in path for nudge in way.nudges.values()]
    turned = "{} units turned over, at most {:.0e} from their zero".format(len(distances), max(distances, default=0.0))
    return "It is rounding: so it comes out with {} ({} steps tried)".format(turned, tried)
