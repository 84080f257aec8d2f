"""What rounding does to recorded steps, on a model whose step depends on which side of zero one unit is."""

import numpy as np
import pytest

from dualgan.graph import State
from dualgan.rounding import LAST_BIT, ROUNDING, Rounding, Steps
from dualgan.watched_replay import Unit
from tests.components.dualgan.one_unit import DECIDING, GIVEN_START, RECORDED_START, OneUnitDecides, steps_of


@pytest.fixture
def steps() -> Steps:
    return steps_of(OneUnitDecides(GIVEN_START, 3))


def rounding_of(steps: Steps, number: int, members: list[State]) -> Rounding:
    """Of step ``number`` from the first state."""
    base = steps.look(number, steps.replay.initial, {})
    return steps.rounding(number, base, steps.off(number, base.losses), members)


def test_a_unit_moves_by_as_much_as_its_weight_is_rounded(steps: Steps) -> None:
    (units,) = rounding_of(steps, 1, [steps.moved(steps.replay.initial) for _ in range(3)]).units
    assert np.mean(units > 0) > 0.8, "though half of them were put back on their side"
    assert ROUNDING / 2 < np.max(units) < ROUNDING * 2


def test_members_stay_on_the_sides_of_the_step_that_they_follow(steps: Steps) -> None:
    base = steps.look(1, steps.replay.initial, {})
    other = OneUnitDecides(RECORDED_START, 3).initial
    assert np.all(np.sign(steps.look(1, other, {}).values[0]) != np.sign(base.values[0]))
    found, nudges = steps.beside(1, other, base, {})
    assert np.all(np.sign(found.values[0]) == np.sign(base.values[0]))
    assert Unit(0, DECIDING) in nudges


def test_losses_that_rounding_leaves_as_they_are_may_differ_in_their_last_bit(steps: Steps) -> None:
    rounding = rounding_of(steps, 1, [steps.replay.initial])
    assert np.all(rounding.losses == 0)
    assert steps.expected(1, rounding) == pytest.approx(LAST_BIT * np.array([1.0, 1.5]))


def test_after_the_last_step_bounds_are_what_counts(steps: Steps) -> None:
    rounding = rounding_of(steps, 3, [steps.replay.initial])
    assert np.array_equal(steps.expected(3, rounding), steps.limits(3))
