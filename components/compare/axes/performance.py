"""The axis performance: is the candidate as fast as it was bought for?"""

import math
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from components.compare.bounds import Bounds
from components.compare.leg import Floats, LegRun
from components.compare.measure import SPEED, Measured, goal_loss, is_paired, steps_to_loss
from components.compare.statistics import RatioEstimate, bootstrap_ratio, estimate_ratio, mean, more_seeds
from components.compare.verdict import AxisResult, Number, Verdict, join, not_measured
from dualgan.run_folder import read_events

# As the power of GPUs (MLflow) and NPUs (npu-smi) is recorded in RUN_FOLDER.system.jsonl.
POWER = re.compile(r"(gpu|npu)_\d+(_\d+)?_power_usage_watts")
MIN_POWER_SAMPLES = 2
ENERGY_NOT_MEASURED = "not_measured"
# Of summary.json, each a number of performance.
MACHINE = ("load_average", "cpu_mhz")
# A machine is busy if its load is more than so many times its cores.
MAX_LOAD = 2.5
# The class of a speed whose interval spans two.
UNDECIDED = "not decided"


def judge_performance(reference: Measured, candidate: Measured, bounds: Bounds) -> AxisResult:
    """Hold the ratio of speeds (seconds of a training step) against ModelZoo's classes.

    Inconclusive if the interval reaches over the bound of what is refused, or if the runs of a leg had devices of
    different products. Time and energy to the result are informational.
    """
    sides = (reference, candidate)
    for run in (run for side in sides if side.leg for run in side.leg.runs):
        if run.unfinished:
            return not_measured(f"{run.unfinished}.")
    lacking = reference.lacks(SPEED, "seconds of one step")
    if lacking:
        return not_measured(lacking)
    medians = [median_seconds(side) for side in sides]
    if medians[0] is None or medians[1] is None:
        unmeasured = [side.name for side, seconds in zip(sides, medians, strict=True) if seconds is None]
        return not_measured(f"There is no speed ratio: {join(unmeasured)} measured no sec/step.")
    speed, interval = medians[0] / medians[1], None
    # How often the candidate's time goes into the reference's.
    seconds = estimate_ratio(
        candidate.values["sec_per_step"], reference.values["sec_per_step"], False, bounds.significance
    )
    assert seconds, "both were measured"
    if reference.leg and candidate.leg:
        old, new = ([steady_seconds(run) for run in leg.runs] for leg in (reference.leg, candidate.leg))
        interval = bootstrap_ratio(old, new, bounds.significance, is_paired(reference, candidate))
        interval = interval and (min(interval[0], speed), max(interval[1], speed))
    else:
        speed, interval = seconds.ratio, seconds.interval
    low, high = interval or (speed, speed)
    classes = [modelzoo_class(end, bounds) for end in (low, high)]
    level = classes[0] if classes[0] == classes[1] else UNDECIDED
    numbers: dict[str, Number] = {
        "speed_ratio": speed,
        "speed_ratio_low": low if interval else None,
        "speed_ratio_high": high if interval else None,
        "modelzoo_class": level,
        "sec_per_step_reference": medians[0],
        "sec_per_step_candidate": medians[1],
        **_machine_states(reference, candidate),
        **_to_the_result(reference, candidate),
    }
    shown = f", {low:.2f} to {high:.2f}" if interval else ""
    reason = (
        f"{candidate.name} is {speed:.2f} times as fast as {reference.name}{shown} "
        f"({medians[1]:.4g} against {medians[0]:.4g} s a step): ModelZoo class {level}"
        f"{f', {classes[0]} to {classes[1]}' if level == UNDECIDED else ''}"
    )
    reason += _busy(sides)
    mixed = [products for side in sides if (products := _different_products(side))]
    if mixed:
        return AxisResult(Verdict.INCONCLUSIVE, f"{reason}; yet {join(mixed)}: speeds of one product decide.", numbers)
    limits = (bounds.min_speed_ratio, math.inf)
    verdict = RatioEstimate(speed, seconds.runs, (low, high)).verdict(limits, limits, by_interval=True)
    if verdict is Verdict.INCONCLUSIVE:
        reason += f"; {more_seeds([(seconds, limits)], bounds.significance, not reference.leg)}"
    return AxisResult(verdict, f"{reason}.", numbers)


