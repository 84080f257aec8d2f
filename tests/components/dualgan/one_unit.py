"""A model whose step depends on which side of zero one unit is, and a recording of it to follow."""

from typing import Any

import numpy as np

from dualgan.golden_replay import Bound, Check
from dualgan.graph import Losses, State
from dualgan.rounding import Steps
from dualgan.watched_replay import Look, Nudges

BOUND = Bound(1e-5, relative=True)
# The last float32 below 1, and 1: rounding. The threshold is between.
RECORDED_START = np.float32(1) - np.float32(2**-24)
GIVEN_START = np.float32(1)
THRESHOLD = 1 - 2**-25
DECIDING = (0, 2, 1, 0)


class OneUnitDecides:
    """A step's units are its weights less the threshold: it adds ``above`` where the deciding one is above zero, else

    ``below``, and takes back what the step before added. A step's loss says what that was.
    """

    def __init__(
        self, start: np.float32, steps: int, above: float = 0.5, below: float = 0.25, third_slope: bool = False
    ) -> None:
        self.steps = steps
        self.initial = State({"w": np.full((1, 8, 8, 1), start, np.float32)}, {"added": np.float32(0)})
        self._now = self.initial
        self._above, self._below, self._third_slope = above, below, third_slope
        self.recorded: list[float] = []

    def restore(self, state: State) -> None:
        self._now = state

    def state(self) -> State:
        return self._now

    def look(self, number: int, nudges: Nudges) -> Look:
        units = self._now.weights["w"] - np.float64(THRESHOLD)
        for unit, nudge in nudges.items():
            units[unit.at] += nudge
        losses = {"loss": 1.0 + float(self._now.slots["added"])}
        added = self._above if units[DECIDING] > 0 else self._below
        self._now = State(self._now.weights, {"added": np.float32(added)})
        return Look(losses, [units], [self._third_slope])

    def step(self, number: int) -> Losses:
        return self.look(number, {}).losses

    settled = np.array([True])

    def sizes(self, number: int) -> Any:
        return np.array([self.recorded[number - 1]])

    def limits(self, number: int) -> Any:
        return BOUND.limit * self.sizes(number)

    def differences(self, number: int, losses: Losses) -> Any:
        return losses["loss"] - self.sizes(number)

    def translation_checks(self, moment: str) -> list[Check]:
        return [Check(moment, abs(1.0 + float(self._now.slots["added"]) - self.recorded[-1]), BOUND)]


def replay_of(recorded: OneUnitDecides, given: OneUnitDecides) -> OneUnitDecides:
    """``given``, to follow the losses of ``recorded``, which are as many as its steps and what its last one added."""
    recorded.restore(recorded.initial)
    given.recorded = [recorded.step(number)["loss"] for number in range(1, given.steps + 2)]
    return given


def steps_of(given: OneUnitDecides, tries: int = 100) -> Steps:
    """Those of ``given``, which are recorded from GIVEN_START with the usual effects."""
    return Steps(replay_of(OneUnitDecides(GIVEN_START, given.steps), given), tries)  # type: ignore[arg-type]
