"""The measures that runs are judged by, what a leg gives of them, and their ratios; references.py gives the same.

A measure's definition and unit are part of a record, so that numbers that mean something else are not held together.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from components.compare.leg import Floats, LegRun, LegRuns, LossHistory
from components.compare.pictures import (
    LEVELS_PER_UNIT,
    fine_energy,
    mean_difference,
    missing_pictures,
    pictures_of,
    sliced_distance,
)
from components.compare.statistics import Limits, RatioEstimate, estimate_ratio, mean, more_seeds
from components.compare.verdict import AxisResult, Number, Verdict, join
from dualgan.run_folder import RECONSTRUCTION_METRICS
from dualgan.summary import FINAL_SHARE

# A measure's value in each run, by the measure's name; None if a run did not measure it.
Values = Mapping[str, tuple[float | None, ...]]

MIN_FINAL_STEPS = 10
LOSS_UNIT = "mean absolute difference of pictures in [-1, 1]"
MEAN = "of training steps, mean over the last {} of them, 10 at least"
LATE_SHARE = 4
REBUILT = {"A2B2A": "real_A", "B2A2B": "real_B"}
TARGETS = {"A2B": "real_B", "B2A": "real_A"}
# A loss that any sound run reaches: this much above the mean of the reference's final losses.
GOAL = 1.2
SMOOTHED_SHARE = 20


class Measure(NamedTuple):
    """What a number means: ``definition`` and ``unit`` are compared word for word."""

    definition: str
    unit: str


LOSSES = {
    "min_loss": Measure("lowest A_loss of a single training step", LOSS_UNIT),
    **{f"final_{name}": Measure(f"{name} {MEAN.format('tenth')}", LOSS_UNIT) for name in RECONSTRUCTION_METRICS},
    **{f"late_{name}": Measure(f"{name} {MEAN.format('quarter')}", LOSS_UNIT) for name in RECONSTRUCTION_METRICS},
}
ERRORS = {
    f"{kind}_error": Measure(f"mean |{kind} - {source}| over the validation images", LOSS_UNIT)
    for kind, source in REBUILT.items()
}
SHARPNESS = {
    f"{kind}_sharpness": Measure(
        f"energy of {kind} above a quarter of a cycle a pixel, over that of {target}", "share of the real pictures'"
    )
    for kind, target in TARGETS.items()
}
DISTANCES = {
    f"{kind}_distance": Measure(
        f"sliced Wasserstein distance of {kind} from {target}: 7 x 7 patches, three octaves, 64 directions",
        "pictures in [-1, 1]",
    )
    for kind, target in TARGETS.items()
}
IMAGES = {**ERRORS, **SHARPNESS, **DISTANCES}
# Of all that says how well a leg reconstructs, what scatters least: docs/verdict.md has the table.
JUDGED_LOSSES = (*ERRORS, "late_A_loss", "late_B_loss")
RECONSTRUCTION = "reconstruction_loss"
COMBINED = {RECONSTRUCTION: Measure(f"geometric mean of {join(JUDGED_LOSSES)}", LOSS_UNIT)}
# The losses that training is judged by.
TRAINING = {**COMBINED, **ERRORS, **LOSSES}
SPEED = {"sec_per_step": Measure("time of one update of critics and generators, median without the first steps", "s")}
ALL = {**COMBINED, **LOSSES, **IMAGES, **SPEED}


@dataclass(frozen=True)
class Measured:
    """What one side of a comparison, a leg or a recorded reference, is judged by.

    Attributes:
        values: What was measured, by the names of ALL.
        leg: The runs themselves; None for a recorded reference.
        is_well_known: Whether it is known on which data it was trained; if not, that a candidate's loss is lower is no
            fault of the candidate.
        mismatches: Recorded numbers that are no measure of this software, by name, with the reason.
        inferred: Names of the values whose meaning was inferred from the source's code, not stated by it.
    """

    name: str
    values: Values
    leg: LegRuns | None = None
    is_well_known: bool = True
    mismatches: Mapping[str, str] = field(default_factory=dict)
    inferred: Sequence[str] = ()

    def lacks(self, names: Mapping[str, Measure], what: str) -> str | None:
        """Say that there is no value of ``names``, called ``what``, and why; None if there is one."""
        if set(names) & set(self.values):
            return None
        problems = [reason for name, reason in self.mismatches.items() if name in names]
        return f"{self.name} records no {what} to hold against: {join(problems) or 'there is none'}."


class Rule(NamedTuple):
    """What a ratio has to keep: it passes inside of ``passing``, and fails if all of it is outside of ``failing``.

    by_interval: whether a pass needs the whole interval inside of the limits, or the ratio alone.
    """

    passing: Limits
    failing: Limits
    by_interval: bool
    is_needed: bool = True


def judge_ratios(
    what: str,
    reference: Measured,
    candidate: Measured,
    names: Iterable[str],
    rule_of: Callable[[str, RatioEstimate], Rule],
    significance: float,
) -> AxisResult:
    """Judge the ratio of each of ``names``, measures of ``what``, that both sides have; the worst one decides."""
    numbers: dict[str, Number] = {}
    shown: dict[Verdict, list[str]] = {verdict: [] for verdict in Verdict}
    undecided: list[tuple[RatioEstimate, Limits]] = []
    for name in names:
        if name not in reference.values or name not in candidate.values:
            continue
        # "final A_loss", "A2B sharpness".
        words = name.replace("_", " ", 1)
        old, new = reference.values[name], candidate.values[name]
        numbers |= {f"{name}_reference": mean(old), f"{name}_candidate": mean(new)}
        found = estimate_ratio(old, new, is_paired(reference, candidate), significance)
        if found is None:
            shown[Verdict.NOT_MEASURED].append(words)
            continue
        numbers |= found.numbers(name)
        rule = rule_of(name, found)
        verdict = found.verdict(rule.passing, rule.failing, rule.by_interval)
        if verdict is not Verdict.FAIL and not rule.is_needed:
            continue
        if verdict is Verdict.INCONCLUSIVE:
            undecided.append((found, rule.passing))
        if verdict is Verdict.PASS:
            interval = " ({:.2f} to {:.2f})".format(*found.interval) if found.interval and rule.by_interval else ""
            shown[verdict].append(f"{words} {found.ratio:.2f}{interval}")
        else:
            interval = "{:.3g} to {:.3g}; ".format(*found.interval) if found.interval else ""
            low, high = rule.failing if verdict is Verdict.FAIL else rule.passing
            bound = f"bound {low:.3g} to {high:.3g}" if low else f"bound {high:.3g}"
            shown[verdict].append(f"{words} is {found.ratio:.3g} times as high ({interval}{bound})")
    both = f"{candidate.name}'s {what} {{}} {reference.name}'s"
    failed, missing, unsure, passed = (
        join(shown[verdict]) for verdict in (Verdict.FAIL, Verdict.NOT_MEASURED, Verdict.INCONCLUSIVE, Verdict.PASS)
    )
    if failed:
        return AxisResult(Verdict.FAIL, f"{both.format('are not like')}: {failed}.", numbers)
    if missing:
        reason = f"There is no ratio of {missing}: it is zero, or was not measured, in a leg."
        return AxisResult(Verdict.INCONCLUSIVE, reason, numbers)
    if unsure:
        advice = more_seeds(undecided, significance, not reference.leg)
        return AxisResult(Verdict.INCONCLUSIVE, f"{both.format('may not be like')}: {unsure}: {advice}.", numbers)
    return AxisResult(Verdict.PASS, f"{both.format('over')} are within the bounds: {passed}.", numbers)


def is_paired(reference: Measured, candidate: Measured) -> bool:
    """Return whether both sides' values stand in the order of the same seeds."""
    return bool(reference.leg and candidate.leg and reference.leg.seeds == candidate.leg.seeds)


