"""Statistics of ratios: candidate over reference, and how sure the ratio is.

Losses and other measures of runs scatter by factors, so everything is done with logarithms of ratios.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from components.compare.bounds import MAX_SEEDS

Floats = NDArray[np.float64]

# Neighbouring steps share what slows them, so the bootstrap draws blocks of them, not steps.
BLOCKS = 50
DRAWS = 1000
# How likely further seeds are to decide, and how many nobody would train.
POWER = 0.8
MAX_FURTHER_SEEDS = 100
# A leg of two has an interval, but one of four times the width of a leg of three.
MIN_SEEDS = 3


@dataclass(frozen=True)
class RatioEstimate:
    """A ratio candidate / reference of geometric means over runs, with its interval.

    Attributes:
        ratio: The ratio.
        runs: How many runs of the reference and of the candidate there are.
        interval: The one that two one-sided tests at ``significance`` use, so one of 1 - 2 x significance; None if one
            run a leg gives no spread.
        spread: Standard deviation from run to run that the interval rests on, as a share of the value (0.03: 3%).
    """

    ratio: float
    runs: tuple[int, int]
    interval: tuple[float, float] | None = None
    spread: float | None = None

    def numbers(self, name: str) -> dict[str, float | None]:
        """Return the estimate of the measure ``name`` as comparison.json has it."""
        numbers: dict[str, float | None] = {f"{name}_ratio": self.ratio}
        if self.interval:
            low, high = self.interval
            numbers |= {f"{name}_ratio_low": low, f"{name}_ratio_high": high, f"{name}_spread": self.spread}
        return numbers


def mean(values: Sequence[float | int | None]) -> float | None:
    """Return the mean; None if there is no value or one is missing, for nothing is left out silently."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean of one value or more, all above zero."""
    return float(np.exp(np.mean(np.log(values))))


def ratio(candidate: float | None, reference: float | None) -> float | None:
    """Return candidate / reference; None if one was not measured or is not above zero."""
    if candidate is None or reference is None or not (candidate > 0 and reference > 0):
        return None
    return candidate / reference


def estimate_ratio(
    reference: Sequence[float | None], candidate: Sequence[float | None], paired: bool, significance: float
) -> RatioEstimate | None:
    """Estimate the ratio of one measure from its values in the runs of both sides.

    Args:
        reference: The reference's values, one a run.
        candidate: The candidate's values.
        paired: Whether the values stand in the order of the same seeds. Then the interval is Student's, of the
            logarithms of the pairs' ratios; else of two groups that scatter alike, of which one may be a single run.
        significance: Of each of the two one-sided tests.

    Returns:
        The estimate; None if a value is missing or not above zero, for nothing is left out silently.
    """
    of_reference, of_candidate = _logarithms(reference), _logarithms(candidate)
    if of_reference is None or of_candidate is None:
        return None
    runs = (len(of_reference), len(of_candidate))
    difference = float(of_candidate.mean() - of_reference.mean())
    if paired:
        groups, freedom, scale = [of_candidate - of_reference], runs[0] - 1, 1 / runs[0]
    else:
        groups, freedom, scale = [of_reference, of_candidate], sum(runs) - 2, 1 / runs[0] + 1 / runs[1]
    if not freedom:
        return RatioEstimate(_exp(difference), runs)
    variance = sum(float(np.square(group - group.mean()).sum()) for group in groups) / freedom
    half = float(stats.t.ppf(1 - significance, freedom)) * math.sqrt(variance * scale)
    interval = _exp(difference - half), _exp(difference + half)
    return RatioEstimate(_exp(difference), runs, interval, _exp(math.sqrt(variance)) - 1)


