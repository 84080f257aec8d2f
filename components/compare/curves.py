"""Losses over training steps, thinned so that a chart of 100,000 steps is as small as one of 400."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.compare.history import Floats

MAX_POINTS = 400
SMOOTHING = 40


@dataclass(frozen=True)
class Curve:
    """``smooth`` is a running mean, [2, points]; of several runs, their mean.

    Of one run ``raw`` has the lowest and highest step of each stretch, [2, points]; of several ``band`` has the lowest
    and highest of their running means, [3, points]: step, low, high.
    """

    smooth: Floats
    raw: Floats | None = None
    band: Floats | None = None


def curve(steps: NDArray[np.int64], values: Floats) -> Curve:
    """The curve of a loss; a step whose loss is not finite leaves a gap in both lines."""
    finite = np.where(np.isfinite(values), values, np.nan)
    x = steps.astype(np.float64)
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), MAX_POINTS)).round().astype(int))
    smooth = running_mean(finite, max(1, len(x) // SMOOTHING))
    extremes = _extremes(finite)
    return Curve(np.stack([x[kept], smooth[kept]]), raw=np.stack([x[extremes], finite[extremes]]))


def curve_of_runs(runs: Sequence[tuple[NDArray[np.int64], Floats]]) -> Curve:
    """The curve of a loss over runs that differ in their seeds; ``runs`` are (steps, values).

    Drawn are the steps that all runs have. A step whose loss is not finite in one run leaves a gap.
    """
    if len(runs) == 1:
        return curve(*runs[0])
    length = min(len(steps) for steps, _ in runs)
    x = runs[0][0][:length].astype(np.float64)
    kept = np.unique(np.linspace(0, length - 1, min(length, MAX_POINTS)).round().astype(int))
    window = max(1, length // SMOOTHING)
    means = np.stack(
        [
            running_mean(np.where(np.isfinite(values[:length]), values[:length], np.nan), window)[kept]
            for _, values in runs
        ]
    )
    return Curve(
        np.stack([x[kept], means.mean(axis=0)]), band=np.stack([x[kept], means.min(axis=0), means.max(axis=0)])
    )


def running_mean(values: Floats, window: int) -> Floats:
    """The mean over ``window`` values around each one, fewer at the ends; NaN where one of them is NaN."""
    half = window // 2
    count = len(values)
    first = np.maximum(np.arange(count) - half, 0)
    after = np.minimum(np.arange(count) + half + 1, count)
    holes = np.concatenate([[0], np.cumsum(np.isnan(values))])
    sums = np.concatenate([[0.0], np.cumsum(np.nan_to_num(values))])
    means: Floats = (sums[after] - sums[first]) / (after - first)
    means[holes[after] > holes[first]] = np.nan
    return means


def _extremes(values: Floats) -> NDArray[np.intp]:
    """Places of the lowest and highest value of each of MAX_POINTS / 2 stretches, in order."""
    if len(values) <= MAX_POINTS:
        return np.arange(len(values))
    places: set[int] = set()
    for stretch in np.array_split(np.arange(len(values)), MAX_POINTS // 2):
        part = values[stretch]
        if np.isnan(part).any():
            places.add(int(stretch[np.isnan(part)][0]))
        else:
            places |= {int(stretch[part.argmin()]), int(stretch[part.argmax()])}
    return np.array(sorted(places))
