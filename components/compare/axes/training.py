"""The axis training: did the candidate's training reach the reference's losses, beyond what seeds differ by?"""

from components.compare.bounds import Bounds
from components.compare.measure import (
    JUDGED_LOSSES,
    LOSSES,
    RECONSTRUCTION,
    TRAINING,
    Measured,
    Rule,
    goal_loss,
    is_paired,
    judge_ratios,
    steps_to_loss,
)
from components.compare.statistics import RatioEstimate, estimate_ratio, mean
from components.compare.verdict import AxisResult, Number, join, not_measured


def judge_training(reference: Measured, candidate: Measured, bounds: Bounds) -> AxisResult:
    """Hold the losses of all runs against the reference's, both ways: two one-sided tests of each one's ratio.

    A loss fails if its whole interval is beyond ``bounds.max_loss_ratio``; min_loss, and any loss of one run a leg, if
    it is beyond ``bounds.gross_loss_ratio``. A pass needs the whole interval of RECONSTRUCTION, and the ratios of what
    that combines, within; against a record, the intervals of all that it has. Not measured if any loss of any run is
    not finite: a mean without that step would be no evidence.
    """
    for side in (reference, candidate):
        if side.leg and side.leg.unusable:
            return not_measured(f"{side.leg.unusable}.")
    lacking = reference.lacks(TRAINING, "loss")
    if lacking:
        return not_measured(lacking)
    margin, gross = (
        (1 / bound if reference.is_well_known else 0.0, bound)
        for bound in (bounds.max_loss_ratio, bounds.gross_loss_ratio)
    )

    has_combined = reference.leg and all(RECONSTRUCTION in side.values for side in (reference, candidate))

    def rule(name: str, found: RatioEstimate) -> Rule:
        # One run a leg shows no spread, and the lowest loss of single steps scatters more than any other.
        is_gross = not found.interval or (reference.leg and name == "min_loss")
        is_part = has_combined and name in JUDGED_LOSSES
        is_needed = not reference.leg or name in (RECONSTRUCTION, *JUDGED_LOSSES)
        return Rule(margin, gross if is_gross else margin, not is_part, is_needed)

    result = judge_ratios("losses", reference, candidate, TRAINING, rule, bounds.significance)
    numbers = {**result.numbers, **_time_to_loss(reference, candidate, bounds)}
    return AxisResult(result.verdict, result.reason + _reservations(reference), numbers)


def _reservations(reference: Measured) -> str:
    """Say what of a recorded reference is inferred, or not held against the candidate."""
    inferred = [name for name in reference.inferred if name in LOSSES]
    problems = [reason for name, reason in reference.mismatches.items() if name in LOSSES]
    note = f" What {reference.name} means by {join(inferred)} is inferred, not stated." if inferred else ""
    return note + (f" Not held against it: {join(problems)}." if problems else "")


def _time_to_loss(reference: Measured, candidate: Measured, bounds: Bounds) -> dict[str, Number]:
    """After how many steps the smoothed mean of A_loss and B_loss was first at the goal: informational."""
    goal = goal_loss(reference) if reference.leg else None
    if not reference.leg or not candidate.leg or goal is None:
        return {}
    old, new = ([steps_to_loss(run.history, goal) for run in leg.runs] for leg in (reference.leg, candidate.leg))
    found = estimate_ratio(old, new, is_paired(reference, candidate), bounds.significance)
    return {
        "goal_loss": goal,
        "steps_to_goal_reference": mean(old),
        "steps_to_goal_candidate": mean(new),
        **(found.numbers("steps_to_goal") if found else {"steps_to_goal_ratio": None}),
    }