def further_seeds(
    estimate: RatioEstimate, limits: tuple[float, float], paired: bool, significance: float, is_recorded: bool = False
) -> int | None:
    """Return how many further seeds would decide, with a probability of POWER, if ratio and spread are what was seen.

    Args:
        estimate: What was seen.
        limits: The lowest and the highest ratio that pass: decided is what has its whole interval inside or outside.
        paired: As in estimate_ratio.
        significance: As in estimate_ratio.
        is_recorded: Whether the reference is recorded, so that the candidate alone gets further seeds.

    Returns:
        The number for each leg; None if MAX_FURTHER_SEEDS are too few, for the ratio is next to a limit. One run a leg
        shows no spread: then as many as give MIN_SEEDS.
    """
    if not estimate.spread:
        return max(1, MIN_SEEDS - min(estimate.runs))
    further = np.arange(1, MAX_FURTHER_SEEDS + 1)
    of_reference = estimate.runs[0] + (0 if is_recorded else further)
    of_candidate = estimate.runs[1] + further
    freedom = of_candidate - 1 if paired else of_reference + of_candidate - 2
    scale = 1 / of_candidate if paired else 1 / of_reference + 1 / of_candidate
    error = math.log1p(estimate.spread) * np.sqrt(scale)
    needed = stats.t.ppf(1 - significance, freedom)
    distance = [math.log(estimate.ratio) - _log(limits[0]), _log(limits[1]) - math.log(estimate.ratio)]
    # That the interval's end stays on the ratio's side of a limit is a non-central t beyond the critical value; beyond
    # 30 standard errors, where SciPy's series fails, it is certain.
    inside, below = (stats.nct.sf(needed, freedom, np.clip(side / error, -30, 30)) for side in distance)
    above, under = (stats.nct.sf(needed, freedom, np.clip(-side / error, -30, 30)) for side in distance[::-1])
    decided = np.flatnonzero(np.maximum.reduce([inside + below - 1, above, under]) >= POWER)
    return int(further[decided[0]]) if decided.size else None


def more_seeds(undecided: Sequence[tuple[RatioEstimate, int | None]], is_recorded: bool = False) -> str:
    """Say how many further seeds would decide, and the command that adds them.

    Args:
        undecided: What is not decided, each with its further_seeds.
        is_recorded: Whether the reference is recorded, so that the candidate alone gets further seeds.
    """
    counts = [count for _, count in undecided]
    if None in counts:
        return f"more than {MAX_FURTHER_SEEDS} further seeds would be needed, for a ratio is next to its bound"
    further = max(count for count in counts if count is not None)
    seeds = max(max(estimate.runs[is_recorded:]) for estimate, _ in undecided) + further
    would = "would show how much seeds differ"
    if all(estimate.spread for estimate, _ in undecided):
        would = f"would decide it with {POWER:.0%} probability if the ratio is what was seen"
    return (
        f"{further} further seed{'s' if further > 1 else ''}{'' if is_recorded else ' a leg'} ({seeds} in all"
        f"{f'; a run takes {MAX_SEEDS}' if seeds > MAX_SEEDS else ''}) {would}: "
        f"`parity run --resume RUN --seeds {min(seeds, MAX_SEEDS)}`"
    )


def bootstrap_ratio(
    numerators: Sequence[Floats], denominators: Sequence[Floats], significance: float
) -> tuple[float, float] | None:
    """Return the interval of a ratio of medians over runs, by a bootstrap over runs and over blocks of steps.

    Args:
        numerators: Of each run of the one leg the values of its steps, in order.
        denominators: Those of the other leg.
        significance: Share of the draws that lie below the interval, and above it.

    Returns:
        The ends of the interval; None if a run has no steps.
    """
    blocks = [[_block_medians(values) for values in runs] for runs in (numerators, denominators)]
    if not all(medians.size for runs in blocks for medians in runs):
        return None
    random = np.random.RandomState(0)
    drawn = [_drawn_medians(runs, random) for runs in blocks]
    low, high = np.quantile(drawn[0] / drawn[1], [significance, 1 - significance])
    return float(low), float(high)


def _block_medians(values: Floats) -> Floats:
    return np.asarray([np.median(block) for block in np.array_split(values, BLOCKS) if block.size])


def _drawn_medians(runs: Sequence[Floats], random: np.random.RandomState) -> Floats:
    """Draw runs anew, of each its blocks, and take the median of the runs' medians, DRAWS times."""
    medians = np.stack([np.median(run[random.randint(0, len(run), (DRAWS, len(run)))], axis=1) for run in runs])
    chosen = random.randint(0, len(runs), (len(runs), DRAWS))
    drawn: Floats = np.median(np.take_along_axis(medians, chosen, axis=0), axis=0)
    return drawn


def _log(value: float) -> float:
    # Of a limit that there is not: 0 or infinite.
    return math.log(value) if 0 < value < math.inf else math.copysign(math.inf, value - 1)


def _exp(value: float) -> float:
    # Beyond this a ratio says nothing more, and a float holds no more.
    return math.exp(min(value, 700.0))


def _logarithms(values: Sequence[float | None]) -> Floats | None:
    known = np.asarray([math.nan if value is None else value for value in values], dtype=np.float64)
    return np.log(known) if known.size and np.all((known > 0) & np.isfinite(known)) else None
