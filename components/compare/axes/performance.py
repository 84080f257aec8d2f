"""The axis performance: is the candidate as fast as it was bought for?"""

import math
import re
from pathlib import Path

import numpy as np

from components.compare.axes.training import goal_loss, steps_to_loss
from components.compare.bounds import Bounds
from components.compare.history import Floats
from components.compare.leg import LegRun
from components.compare.measure import SPEED, Measured
from components.compare.statistics import bootstrap_ratio, estimate_ratio, further_seeds, mean, more_seeds, ratio
from components.compare.verdict import AxisResult, Number, Verdict, join, not_measured
from dualgan.run_folder import read_events

# As the power of GPUs (MLflow) and NPUs (npu-smi) is recorded in RUN_FOLDER.system.jsonl.
POWER = re.compile(r"(gpu|npu)_\d+(_\d+)?_power_usage_watts")
MIN_POWER_SAMPLES = 2
ENERGY_NOT_MEASURED = "not_measured"
# The class of a speed whose interval spans two.
UNDECIDED = "not decided"


def judge_performance(reference: Measured, candidate: Measured, bounds: Bounds) -> AxisResult:
    """Hold the ratio of speeds (seconds of a training step) against ModelZoo's classes.

    Inconclusive if the interval reaches over the bound of what is refused. Time and energy to the result are
    informational.
    """
    sides = (reference, candidate)
    for run in (run for side in sides if side.leg for run in side.leg.runs):
        if run.unfinished:
            return not_measured(f"{run.unfinished}.")
    if not reference.known(SPEED):
        return not_measured(reference.lacking(SPEED, "seconds of one step"))
    of_reference, of_candidate = (median_seconds(side) for side in sides)
    if of_reference is None or of_candidate is None:
        unmeasured = [side.name for side in sides if median_seconds(side) is None]
        return not_measured(f"There is no speed ratio: {join(unmeasured)} measured no sec/step.")
    speed, interval = _speed_ratio(reference, candidate, of_reference / of_candidate, bounds.significance)
    low, high = interval or (speed, speed)
    classes = [modelzoo_class(end, bounds) for end in (low, high)]
    level = classes[0] if classes[0] == classes[1] else UNDECIDED
    numbers: dict[str, Number] = {
        "speed_ratio": speed,
        "speed_ratio_low": low if interval else None,
        "speed_ratio_high": high if interval else None,
        "modelzoo_class": level,
        "sec_per_step_reference": of_reference,
        "sec_per_step_candidate": of_candidate,
        **_to_the_result(reference, candidate),
    }
    shown = f", {low:.2f} to {high:.2f}" if interval else ""
    reason = (
        f"{candidate.name} is {speed:.2f} times as fast as {reference.name}{shown} "
        f"({of_candidate:.4g} against {of_reference:.4g} s a step): ModelZoo class {level}"
        f"{f', {classes[0]} to {classes[1]}' if level == UNDECIDED else ''}."
    )
    if high < bounds.min_speed_ratio:
        return AxisResult(Verdict.FAIL, reason, numbers)
    if low >= bounds.min_speed_ratio:
        return AxisResult(Verdict.PASS, reason, numbers)
    seconds = estimate_ratio(candidate.values["sec_per_step"], reference.values["sec_per_step"], False, 0.5)
    assert seconds, "both were measured"
    limits = (bounds.min_speed_ratio, math.inf)
    further = further_seeds(seconds, limits, False, bounds.significance, not reference.leg)
    advice = more_seeds([(seconds, further)], not reference.leg)
    return AxisResult(Verdict.INCONCLUSIVE, f"{reason[:-1]}; {advice}.", numbers)


def modelzoo_class(speed_ratio: float, bounds: Bounds) -> str:
    """Return PERFECT, OK, POK or NOK, as Ascend/modelzoo's contrib/CONTRIBUTING.md calls a port of this speed."""
    if speed_ratio >= bounds.perfect_speed_ratio:
        return "PERFECT"
    if speed_ratio >= bounds.par_speed_ratio:
        return "OK"
    return "POK" if speed_ratio >= bounds.min_speed_ratio else "NOK"


