"""The statistics of ratios, against values worked out by hand and against chance itself."""

import math

import numpy as np
import pytest

from components.compare.statistics import RatioEstimate, bootstrap_ratio, estimate_ratio, further_seeds


def test_the_interval_of_pairs_is_students() -> None:
    logarithms = np.array([0.0, 0.02, 0.04])
    found = estimate_ratio([1.0] * 3, np.exp(logarithms).tolist(), paired=True, significance=0.05)
    # t of 2 degrees of freedom at 95% is 2.920; the deviation of the three is 0.02.
    half = 2.920 * 0.02 / math.sqrt(3)
    assert found is not None and found.interval is not None
    assert math.log(found.interval[0]) == pytest.approx(0.02 - half, abs=1e-5)
    assert math.log(found.interval[1]) == pytest.approx(0.02 + half, abs=1e-5)
    assert found.spread == pytest.approx(math.exp(0.02) - 1)


def test_one_run_against_several_is_held_to_scatter_as_they_do() -> None:
    found = estimate_ratio([1.0], np.exp([0.0, 0.02, 0.04]).tolist(), paired=False, significance=0.05)
    half = 2.920 * 0.02 * math.sqrt(1 + 1 / 3)
    assert found is not None and found.interval is not None
    assert math.log(found.interval[1]) == pytest.approx(0.02 + half, abs=1e-5)


@pytest.mark.parametrize("value", [None, 0.0, -1.0, math.nan, math.inf])
def test_a_value_that_is_no_measure_is_not_left_out_silently(value: float | None) -> None:
    assert estimate_ratio([1.0, 1.0, 1.0], [1.0, value, 1.0], paired=True, significance=0.05) is None


@pytest.mark.parametrize("paired", [True, False])
def test_intervals_hold_the_truth_as_often_as_they_claim(paired: bool) -> None:
    random = np.random.default_rng(0)
    held = 0
    for _ in range(2000):
        seeds = random.normal(0, 0.07, 3)
        own = random.normal(0, 0.02, (2, 3))
        others = seeds if paired else random.normal(0, 0.07, 3)
        one, two = np.exp(seeds + own[0]), 1.05 * np.exp(others + own[1])
        found = estimate_ratio(one.tolist(), two.tolist(), paired, significance=0.05)
        assert found is not None and found.interval is not None
        held += found.interval[0] <= 1.05 <= found.interval[1]
    assert held / 2000 == pytest.approx(0.90, abs=0.03)


LIMITS = (1 / 1.15, 1.15)


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize(("ratio", "deviation"), [(0.96, 0.12), (1.05, 0.05), (1.3, 0.1)])
def test_so_many_seeds_as_are_said_to_decide_do_so_in_four_of_five_cases(
    paired: bool, ratio: float, deviation: float
) -> None:
    seen = RatioEstimate(ratio, (3, 3), (0.0, 9.0), math.expm1(deviation), paired)
    further = further_seeds(seen, LIMITS, significance=0.05)
    assert further is not None
    random = np.random.default_rng(0)
    decided = []
    for seeds in (3 + further, 2 + further):
        number = 0
        for _ in range(500):
            scatter = random.normal(0, deviation, (2, seeds)) * ([[0], [1]] if paired else 1)
            one, two = np.exp(scatter) * [[1], [ratio]]
            found = estimate_ratio(one.tolist(), two.tolist(), paired, significance=0.05)
            assert found is not None and found.interval is not None
            low, high = found.interval
            number += (LIMITS[0] <= low and high <= LIMITS[1]) or low > LIMITS[1] or high < LIMITS[0]
        decided.append(number / 500)
    assert decided[0] >= 0.76, "as many as said"
    assert decided[1] <= 0.90, "and one less is not as good by far"


def test_a_ratio_next_to_a_limit_is_not_decided_by_any_number_of_seeds() -> None:
    assert further_seeds(RatioEstimate(1.149, (3, 3), (1.0, 1.3), 0.05, paired=True), LIMITS, 0.05) is None


def test_what_slowed_both_runs_of_a_pair_is_no_difference() -> None:
    # One of three machines is three times as slow; the second leg takes a tenth longer on each.
    slow = [np.full(200, seconds) for seconds in (0.1, 0.1, 0.3)]
    slower = [1.1 * seconds for seconds in slow]
    low, high = bootstrap_ratio(slower, slow, 0.05, paired=True) or (0, 0)
    assert low == pytest.approx(1.1) and high == pytest.approx(1.1)
    low, high = bootstrap_ratio(slower, slow, 0.05) or (0, 0)
    assert low < 0.5 and high > 3
