"""What rounding does to recorded steps, on a model whose step depends on which side of zero one unit is."""

import numpy as np
import pytest

from dualgan.rounding import LAST_BIT, ROUNDING, Steps
from dualgan.watched_replay import Unit
from tests.components.dualgan.one_unit import DECIDING, GIVEN_START, RECORDED_START, OneUnitDecides, replay_of


@pytest.fixture
def steps() -> Steps:
    replay = replay_of(OneUnitDecides(GIVEN_START, 3), OneUnitDecides(GIVEN_START, 3))
    return Steps(replay, tries=100)  # type: ignore[arg-type]


def test_a_unit_moves_by_as_much_as_its_weight_is_rounded(steps: Steps) -> None:
    state = steps.replay.initial
    base = steps.look(1, state, {})
    rounding = steps.rounding(1, base, steps.off(1, base.losses), [steps.moved(state) for _ in range(3)])
    (units,) = rounding.units
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
    state = steps.replay.initial
    base = steps.look(1, state, {})
    rounding = steps.rounding(1, base, steps.off(1, base.losses), [state])
    assert np.all(rounding.losses == 0)
    assert steps.expected(1, rounding) == pytest.approx(LAST_BIT * np.array([1.0, 1.5]))


def test_after_the_last_step_bounds_are_what_counts(steps: Steps) -> None:
    base = steps.look(3, steps.replay.initial, {})
    rounding = steps.rounding(3, base, steps.off(3, base.losses), [steps.replay.initial])
    assert np.array_equal(steps.expected(3, rounding), steps.limits(3))
