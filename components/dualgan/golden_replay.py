"""A golden file's steps done again: the errors of what comes out, beside their bounds."""

from typing import Any, Dict, List, Mapping, NamedTuple, Optional

import numpy as np

from dualgan import golden
from dualgan.errors import BadInput
from dualgan.golden import Golden
from dualgan.graph import Losses, State, StepGraph

# The original's names of the terms that the run folder calls otherwise.
TERM_NAMES = {"Ad": "Ad_loss", "Bd": "Bd_loss", "Ag": "Ag_loss", "Bg": "Bg_loss"}

# Of a recorded loss, where errors are relative to it.
LEAST_LOSS = 1e-12

Translated = Dict[str, Any]


class Bound(NamedTuple):
    """How far a quantity may be off: relative to the recorded value, or absolute."""

    limit: float
    relative: bool


class Bounds(NamedTuple):
    """Of the groups of quantities."""

    generator_term: Bound
    critic_sum: Bound
    critic_term: Bound
    translation: Bound

    def of(self, term: str) -> Bound:
        if term == "d_loss":
            return self.critic_sum
        return self.generator_term if term in golden.GENERATOR_TERMS else self.critic_term


# Ten times and more what TensorFlow 1.15.0 and 2.21.0 differ by on CPUs. Single critic terms are small differences of
# large numbers, and d_loss is their sum with the gradient penalty.
FLOAT32 = Bounds(Bound(1e-5, True), Bound(1e-4, True), Bound(2e-3, True), Bound(2e-3, False))
# Four times and more what the rounding of factors to float16 does on a CPU (tests/npu_bridge_double, cube.py) in two
# steps. With each step the paths part further: after five, single critic terms by more than their size.
ROUNDED_FACTORS_STEPS = 2
ROUNDED_FACTORS = Bounds(Bound(5e-4, True), Bound(0.2, True), Bound(0.2, True), Bound(1e-2, False))
BOUNDS = {"float32": FLOAT32, "tensorfloat32": ROUNDED_FACTORS, "float16": ROUNDED_FACTORS}


class Check(NamedTuple):
    """The worst error of one quantity over the replay. exceeded_at: the first step of it that is out of bounds."""

    quantity: str
    error: float
    bound: Bound
    exceeded_at: Optional[int] = None

    @property
    def holds(self) -> bool:
        return bool(self.error <= self.bound.limit)


def excess(checks: List[Check]) -> float:
    """The largest error in units of its bound; infinite where one is NaN."""
    found = [check.error / check.bound.limit for check in checks]
    return max(found, default=0.0) if np.all(np.isfinite(found)) else float("inf")


class Replay:
    """The recorded steps on one graph and session."""

    def __init__(self, recorded: Golden, graph: StepGraph, session: Any, products: str = "float32") -> None:
        """products: the type of a product's factors on the device (Device.products), which decides the bounds.

        Raises BadInput where the file lacks initial weights.
        """
        absent = sorted(name for name in graph.variables if "init/" + name not in recorded.arrays)
        if absent:
            raise BadInput("{}: no initial weights of {}".format(recorded.path, ", ".join(absent[:3])))
        self.steps = recorded.steps
        self._recorded = recorded
        # Of a step's losses, those that none of its own units has a part in: which come before its first update, and
        # where generators are updated once, those that do not depend on critics.
        later = golden.GENERATOR_TERMS if recorded.meta["GAN_type"] == "classic" else golden.ADVERSARIAL_TERMS
        self.settled = np.array([name not in later for name in golden.RECORDED_TERMS])
        self._bounds = BOUNDS.get(products, ROUNDED_FACTORS)
        self._step, self._sample = graph.step_callable(session), graph.sample_callable(session)
        self.state, self.restore = graph.state_callables(session)
        fresh = self.state()
        self.initial = State({name: recorded.arrays["init/" + name] for name in fresh.weights}, fresh.slots)

    def step(self, number: int) -> Losses:
        """Do recorded step ``number``, 1 is the first, from the session's present state."""
        return self._step(number, golden.feed(self._recorded, number))

    def loss_checks(self, losses: Mapping[int, Losses]) -> List[Check]:
        """Of the losses of some steps, by the number of the step."""
        return [self._loss_check(name, losses) for name in golden.RECORDED_TERMS]

    def _loss_check(self, name: str, losses: Mapping[int, Losses]) -> Check:
        place, bound = golden.RECORDED_TERMS.index(name), self._bounds.of(name)
        worst, exceeded_at = 0.0, None
        for number in sorted(losses):
            error = abs(float((self.differences(number, losses[number]) / self.sizes(number))[place]))
            # A NaN is larger than any bound, and stays the worst.
            worst = worst if error <= worst or np.isnan(worst) else error
            if exceeded_at is None and not error <= bound.limit:
                exceeded_at = number
        return Check("loss/" + name, worst, bound, exceeded_at)

    def differences(self, number: int, losses: Losses) -> Any:
        """How far each loss of recorded step ``number`` is off, with its sign."""
        found = np.array([losses[TERM_NAMES.get(name, name)] for name in golden.RECORDED_TERMS])
        return found - self._recorded_losses(number)

    def sizes(self, number: int) -> Any:
        """What errors of the losses of recorded step ``number`` are relative to: how large each is."""
        return np.maximum(np.abs(self._recorded_losses(number)), LEAST_LOSS)

    def limits(self, number: int) -> Any:
        """How far each loss of recorded step ``number`` may be off."""
        return np.array([self._bounds.of(name).limit for name in golden.RECORDED_TERMS]) * self.sizes(number)

    def _recorded_losses(self, number: int) -> Any:
        return np.array([float(self._recorded.arrays["loss/" + name][number - 1]) for name in golden.RECORDED_TERMS])

    def translation_checks(self, moment: str) -> List[Check]:
        """Of what the generators make of the first images now. moment: "before" the first step or "after" the last."""
        found = []
        for kind, pictures in self._translations().items():
            name = "{}/{}".format(moment, kind)
            if name in self._recorded.arrays:
                difference = np.abs(pictures - self._recorded.arrays[name])
                found.append(Check(name, float(np.max(difference)), self._bounds.translation))
        return found

    def _translations(self) -> Translated:
        A, B = golden.feed(self._recorded, 1)[:2]
        images = [self._sample(A[n : n + 1], B[n : n + 1]) for n in range(len(A))]
        stride = golden.PIXEL_STRIDE
        return {
            kind: np.concatenate([getattr(translations, kind) for translations in images])[:, ::stride, ::stride]
            for kind in ("A2B", "A2B2A", "B2A", "B2A2B")
        }
