"""Following recorded steps within rounding, on a model whose step depends on which side of zero one unit is."""

import numpy as np
import pytest

from dualgan.rounding import MEMBERS, PUT_BACK
from dualgan.shadowing import follow
from tests.components.dualgan.one_unit import DECIDING, GIVEN_START, RECORDED_START, OneUnitDecides, replay_of


@pytest.mark.parametrize("steps", [1, 4])
def test_a_unit_that_rounding_turned_over_is_turned_back(steps: int) -> None:
    replay = replay_of(OneUnitDecides(RECORDED_START, steps), OneUnitDecides(GIVEN_START, steps))
    shadow = follow(replay, tries=400)  # type: ignore[arg-type]
    assert shadow.path is not None
    assert [way.losses["loss"] for way in shadow.path] == replay.recorded[:steps]
    assert shadow.followed == steps
    for way in shadow.path:
        assert way.excess <= 1
        ((unit, nudge),) = way.nudges.items()
        assert unit.at == DECIDING
        assert -1e-7 < nudge < 0, "by rounding only"


def test_a_unit_whose_zero_is_a_side_of_its_own_is_turned_over_too() -> None:
    given = OneUnitDecides(RECORDED_START, 2, third_slope=True)
    shadow = follow(replay_of(OneUnitDecides(GIVEN_START, 2), given), tries=400)  # type: ignore[arg-type]
    assert shadow.path is not None
    for way in shadow.path:
        ((unit, nudge),) = way.nudges.items()
        assert unit.at == DECIDING and nudge > 2**-25, "on the other side, not on zero"


def test_a_path_that_holds_as_it_is_turns_nothing_over() -> None:
    replay = replay_of(OneUnitDecides(GIVEN_START, 3), OneUnitDecides(GIVEN_START, 3))
    shadow = follow(replay, tries=400)  # type: ignore[arg-type]
    assert shadow.path is not None and not any(way.nudges for way in shadow.path)
    assert shadow.tried <= 3 * (2 + MEMBERS * (PUT_BACK + 2)), "each step and the one after it, and beside them members"


def test_a_unit_that_is_farther_from_its_zero_than_rounding_stays_where_it_is() -> None:
    replay = replay_of(OneUnitDecides(RECORDED_START, 3), OneUnitDecides(np.float32(1.0001), 3))
    assert follow(replay, tries=400).path is None  # type: ignore[arg-type]


def test_a_fault_has_no_path() -> None:
    replay = replay_of(OneUnitDecides(RECORDED_START, 3), OneUnitDecides(GIVEN_START, 3, above=0.501, below=0.251))
    shadow = follow(replay, tries=400)  # type: ignore[arg-type]
    assert shadow.path is None and shadow.followed == 0


def test_no_more_steps_are_done_than_may_be_tried() -> None:
    replay = replay_of(OneUnitDecides(RECORDED_START, 4), OneUnitDecides(GIVEN_START, 4))
    shadow = follow(replay, tries=6)  # type: ignore[arg-type]
    assert shadow.path is None and shadow.tried == 6
