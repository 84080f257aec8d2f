"""The axis training: did the candidate's training reach the reference's losses, beyond what seeds differ by?"""

from collections.abc import Mapping

import numpy as np

from components.compare.bounds import Bounds
from components.compare.history import LossHistory
from components.compare.measure import LOSSES, Measured, in_words, is_paired
from components.compare.statistics import RatioEstimate, estimate_ratio, mean
from components.compare.verdict import AxisResult, Number, Verdict, join, not_measured

# A loss that any sound run reaches: this much above the mean of the reference's final losses.
GOAL = 1.2
SMOOTHED_SHARE = 20


def judge_training(reference: Measured, candidate: Measured, bounds: Bounds) -> AxisResult:
    """Hold min_loss and the final A_loss and B_loss of all runs against ``bounds.max_loss_ratio``, both ways.

    Two one-sided tests of each loss's ratio; with one run a leg only a gross difference is a failure. Not measured if
    any loss of any run is not finite: a mean without that step would be no evidence.
    """
    for side in (reference, candidate):
        if side.leg and side.leg.unusable:
            return not_measured(f"{side.leg.unusable}.")
    losses = reference.known(LOSSES)
    if not losses:
        return not_measured(reference.lacking(LOSSES, "loss"))
    paired = is_paired(reference, candidate)
    numbers = _time_to_loss(reference, candidate, paired, bounds)
    if reference.final_window != candidate.final_window and reference.final_window is not None:
        reason = (
            f"The final losses are means over {reference.final_window} steps of {reference.name} but "
            f"{candidate.final_window} of {candidate.name}."
        )
        return AxisResult(Verdict.NOT_MEASURED, reason, numbers)
    estimates: dict[str, RatioEstimate] = {}
    for name, values in losses.items():
        found = estimate_ratio(values, candidate.values[name], paired, bounds.significance)
        if found:
            estimates[name] = found
            numbers |= found.numbers(name)
        numbers |= {f"{name}_reference": mean(values), f"{name}_candidate": mean(candidate.values[name])}
    missing = [in_words(name) for name in losses if name not in estimates]
    if missing:
        reason = f"There is no ratio of {join(missing)}: a leg did not measure it."
        return AxisResult(Verdict.NOT_MEASURED, reason, numbers)
    verdict, reason = _within_margin(reference, candidate.name, estimates, bounds)
    return AxisResult(verdict, reason + _reservations(reference), numbers)


def _within_margin(
    reference: Measured, candidate: str, estimates: Mapping[str, RatioEstimate], bounds: Bounds
) -> tuple[Verdict, str]:
    ends = {name: one.interval or (one.ratio, one.ratio) for name, one in estimates.items()}
    has_intervals = all(one.interval for one in estimates.values())
    # The ratio of one run a leg is held against a wider margin.
    margin = bounds.max_loss_ratio if has_intervals else bounds.gross_loss_ratio
    least = 1 / margin if reference.is_well_known else 0.0
    above = {name: estimates[name] for name, (low, _) in ends.items() if low > margin}
    below = {name: estimates[name] for name, (_, high) in ends.items() if high < least}
    outside = above or below
    kind = "higher" if above else "lower"
    if not has_intervals:
        shown = join([f"{in_words(name)} {one.ratio:.3f}" for name, one in (outside or estimates).items()])
        if outside:
            return Verdict.FAIL, (
                f"{candidate}'s losses are grossly {kind} than {reference.name}'s ({shown}; bound {margin:.3g} for one "
                "run)."
            )
        return Verdict.INCONCLUSIVE, (
            f"{candidate}'s losses over {reference.name}'s are {shown}, but one run a leg is weak evidence, for two "
            "seeds of one leg may differ as much: train two seeds or more."
        )
    uncertain = {name: estimates[name] for name, (low, high) in ends.items() if high > margin or low < least}
    shown = f"({_listed(outside or uncertain or estimates)})"
    if outside:
        return Verdict.FAIL, (
            f"{candidate}'s losses are {kind} than {reference.name}'s by more than the margin of {margin:.3f} allows "
            f"{shown}."
        )
    if uncertain:
        return Verdict.INCONCLUSIVE, (
            f"The seeds scatter too much to tell whether {candidate}'s losses are within {margin:.3f} times "
            f"{reference.name}'s {shown}: train more seeds."
        )
    return Verdict.PASS, f"{candidate}'s losses are within {margin:.3f} times {reference.name}'s {shown}."


def _listed(estimates: Mapping[str, RatioEstimate]) -> str:
    of_reference, of_candidate = next(iter(estimates.values())).runs
    runs = f"{of_reference} seeds a leg" if of_reference == of_candidate else f"{of_reference} and {of_candidate} runs"
    intervals = [
        f"{in_words(name)} {one.ratio:.3f}, {one.interval[0]:.3f} to {one.interval[1]:.3f}"
        for name, one in estimates.items()
        if one.interval
    ]
    return f"{join(intervals)}; {runs}"


def _reservations(reference: Measured) -> str:
    """Say what of a recorded reference is inferred, or not held against the candidate."""
    inferred = [name for name in reference.inferred if name in LOSSES]
    problems = [reason for name, reason in reference.mismatches.items() if name in LOSSES]
    note = f" What {reference.name} means by {join(inferred)} is inferred, not stated." if inferred else ""
    return note + (f" Not held against it: {join(problems)}." if problems else "")


def _time_to_loss(reference: Measured, candidate: Measured, paired: bool, bounds: Bounds) -> dict[str, Number]:
    """After how many steps the smoothed mean of A_loss and B_loss was first at the goal: informational."""
    if not reference.leg or not candidate.leg:
        return {}
    goal = goal_loss(reference)
    if goal is None:
        return {}
    old, new = ([steps_to_loss(run.history, goal) for run in leg.runs] for leg in (reference.leg, candidate.leg))
    found = estimate_ratio(old, new, paired, bounds.significance)
    return {
        "goal_loss": goal,
        "steps_to_goal_reference": mean(old),
        "steps_to_goal_candidate": mean(new),
        **(found.numbers("steps_to_goal") if found else {"steps_to_goal_ratio": None}),
    }


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
