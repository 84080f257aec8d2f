"""Following recorded steps within rounding, on a model of one weight whose step turns over at a threshold."""

from collections.abc import Mapping

import numpy as np
import pytest

from dualgan.golden_replay import Bound, Check
from dualgan.graph import Losses, State
from dualgan.shadowing import follow

BOUND = Bound(1e-5, relative=True)
# The last float32 below 1, and 1: rounding.
RECORDED_START = np.float32(1) - np.float32(2**-24)
GIVEN_START = np.float32(1)


class OneWeight:
    """A step adds ``above`` to a weight of 1 or more and ``below`` to a smaller one, and then takes it back near 1.

    A step's loss says what the step before added.
    """

    def __init__(self, start: np.float32, steps: int, above: float = 0.5, below: float = 0.25) -> None:
        self.steps = steps
        self.initial = State({"w": np.full(1, start, np.float32)}, {"added": np.float32(0)})
        self._now = self.initial
        self._above, self._below = above, below
        self.recorded: list[float] = []

    def restore(self, state: State) -> None:
        self._now = state

    def state(self) -> State:
        return self._now

    def step(self, number: int) -> Losses:
        loss = 1.0 + float(self._now.slots["added"])
        added = self._above if self._now.weights["w"][0] >= 1 else self._below
        self._now = State(self._now.weights, {"added": np.float32(added)})
        return {"loss": loss}

    def loss_checks(self, losses: Mapping[int, Losses]) -> list[Check]:
        return [
            Check("loss", abs(found["loss"] / self.recorded[number - 1] - 1), BOUND) for number, found in losses.items()
        ]

    def translation_checks(self, moment: str) -> list[Check]:
        return [Check(moment, abs(1.0 + float(self._now.slots["added"]) - self.recorded[-1]), BOUND)]


def replay_of(recorded: OneWeight, given: OneWeight) -> OneWeight:
    """``given``, to follow the losses of ``recorded``, which are as many as its steps and what its last one added."""
    recorded.restore(recorded.initial)
    given.recorded = [recorded.step(number)["loss"] for number in range(1, given.steps + 2)]
    return given


@pytest.mark.parametrize("steps", [1, 4])
def test_a_unit_that_rounding_turned_over_is_turned_back(steps: int) -> None:
    replay = replay_of(OneWeight(RECORDED_START, steps), OneWeight(GIVEN_START, steps))
    shadow = follow(replay, tries=400)  # type: ignore[arg-type]
    assert shadow.path is not None
    assert [losses["loss"] for losses in shadow.path.losses] == replay.recorded[:steps]
    assert shadow.path.excess <= 1
    assert 1 <= shadow.path.moved <= steps and shadow.followed == steps
    (weight,) = shadow.path.state.weights["w"]
    assert weight == pytest.approx(1, abs=1e-5), "moved by rounding only"


def test_a_path_that_holds_as_it_is_needs_no_move() -> None:
    replay = replay_of(OneWeight(GIVEN_START, 3), OneWeight(GIVEN_START, 3))
    shadow = follow(replay, tries=400)  # type: ignore[arg-type]
    assert shadow.path is not None and shadow.path.moved == 0
    assert shadow.tried == 2 * 3 - 1, "each step, and the losses of the one after it"


def test_a_fault_has_no_path() -> None:
    replay = replay_of(OneWeight(RECORDED_START, 3), OneWeight(GIVEN_START, 3, above=0.501, below=0.251))
    shadow = follow(replay, tries=100)  # type: ignore[arg-type]
    assert shadow.path is None and shadow.followed == 0
    assert 100 <= shadow.tried <= 101
