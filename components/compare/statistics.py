"""Candidate over reference as a ratio, and how sure it is.

Losses and other measures of runs scatter by factors, so everything is done with logarithms of ratios.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class RatioEstimate:
    """``ratio`` is candidate / reference, of geometric means over the runs.

    ``low`` and ``high`` enclose it: the interval that two one-sided tests at ``significance`` use, so one of
    1 - 2 x significance; None where one run a leg gives no spread. ``runs`` are (reference's, candidate's); ``paired``
    says that each run was held against the other leg's run of the same seed. ``spread`` is the standard deviation from
    run to run that the interval rests on, as a share of the value (0.03: 3%).
    """

    ratio: float
    low: float | None
    high: float | None
    spread: float | None
    runs: tuple[int, int]
    paired: bool


def ratio(candidate: float | None, reference: float | None) -> float | None:
    """candidate / reference; None where one was not measured or is not above zero."""
    if candidate is None or reference is None or not (candidate > 0 and reference > 0):
        return None
    return candidate / reference


def estimate_ratio(
    reference: Sequence[float | None], candidate: Sequence[float | None], paired: bool, significance: float
) -> RatioEstimate | None:
    """The ratio of one measure; ``reference`` and ``candidate`` are its values in the legs' runs.

    paired: the values stand in the order of the same seeds. Then the interval is Student's, of the logarithms of the
    pairs' ratios; else of two groups that scatter alike, of which one may be a single run. None where a value is
    missing or not above zero: nothing is left out silently.
    """
    logarithms = [_logarithms(values) for values in (reference, candidate)]
    of_reference, of_candidate = logarithms
    if of_reference is None or of_candidate is None:
        return None
    runs = (len(of_reference), len(of_candidate))
    difference = float(np.mean(of_candidate) - np.mean(of_reference))
    if paired:
        pairs = np.subtract(of_candidate, of_reference)
        freedom, scale = len(pairs) - 1, 1 / len(pairs)
        variance = float(np.var(pairs, ddof=1)) if freedom else None
    else:
        freedom, scale = sum(runs) - 2, sum(1 / count for count in runs)
        squares = sum(float(np.square(np.subtract(group, np.mean(group))).sum()) for group in logarithms if group)
        variance = squares / freedom if freedom else None
    if variance is None:
        return RatioEstimate(math.exp(difference), None, None, None, runs, paired)
    half = float(stats.t.ppf(1 - significance, freedom)) * math.sqrt(variance * scale)
    return RatioEstimate(
        ratio=math.exp(difference),
        low=math.exp(difference - half),
        high=_exp(difference + half),
        spread=_exp(math.sqrt(variance)) - 1,
        runs=runs,
        paired=paired,
    )


def geometric_mean(values: Sequence[float]) -> float:
    return float(np.exp(np.mean(np.log(values))))


def _exp(value: float) -> float:
    """Without overflow: beyond this a ratio says nothing more."""
    return math.exp(min(value, 700.0))


def _logarithms(values: Sequence[float | None]) -> list[float] | None:
    if not values or not all(value is not None and 0 < value < math.inf for value in values):
        return None
    return [math.log(value) for value in values if value]
