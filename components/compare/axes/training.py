"""The axis training: did the candidate's training reach the reference's losses, beyond what seeds differ by?"""

from collections.abc import Mapping

import numpy as np

from components.compare.bounds import Bounds
from components.compare.history import LossHistory
from components.compare.measure import JUDGED_LOSSES, LOSSES, TRAINING, Measured, in_words, is_paired
from components.compare.statistics import RatioEstimate, estimate_ratio, further_seeds, mean, more_seeds
from components.compare.verdict import AxisResult, Number, Verdict, join, not_measured

# A loss that any sound run reaches: this much above the mean of the reference's final losses.
GOAL = 1.2
SMOOTHED_SHARE = 20


def judge_training(reference: Measured, candidate: Measured, bounds: Bounds) -> AxisResult:
    """Hold the losses of all runs against the reference's, both ways: two one-sided tests of each one's ratio.

    A loss fails if its whole interval is beyond ``bounds.max_loss_ratio``; min_loss, and any loss of one run a leg, if
    it is beyond ``bounds.gross_loss_ratio``. A pass needs the whole intervals of JUDGED_LOSSES within; against a
    record, those of all that it has. Not measured if any loss of any run is not finite: a mean without that step would
    be no evidence.
    """
    for side in (reference, candidate):
        if side.leg and side.leg.unusable:
            return not_measured(f"{side.leg.unusable}.")
    losses = reference.known(TRAINING)
    if not losses:
        return not_measured(reference.lacking(TRAINING, "loss"))
    paired = is_paired(reference, candidate)
    numbers = _time_to_loss(reference, candidate, paired, bounds)
    if reference.final_window != candidate.final_window and reference.final_window is not None:
        reason = (
            f"The final losses are means over {reference.final_window} steps of {reference.name} but "
            f"{candidate.final_window} of {candidate.name}."
        )
        return AxisResult(Verdict.NOT_MEASURED, reason, numbers)
    estimates: dict[str, RatioEstimate] = {}
    # A leg whose samples are incomplete has no errors; the axis function says so.
    common = [name for name in losses if name in candidate.values]
    for name in common:
        found = estimate_ratio(losses[name], candidate.values[name], paired, bounds.significance)
        if found:
            estimates[name] = found
            numbers |= found.numbers(name)
        numbers |= {f"{name}_reference": mean(losses[name]), f"{name}_candidate": mean(candidate.values[name])}
    missing = [in_words(name) for name in common if name not in estimates]
    if missing:
        reason = f"There is no ratio of {join(missing)}: a leg did not measure it."
        return AxisResult(Verdict.NOT_MEASURED, reason, numbers)
    verdict, reason = _within_margin(reference, candidate.name, estimates, paired, bounds)
    return AxisResult(verdict, reason + _reservations(reference), numbers)


def _within_margin(
    reference: Measured, candidate: str, estimates: Mapping[str, RatioEstimate], paired: bool, bounds: Bounds
) -> tuple[Verdict, str]:
    margin, gross = bounds.max_loss_ratio, bounds.gross_loss_ratio
    # One run a leg shows no spread, and the lowest loss of single steps scatters more than any other.
    margins = {
        name: gross if one.interval is None or (reference.leg and name == "min_loss") else margin
        for name, one in estimates.items()
    }
    ends = {name: one.interval or (one.ratio, one.ratio) for name, one in estimates.items()}
    lowest = {name: 1 / limit if reference.is_well_known else 0.0 for name, limit in margins.items()}
    above = {name: one for name, one in estimates.items() if ends[name][0] > margins[name]}
    below = {name: one for name, one in estimates.items() if ends[name][1] < lowest[name]}
    failed = above or below
    if failed:
        limit = min(margins[name] for name in failed)
        return Verdict.FAIL, (
            f"{candidate}'s losses are {'grossly ' if limit > margin else ''}{'higher' if above else 'lower'} than "
            f"{reference.name}'s by more than the margin of {limit:.3f} allows ({_listed(failed)})."
        )
    judged = {name: one for name, one in estimates.items() if reference.leg is None or name in JUDGED_LOSSES}
    limits = (1 / margin if reference.is_well_known else 0.0, margin)
    undecided = {
        name: one
        for name, one in judged.items()
        if one.interval is None or ends[name][0] < limits[0] or ends[name][1] > limits[1]
    }
    if not undecided:
        return (
            Verdict.PASS,
            f"{candidate}'s losses are within {margin:.3f} times {reference.name}'s ({_listed(judged)}).",
        )
    has_spread = all(one.interval for one in undecided.values())
    why = "the seeds scatter too much" if has_spread else "one run a leg is weak evidence"
    further = [
        (one, further_seeds(one, limits, paired, bounds.significance, not reference.leg)) for one in undecided.values()
    ]
    return Verdict.INCONCLUSIVE, (
        f"Whether {candidate}'s losses are within {margin:.3f} times {reference.name}'s is not decided "
        f"({_listed(undecided)}): {why}; {more_seeds(further, not reference.leg)}."
    )


def _listed(estimates: Mapping[str, RatioEstimate]) -> str:
    of_reference, of_candidate = next(iter(estimates.values())).runs
    runs = f"{of_reference} seeds a leg" if of_reference == of_candidate else f"{of_reference} and {of_candidate} runs"
    ratios = [
        f"{in_words(name)} {one.ratio:.3f}"
        + (f", {one.interval[0]:.3f} to {one.interval[1]:.3f}" if one.interval else "")
        for name, one in estimates.items()
    ]
    return f"{join(ratios)}; {runs if max(of_reference, of_candidate) > 1 else 'one run a leg'}"


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
