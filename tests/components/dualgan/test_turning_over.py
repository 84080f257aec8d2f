"""The ways to do one recorded step, on a model whose step depends on which side of zero one unit is."""

import pytest

from dualgan.graph import State
from dualgan.rounding import MEMBERS, Steps
from dualgan.turning_over import CLOSE, StepWays
from tests.components.dualgan.one_unit import GIVEN_START, OneUnitDecides, steps_of


def ways_of(steps: Steps, number: int) -> StepWays:
    initial: State = steps.replay.initial
    return StepWays(steps, number, initial, lambda: [initial] * MEMBERS)


@pytest.mark.parametrize(("off", "close"), [(0.5e-5, True), (3e-5, False)])
def test_after_the_last_step_close_is_what_is_within_the_bounds(off: float, close: bool) -> None:
    (way,) = ways_of(steps_of(OneUnitDecides(GIVEN_START, 1, above=0.5 + off)), 1).ways
    assert (way.excess <= 1) == (way.distance <= CLOSE) == close


def test_what_rounding_does_to_a_step_is_asked_once() -> None:
    steps = steps_of(OneUnitDecides(GIVEN_START, 2))
    ways_of(steps, 1)
    before = steps.tried
    assert before > MEMBERS
    ways_of(steps, 1)
    assert steps.tried - before == 2, "the step and the one after it"
