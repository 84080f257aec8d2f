"""The axis performance: is the candidate as fast as it was bought for?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from components.compare.axes.training import losses_goal, steps_to_loss
from components.compare.bounds import Bounds
from components.compare.energy import energy_joules
from components.compare.history import Floats
from components.compare.leg import LegRun, LegRuns
from components.compare.statistics import ratio
from components.compare.verdict import Finding, Number, Verdict, not_measured

# Neighbouring steps share what slows them, so blocks of them are drawn, not steps.
BLOCKS = 50
DRAWS = 1000
ENERGY_NOT_MEASURED = "not_measured"


@dataclass(frozen=True)
class SpeedRatio:
    """Reference's seconds a step over the candidate's; ``low`` and ``high`` are None where steps were not logged."""

    ratio: float
    low: float | None
    high: float | None


def judge_performance(reference: LegRuns, candidate: LegRuns, bounds: Bounds) -> Finding:
    """Hold the ratio of speeds (median seconds of a training step) against ModelZoo's classes.

    The interval is a bootstrap's over blocks of steps and over runs. Time and energy to the result are told beside it.
    """
    for run in (*reference.runs, *candidate.runs):
        if run.unfinished:
            return not_measured(f"{run.unfinished}.")
    of_reference, of_candidate = sec_per_step(reference), sec_per_step(candidate)
    found = _speed_ratio(reference, candidate, bounds.significance)
    if found is None or of_reference is None or of_candidate is None:
        slow = [leg.name for leg in (reference, candidate) if not sec_per_step(leg)]
        return not_measured(f"There is no speed ratio: {' and '.join(slow)} measured no sec/step.")
    finding = judge_speed(reference.name, of_reference, candidate.name, of_candidate, found, bounds)
    return Finding(finding.verdict, finding.reason, {**finding.numbers, **_to_the_result(reference, candidate)})


def judge_speed(
    reference: str, of_reference: float, candidate: str, of_candidate: float, found: SpeedRatio, bounds: Bounds
) -> Finding:
    """The class of a speed ratio; inconclusive where the interval reaches over the bound of what is refused."""
    level = modelzoo_class(found.ratio, bounds)
    numbers: dict[str, Number] = {
        "speed_ratio": found.ratio,
        "speed_ratio_low": found.low,
        "speed_ratio_high": found.high,
        "modelzoo_class": level,
        "sec_per_step_reference": of_reference,
        "sec_per_step_candidate": of_candidate,
    }
    interval = "" if found.low is None or found.high is None else f", {found.low:.2f} to {found.high:.2f}"
    reason = (
        f"{candidate} is {found.ratio:.2f} times as fast as {reference}{interval} "
        f"({of_candidate:.4g} against {of_reference:.4g} s a step): ModelZoo class {level}."
    )
    low, high = found.low or found.ratio, found.high or found.ratio
    if high < bounds.min_speed_ratio:
        return Finding(Verdict.FAIL, reason, numbers)
    return Finding(Verdict.PASS if low >= bounds.min_speed_ratio else Verdict.INCONCLUSIVE, reason, numbers)


def modelzoo_class(speed_ratio: float, bounds: Bounds) -> str:
    """PERFECT, OK, POK or NOK, as Ascend/modelzoo's contrib/CONTRIBUTING.md calls a port of this speed."""
    if speed_ratio >= bounds.perfect_speed_ratio:
        return "PERFECT"
    if speed_ratio >= bounds.par_speed_ratio:
        return "OK"
    return "POK" if speed_ratio >= bounds.min_speed_ratio else "NOK"


def sec_per_step(leg: LegRuns) -> float | None:
    """Median over the runs of their median seconds a step, as their summaries have it."""
    found = [run.summary.sec_per_step for run in leg.runs if run.summary and run.summary.sec_per_step]
    return float(np.median(found)) if len(found) == len(leg.runs) else None


def _speed_ratio(reference: LegRuns, candidate: LegRuns, significance: float) -> SpeedRatio | None:
    point = ratio(sec_per_step(reference), sec_per_step(candidate))
    if point is None:
        return None
    blocks = [[_block_medians(run) for run in leg.runs] for leg in (reference, candidate)]
    if not all(len(medians) for leg in blocks for medians in leg):
        return SpeedRatio(point, None, None)
    random = np.random.RandomState(0)
    draws = [_drawn_medians(leg, random) for leg in blocks]
    low, high = np.quantile(draws[0] / draws[1], [significance, 1 - significance])
    return SpeedRatio(point, min(float(low), point), max(float(high), point))


def steady_seconds(run: LegRun) -> Floats:
    """Seconds of each step but the first ones of a process."""
    seconds = run.history.seconds[run.history.steady]
    kept: Floats = seconds[np.isfinite(seconds) & (seconds > 0)]
    return kept


def _block_medians(run: LegRun) -> Floats:
    seconds = steady_seconds(run)
    blocks = [block for block in np.array_split(seconds, BLOCKS) if block.size]
    return np.asarray([np.median(block) for block in blocks])


def _drawn_medians(runs: Sequence[Floats], random: np.random.RandomState) -> Floats:
    """DRAWS times a leg's seconds a step: runs drawn anew, of each its blocks, the median of the runs' medians."""
    medians = np.stack([np.median(run[random.randint(0, len(run), (DRAWS, len(run)))], axis=1) for run in runs])
    chosen = random.randint(0, len(runs), (len(runs), DRAWS))
    drawn: Floats = np.median(np.take_along_axis(medians, chosen, axis=0), axis=0)
    return drawn


def _to_the_result(reference: LegRuns, candidate: LegRuns) -> dict[str, Number]:
    """Seconds of whole runs, seconds of training to the goal loss, joules; each the mean over a leg's runs."""
    numbers: dict[str, Number] = {}
    goal = losses_goal(reference)
    measured = {
        "seconds_in_all": lambda run: (run.summary.time or {}).get("total") if run.summary else None,
        "seconds_to_goal": lambda run: _seconds_to(run, goal),
        "energy_joules": energy_joules,
    }
    for name, measure in measured.items():
        sides = [_mean([measure(run) for run in leg.runs]) for leg in (reference, candidate)]
        for side, value in zip(("reference", "candidate"), sides, strict=True):
            absent = ENERGY_NOT_MEASURED if name == "energy_joules" else None
            numbers[f"{name}_{side}"] = absent if value is None else value
        numbers[f"{name}_ratio"] = ratio(sides[1], sides[0])
    return numbers


def _seconds_to(run: LegRun, goal: float | None) -> float | None:
    step = steps_to_loss(run.history, goal) if goal else None
    if step is None:
        return None
    seconds = float(run.history.seconds[run.history.steps <= step].sum())
    return seconds if math.isfinite(seconds) else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None
