"""Statistics of ratios: candidate over reference, how sure the ratio is, and what follows for the verdict.

Losses and other measures of runs scatter by factors, so everything is done with logarithms of ratios.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from components.compare.bounds import MAX_SEEDS
from components.compare.verdict import Verdict

Floats = NDArray[np.float64]
# The lowest and the highest ratio that pass.
Limits = tuple[float, float]

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
        runs: How many runs of the reference and of the candidate there are.
        interval: That of two one-sided tests; None if one run a leg gives no spread.
        spread: Standard deviation from run to run that the interval rests on, as a share of the value (0.03: 3%).
        paired: Whether the runs stand in pairs of one seed.
    """

    ratio: float
    runs: tuple[int, int]
    interval: tuple[float, float] | None = None
    spread: float | None = None
    paired: bool = False

    def numbers(self, name: str) -> dict[str, float | None]:
        """Return the estimate of the measure ``name`` as comparison.json has it."""
        numbers: dict[str, float | None] = {f"{name}_ratio": self.ratio}
        if self.interval:
            low, high = self.interval
            numbers |= {f"{name}_ratio_low": low, f"{name}_ratio_high": high, f"{name}_spread": self.spread}
        return numbers

    def verdict(self, passing: Limits, failing: Limits, by_interval: bool) -> Verdict:
        """Judge the ratio: it fails if its interval, or itself if it has none, lies outside of ``failing``.

        It passes inside of ``passing``, with its whole interval if ``by_interval``.
        """
        low, high = self.interval or (self.ratio, self.ratio)
        if low > failing[1] or high < failing[0]:
            return Verdict.FAIL
        if not by_interval:
            low = high = self.ratio
        is_inside = passing[0] <= low and high <= passing[1]
        return Verdict.PASS if is_inside and (self.interval or not by_interval) else Verdict.INCONCLUSIVE


def mean(values: Sequence[float | int | None]) -> float | None:
    """Return the mean; None if there is no value or one is missing, for nothing is left out silently."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None


def estimate_ratio(
    reference: Sequence[float | None], candidate: Sequence[float | None], paired: bool, significance: float
) -> RatioEstimate | None:
    """Estimate the ratio of one measure from its values in the runs of both sides.

    ``paired``: whether the values stand in the order of the same seeds. Then the interval is Student's, of the
    logarithms of the pairs' ratios; else of two groups that scatter alike, of which one may be a single run. Return
    None if a value is missing or not above zero, for nothing is left out silently.
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
    variance = sum(float(np.square(group - group.mean()).sum()) for group in groups) / max(freedom, 1)
    half = float(stats.t.ppf(1 - significance, max(freedom, 1))) * math.sqrt(variance * scale)
    # Beyond e^700 a ratio says nothing more, and a float holds no more.
    logarithms = (difference, difference - half, difference + half, math.sqrt(variance))
    ratio, low, high, spread = (math.exp(min(value, 700.0)) for value in logarithms)
    return RatioEstimate(ratio, runs, (low, high) if freedom else None, spread - 1 if freedom else None, paired)


def further_seeds(
    estimate: RatioEstimate, limits: Limits, significance: float, is_recorded: bool = False
) -> int | None:
    """Return how many further seeds a leg would decide with a probability of POWER, if ratio and spread are as seen.

    Decided is what has its whole interval inside or outside of ``limits``. If the reference is recorded, the candidate
    alone gets further seeds. One run a leg shows no spread: then as many as give MIN_SEEDS. Return None if
    MAX_FURTHER_SEEDS are too few, for the ratio is next to a limit.
    """
    if not estimate.spread:
        return max(1, MIN_SEEDS - min(estimate.runs))
    further = np.arange(1, MAX_FURTHER_SEEDS + 1)
    of_reference = estimate.runs[0] + (0 if is_recorded else further)
    of_candidate = estimate.runs[1] + further
    freedom = of_candidate - 1 if estimate.paired else of_reference + of_candidate - 2
    scale = 1 / of_candidate if estimate.paired else 1 / of_reference + 1 / of_candidate
    error = math.log1p(estimate.spread) * np.sqrt(scale)
    needed = stats.t.ppf(1 - significance, freedom)
    low, high = (math.log(limit) if 0 < limit < math.inf else math.copysign(math.inf, limit - 1) for limit in limits)
    distance = [math.log(estimate.ratio) - low, high - math.log(estimate.ratio)]
    # That the interval's end stays on the ratio's side of a limit is a non-central t beyond the critical value; beyond
    # 30 standard errors, where SciPy's series fails, it is certain.
    inside, below = (stats.nct.sf(needed, freedom, np.clip(side / error, -30, 30)) for side in distance)
    above, under = (stats.nct.sf(needed, freedom, np.clip(-side / error, -30, 30)) for side in distance[::-1])
    decided = np.flatnonzero(np.maximum.reduce([inside + below - 1, above, under]) >= POWER)
    return int(further[decided[0]]) if decided.size else None