def _different_products(side: Measured) -> str | None:
    """Say which devices a leg's seeds had if they are not all of one product, None if they are."""
    names = sorted({run.options.environment.device.name for run in side.leg.runs}) if side.leg else []
    return f"{side.name}'s seeds ran on different devices ({join(names)})" if len(names) > 1 else None


def _machine_states(reference: Measured, candidate: Measured) -> dict[str, Number]:
    """Return the mean load and frequency of the machines at the ends of the runs; informational."""
    numbers: dict[str, Number] = {}
    for side, found in (("reference", reference), ("candidate", candidate)):
        if machines := _machines(found):
            numbers |= {f"{name}_{side}": mean([machine.get(name) for machine in machines]) for name in MACHINE}
    return numbers


def _machines(side: Measured) -> list[Mapping[str, float | None]]:
    """Return what each run recorded of its machine; nothing of a recorded reference."""
    return [(run.summary and run.summary.machine) or {} for run in (side.leg.runs if side.leg else ())]


def _busy(sides: Sequence[Measured]) -> str:
    """Say whose machines had more to do than they have cores, "" if none had."""
    busy = []
    for side in sides:
        loads = [(one.get("load_average") or 0.0, one.get("cores") or 0.0) for one in _machines(side)]
        load, cores = max(loads, key=lambda one: one[0] / one[1] if one[1] else 0.0, default=(0.0, 0.0))
        if cores and load > MAX_LOAD * cores:
            busy.append(f"{side.name}'s (load {load:.1f} on {cores:.0f} cores)")
    return f"; machines were busy, so seconds are noisy: {join(busy)}" if busy else ""


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


def steady_seconds(run: LegRun) -> Floats:
    """Return the seconds of each step but the first ones of a process."""
    seconds = run.history.seconds[run.history.steady]
    kept: Floats = seconds[np.isfinite(seconds) & (seconds > 0)]
    return kept


def _to_the_result(reference: Measured, candidate: Measured) -> dict[str, Number]:
    """Return seconds of whole runs, of training to the goal loss, and joules, each the mean over a leg's runs."""
    if not reference.leg or not candidate.leg:
        return {}
    goal = goal_loss(reference)
    measures: tuple[tuple[str, Callable[[LegRun], float | None], str | None], ...] = (
        ("seconds_in_all", lambda run: (run.summary.time or {}).get("total") if run.summary else None, None),
        ("seconds_to_goal", lambda run: _seconds_to(run, goal), None),
        ("energy_joules", energy_joules, ENERGY_NOT_MEASURED),
    )
    numbers: dict[str, Number] = {}
    for name, measure, absent in measures:
        old, new = (mean([measure(run) for run in leg.runs]) for leg in (reference.leg, candidate.leg))
        numbers |= {
            f"{name}_reference": absent if old is None else old,
            f"{name}_candidate": absent if new is None else new,
            f"{name}_ratio": new / old if old and new and min(old, new) > 0 else None,
        }
    return numbers


def _seconds_to(run: LegRun, goal: float | None) -> float | None:
    step = steps_to_loss(run.history, goal) if goal else None
    seconds = float(run.history.seconds[run.history.steps <= (step or 0)].sum())
    return seconds if step is not None and math.isfinite(seconds) else None


def energy_joules(run: LegRun) -> float | None:
    """Return the energy between the run's first and last event: power of its machine's accelerators, integrated.

    It is the energy of the cards, not of the host. None if fewer than MIN_POWER_SAMPLES samples of the time of the run
    report power, as on a CPU, or if the file of samples is damaged.
    """
    began, ended = run.history.started, run.history.ended
    folder = run.run.resolve()
    # Beside the folder of a training here; a pipeline's artifact has a copy in it.
    files = folder.with_name(f"{folder.name}.system.jsonl"), folder / "system.jsonl"
    file = next((file for file in files if file.is_file()), None)
    samples: list[tuple[float, float]] = []
    try:
        for event in read_events(file) if file else ():
            powers = [watts for name, watts in event.get("metrics", {}).items() if POWER.fullmatch(name)]
            if powers and began <= event.get("time", -1) <= ended:
                samples.append((event["time"], sum(powers)))
    except ValueError:
        return None
    if len(samples) < MIN_POWER_SAMPLES:
        return None
    times, watts = np.asarray(samples).T
    # What lies before the first and after the last sample is as these are.
    return float(np.trapezoid([watts[0], *watts, watts[-1]], [began, *times, ended]))