def median_seconds(side: Measured) -> float | None:
    """Return the median over runs of their median seconds a step; None if a run has not measured it."""
    found = [value for value in side.values["sec_per_step"] if value and value > 0]
    return float(np.median(found)) if len(found) == len(side.values["sec_per_step"]) else None


def _speed_ratio(
    reference: Measured, candidate: Measured, medians: float, significance: float
) -> tuple[float, tuple[float, float] | None]:
    """Return the ratio of speeds with its interval: of single steps of two legs, of runs against a record."""
    if reference.leg and candidate.leg:
        old, new = ([steady_seconds(run) for run in leg.runs] for leg in (reference.leg, candidate.leg))
        interval = bootstrap_ratio(old, new, significance)
        return medians, interval and (min(interval[0], medians), max(interval[1], medians))
    # How often the candidate's time goes into the reference's.
    found = estimate_ratio(candidate.values["sec_per_step"], reference.values["sec_per_step"], False, significance)
    return (found.ratio, found.interval) if found else (medians, None)


def steady_seconds(run: LegRun) -> Floats:
    """Return the seconds of each step but the first ones of a process."""
    seconds = run.history.seconds[run.history.steady]
    kept: Floats = seconds[np.isfinite(seconds) & (seconds > 0)]
    return kept


def _to_the_result(reference: Measured, candidate: Measured) -> dict[str, Number]:
    """Return seconds of whole runs, of training to the goal loss, and joules, each the mean over a leg's runs."""
    if not reference.leg or not candidate.leg:
        return {}
    legs, goal = (reference.leg, candidate.leg), goal_loss(reference)
    numbers: dict[str, Number] = {}
    measures = {
        "seconds_in_all": lambda run: (run.summary.time or {}).get("total") if run.summary else None,
        "seconds_to_goal": lambda run: _seconds_to(run, goal),
        "energy_joules": energy_joules,
    }
    for name, measure in measures.items():
        of_reference, of_candidate = (mean([measure(run) for run in leg.runs]) for leg in legs)
        absent = ENERGY_NOT_MEASURED if measure is energy_joules else None
        numbers |= {
            f"{name}_reference": absent if of_reference is None else of_reference,
            f"{name}_candidate": absent if of_candidate is None else of_candidate,
            f"{name}_ratio": ratio(of_candidate, of_reference),
        }
    return numbers


def _seconds_to(run: LegRun, goal: float | None) -> float | None:
    step = steps_to_loss(run.history, goal) if goal else None
    if step is None:
        return None
    seconds = float(run.history.seconds[run.history.steps <= step].sum())
    return seconds if math.isfinite(seconds) else None


def energy_joules(run: LegRun) -> float | None:
    """Return the energy between the run's first and last event: power of its machine's accelerators, integrated.

    It is the energy of the cards, not of the host. None if fewer than MIN_POWER_SAMPLES samples of the time of the run
    report power, as on a CPU.
    """
    began, ended = run.history.started, run.history.ended
    folder = run.run.resolve()
    file = folder.with_name(f"{folder.name}.system.jsonl")
    if began is None or ended is None or not file.is_file():
        return None
    samples = [(time, watts) for time, watts in _power_samples(file) if began <= time <= ended]
    if len(samples) < MIN_POWER_SAMPLES:
        return None
    times, watts = np.asarray(samples).T
    # What lies before the first and after the last sample is as these are.
    return float(np.trapezoid([watts[0], *watts, watts[-1]], [began, *times, ended]))


def _power_samples(file: Path) -> list[tuple[float, float]]:
    """Return (seconds since 1970, watts) of each line that reports power; none of a damaged file."""
    samples = []
    try:
        for event in read_events(file):
            powers = [watts for name, watts in event.get("metrics", {}).items() if POWER.fullmatch(name)]
            if powers and "time" in event:
                samples.append((event["time"], sum(powers)))
    except ValueError:
        return []
    return samples
