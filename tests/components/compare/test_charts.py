"""Curves of 100,000 steps are drawn with a few hundred points that hide nothing."""

import numpy as np
from numpy.typing import NDArray

from components.compare.charts import MAX_POINTS, Curve, curve_of_runs, running_mean


def curve(steps: NDArray[np.int64], values: NDArray[np.float64]) -> Curve:
    return curve_of_runs([(steps, values)])


def test_a_long_run_has_at_most_400_points_a_line() -> None:
    made = curve(np.arange(1, 100_001), np.random.default_rng(1).normal(size=100_000))
    assert made.raw is not None
    assert made.raw.shape[1] <= MAX_POINTS
    assert made.smooth.shape[1] <= MAX_POINTS


def test_a_single_spike_survives_thinning() -> None:
    values = np.zeros(100_000)
    values[54_321] = 9.0
    made = curve(np.arange(1, 100_001), values)
    assert made.raw is not None
    assert made.raw[:, made.raw[1].argmax()].tolist() == [54_322, 9.0]


def test_a_short_run_is_drawn_step_by_step() -> None:
    made = curve(np.array([1, 2, 3]), np.array([3.0, 2.0, 1.0]))
    assert made.raw is not None
    assert made.raw.tolist() == [[1, 2, 3], [3, 2, 1]]


def test_a_running_mean_is_the_mean_of_its_window() -> None:
    assert running_mean(np.array([1.0, 2.0, 6.0, 4.0]), 3).tolist() == [1.5, 3.0, 4.0, 5.0]


def test_a_loss_that_is_not_finite_is_a_gap_and_not_averaged_away() -> None:
    values = np.ones(4000)
    values[2000] = np.inf
    made = curve(np.arange(4000), values)
    assert made.raw is not None
    assert np.isnan(made.raw[1]).any()
    gap = made.smooth[0][np.isnan(made.smooth[1])]
    assert 1900 < gap.min() <= 2000 <= gap.max() < 2100


def test_several_seeds_are_their_mean_in_a_band_from_the_lowest_to_the_highest() -> None:
    steps = np.arange(1, 2001)
    made = curve_of_runs([(steps, np.full(2000, value)) for value in (1.0, 2.0, 6.0)])
    assert made.raw is None and made.band is not None
    assert set(made.smooth[1]) == {3.0}
    assert (set(made.band[1]), set(made.band[2])) == ({1.0}, {6.0})