def more_seeds(
    undecided: Sequence[tuple[RatioEstimate, Limits]], significance: float, is_recorded: bool = False
) -> str:
    """Say how many further seeds would decide all of ``undecided``, and the command that adds them."""
    why, would = "one run a leg is weak evidence", "would show how much seeds differ"
    if all(estimate.spread for estimate, _ in undecided):
        why = "the seeds scatter too much"
        would = f"would decide it with {POWER:.0%} probability if the ratio is what was seen"
    counts = [further_seeds(estimate, limits, significance, is_recorded) for estimate, limits in undecided]
    known = [count for count in counts if count is not None]
    if len(known) < len(counts):
        return f"{why}; more than {MAX_FURTHER_SEEDS} further seeds would be needed, for a ratio is next to its bound"
    further = max(known)
    seeds = max(max(estimate.runs[is_recorded:]) for estimate, _ in undecided) + further
    return (
        f"{why}; {further} further seed{'s' if further > 1 else ''}{'' if is_recorded else ' a leg'} ({seeds} in all"
        f"{f'; a run takes {MAX_SEEDS}' if seeds > MAX_SEEDS else ''}) {would}: "
        f"`parity run --resume RUN --seeds {min(seeds, MAX_SEEDS)}`, on a cluster `parity submit --add-to RUN`"
    )


def bootstrap_ratio(
    numerators: Sequence[Floats], denominators: Sequence[Floats], significance: float, paired: bool = False
) -> tuple[float, float] | None:
    """Return the interval of a ratio of medians over runs, by a bootstrap over runs and over blocks of steps.

    Given are of each run of the two legs the values of its steps, in order. ``paired``: runs of one place belong
    together, as those of a seed that shared a machine, and are drawn together: what slowed both is no difference.
    Return None if a run has no steps.
    """
    if not all(values.size for values in (*numerators, *denominators)):
        return None
    random = np.random.RandomState(0)
    above, below = (_drawn_medians(runs, random) for runs in (numerators, denominators))
    if paired:
        ratios = _median_of_drawn(above / below, random)
    else:
        ratios = _median_of_drawn(above, random) / _median_of_drawn(below, random)
    low, high = np.quantile(ratios, [significance, 1 - significance])
    return float(low), float(high)


def _drawn_medians(runs: Sequence[Floats], random: np.random.RandomState) -> Floats:
    """Draw the blocks of each run anew and take their median, DRAWS times: [runs, DRAWS]."""
    blocks = [np.array([np.median(part) for part in np.array_split(run, BLOCKS) if part.size]) for run in runs]
    return np.stack([np.median(run[random.randint(0, len(run), (DRAWS, len(run)))], axis=1) for run in blocks])


def _median_of_drawn(values: Floats, random: np.random.RandomState) -> Floats:
    """Draw runs anew and take the median of their ``values`` [runs, DRAWS]."""
    chosen = random.randint(0, len(values), values.shape)
    drawn: Floats = np.median(np.take_along_axis(values, chosen, axis=0), axis=0)
    return drawn


def _logarithms(values: Sequence[float | None]) -> Floats | None:
    known = np.asarray([math.nan if value is None else value for value in values], dtype=np.float64)
    return np.log(known) if known.size and np.all((known > 0) & np.isfinite(known)) else None
