"""A candidate held against a recorded reference instead of a leg."""

import json
from collections.abc import Mapping

import numpy as np

from components.compare.arithmetic import judge_arithmetic
from components.compare.axes.images import image_values, judge_image_values
from components.compare.axes.performance import SpeedRatio, judge_speed, sec_per_step
from components.compare.axes.training import Losses, judge_losses, losses_of
from components.compare.bounds import Bounds
from components.compare.function import dataset_problem, own_problems
from components.compare.leg import LegRuns
from components.compare.measure import DISTANCES, ERRORS, LOSSES, SHARPNESS, Values
from components.compare.options import ABSENT, OptionDifference, differing_options
from components.compare.references import Recorded, unlike
from components.compare.samples import picture_problem
from components.compare.statistics import estimate_ratio
from components.compare.verdict import AxisName, Finding, Number, Verdict, join, not_measured


def judge_against_recorded(recorded: Recorded, candidate: LegRuns, bounds: Bounds) -> dict[AxisName, Finding]:
    """The findings on every axis. What the record lacks, or has in other units or of other data, is not measured."""
    unlike_setup = _setup_problem(recorded, candidate)
    barred = not_measured(f"{recorded.name} is no reference for {candidate.name}: {unlike_setup}.")
    return {
        AxisName.FUNCTION: _function(candidate),
        AxisName.ARITHMETIC: judge_arithmetic(candidate.replay, None, candidate, bounds),
        AxisName.TRAINING: barred if unlike_setup else _training(recorded, candidate, bounds),
        AxisName.IMAGES: barred if unlike_setup else _images(recorded, candidate, bounds),
        AxisName.PERFORMANCE: barred if unlike_setup else _performance(recorded, candidate, bounds),
    }


def _function(candidate: LegRuns) -> Finding:
    differences = differing_options([candidate])
    problems = [*own_problems(candidate.runs), *(f"option {one.name} differs between runs" for one in differences)]
    problems += filter(None, [dataset_problem(candidate.runs)])
    numbers: dict[str, Number] = {
        "runs": len(candidate.runs),
        "non_finite_losses": sum(run.history.non_finite for run in candidate.runs),
    }
    if problems:
        return Finding(Verdict.FAIL, "; ".join(problems) + ".", numbers)
    return Finding(Verdict.PASS, f"{candidate.name} finished with finite losses and all sample pictures.", numbers)


def _setup_problem(recorded: Recorded, candidate: LegRuns) -> str | None:
    """Why the candidate did another job than the record's, None where it did the same as far as that is known."""
    dataset = candidate.first.options.dataset
    known = recorded.dataset.digest
    if known is not None and not dataset.digest.startswith(known):
        return f"it is of other data ({recorded.dataset.name} {known[:12]}, not {dataset.name} {dataset.digest[:12]})"
    if known is None and recorded.dataset.name != dataset.name:
        return f"it is of other data ({recorded.dataset.name}, not {dataset.name})"
    unlike_options = options_unlike(recorded, candidate)
    if unlike_options:
        return "it is of other options: " + join(
            [f"{one.name} {one.values[recorded.name]}, not {one.values[candidate.name]}" for one in unlike_options]
        )
    return None


def options_unlike(recorded: Recorded, candidate: LegRuns) -> list[OptionDifference]:
    """The recorded options that the candidate had other values of."""
    options = candidate.first.options.options
    return [
        OptionDifference(
            name,
            {
                recorded.name: json.dumps(value),
                candidate.name: json.dumps(options[name]) if name in options else ABSENT,
            },
        )
        for name, value in recorded.options.items()
        if name not in options or options[name] != value
    ]


def _usable(recorded: Recorded, names: Mapping[str, object]) -> tuple[Values, list[str]]:
    """The recorded values of those measures that mean the same here, and why others do not."""
    values, problems = {}, []
    for name in names:
        measurement = recorded.measurements.get(name)
        if measurement is None:
            continue
        problem = unlike(name, measurement)
        if problem:
            problems.append(problem)
        else:
            values[name] = measurement.every_value
    return values, problems


def _nothing(recorded: Recorded, what: str, problems: list[str]) -> Finding:
    return not_measured(f"{recorded.name} records no {what} to hold against: {join(problems) or 'there is none'}.")


def _training(recorded: Recorded, candidate: LegRuns, bounds: Bounds) -> Finding:
    if candidate.unusable:
        return not_measured(f"{candidate.unusable}.")
    values, problems = _usable(recorded, LOSSES)
    if not values:
        return _nothing(recorded, "loss", problems)
    # What was published is of a training that is not known in full: that a candidate is better is no fault of it.
    exact = recorded.dataset.digest is not None
    finding = judge_losses(
        Losses(recorded.name, values, None), losses_of(candidate), paired=False, bounds=bounds, lower_is_fine=not exact
    )
    inferred = [name for name in values if recorded.measurements[name].certainty == "inferred"]
    note = f" What {recorded.name} means by {join(inferred)} is inferred, not stated." if inferred else ""
    left_out = f" Not held against it: {join(problems)}." if problems else ""
    return Finding(finding.verdict, finding.reason + note + left_out, finding.numbers)


def _images(recorded: Recorded, candidate: LegRuns, bounds: Bounds) -> Finding:
    for run in candidate.runs:
        problem = run.unfinished or picture_problem(run)
        if problem:
            return not_measured(f"{problem}.")
    values, problems = _usable(recorded, {**ERRORS, **SHARPNESS, **DISTANCES})
    if not values:
        return _nothing(recorded, "measure of pictures", problems)
    finding = judge_image_values(recorded.name, values, candidate.name, image_values(candidate), False, bounds)
    return finding


def _performance(recorded: Recorded, candidate: LegRuns, bounds: Bounds) -> Finding:
    for run in candidate.runs:
        if run.unfinished:
            return not_measured(f"{run.unfinished}.")
    values, problems = _usable(recorded, {"sec_per_step": None})
    known = [value for value in values.get("sec_per_step", ()) if value is not None]
    if not known:
        return _nothing(recorded, "seconds of one step", problems)
    own = sec_per_step(candidate)
    seconds = tuple(run.summary.sec_per_step if run.summary else None for run in candidate.runs)
    # Ratio of speeds: how often the candidate's time goes into the reference's.
    found = estimate_ratio(seconds, known, False, bounds.significance)
    if own is None or found is None:
        return not_measured(f"There is no speed ratio: {candidate.name} measured no sec/step.")
    speed = SpeedRatio(found.ratio, found.low, found.high)
    return judge_speed(recorded.name, float(np.median(known)), candidate.name, own, speed, bounds)