def measure(leg: LegRuns) -> Measured:
    """Measure every run of a leg; pictures only if all runs finished and no picture is missing."""
    rows = [_losses_and_speed(run) for run in leg.runs]
    if not any(run.unfinished or missing_pictures(run) for run in leg.runs):
        rows = [_combined(row | _image_measures(run)) for row, run in zip(rows, leg.runs, strict=True)]
    values = {name: tuple(row[name] for row in rows) for name in ALL if name in rows[0]}
    return Measured(leg.name, values, leg)


def _combined(row: dict[str, float | None]) -> dict[str, float | None]:
    parts = [row[name] for name in JUDGED_LOSSES]
    known = [math.log(part) for part in parts if part is not None and part > 0]
    return {RECONSTRUCTION: math.exp(sum(known) / len(known)) if len(known) == len(parts) else None, **row}


def last_steps(history: LossHistory, share: int = FINAL_SHARE) -> int:
    """Return how many steps are the last ``share``-th of a run, as dualgan.summary.final_loss has it."""
    return min(len(history.steps), max(MIN_FINAL_STEPS, len(history.steps) // share))


def _losses_and_speed(run: LegRun) -> dict[str, float | None]:
    losses = {name: run.history.losses.get(name, np.empty(0)) for name in RECONSTRUCTION_METRICS}
    final, late = (last_steps(run.history, share) for share in (FINAL_SHARE, LATE_SHARE))
    return {
        "min_loss": _finite(losses["A_loss"], np.min),
        **{f"final_{name}": _finite(values[-final:], np.mean) for name, values in losses.items()},
        **{f"late_{name}": _finite(values[-late:], np.mean) for name, values in losses.items()},
        "sec_per_step": run.summary.sec_per_step if run.summary else None,
    }


def _finite(values: Floats, reduce: Callable[[Floats], float]) -> float | None:
    # The least of values that are not all finite may be finite, and would be no evidence.
    return float(reduce(values)) if values.size and np.isfinite(values).all() else None


def _image_measures(run: LegRun) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    for kind, source in REBUILT.items():
        errors = [mean_difference(drawn, real) / LEVELS_PER_UNIT for drawn, real in pictures_of(run, kind, source)]
        values[f"{kind}_error"] = mean(errors)
    for kind, target in TARGETS.items():
        energies = [[fine_energy(picture) for (picture,) in pictures_of(run, wanted)] for wanted in (kind, target)]
        own, detail = map(mean, energies)
        values[f"{kind}_sharpness"] = own / detail if own is not None and detail else None
        drawn, real = ((picture for (picture,) in pictures_of(run, wanted)) for wanted in (kind, target))
        number = len(energies[0]), len(energies[1])
        values[f"{kind}_distance"] = sliced_distance(drawn, real, number) if all(number) else None
    return values


def goal_loss(reference: Measured) -> float | None:
    """Return the loss that both legs should reach: GOAL times the mean of the reference's final losses."""
    finals = [*reference.values["final_A_loss"], *reference.values["final_B_loss"]]
    known = mean([loss for loss in finals if loss is not None])
    return GOAL * known if known is not None else None


def steps_to_loss(history: LossHistory, goal: float) -> float | None:
    """Return the first step at which the mean of A_loss and B_loss over the steps before it is ``goal`` or less.

    The mean is over a twentieth of the run. None if it never gets there.
    """
    if "A_loss" not in history.losses or "B_loss" not in history.losses:
        return None
    both = (history.losses["A_loss"] + history.losses["B_loss"]) / 2
    window = max(1, len(both) // SMOOTHED_SHARE)
    sums = np.concatenate([[0.0], np.cumsum(both)])
    means = (sums[window:] - sums[:-window]) / window
    below = np.flatnonzero(means <= goal)
    return float(history.steps[below[0] + window - 1]) if below.size else None
