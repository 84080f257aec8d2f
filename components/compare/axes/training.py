"""The axis training: did the candidate's training reach the reference's losses, beyond what seeds differ by?"""

from collections.abc import Mapping

from components.compare.bounds import Bounds
from components.compare.measure import (
    JUDGED_LOSSES,
    LOSSES,
    TRAINING,
    Measured,
    goal_loss,
    in_words,
    is_paired,
    ratios,
    steps_to_loss,
)
from components.compare.statistics import Limits, RatioEstimate, estimate_ratio, mean, more_seeds
from components.compare.verdict import AxisResult, Number, Verdict, join, not_measured


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
    lacking = reference.lacks(TRAINING, "loss")
    if lacking:
        return not_measured(lacking)
    numbers = _time_to_loss(reference, candidate, bounds)
    # A leg whose samples are incomplete has no errors; the axis function says so.
    found, more = ratios(reference, candidate, TRAINING, bounds)
    numbers |= more
    estimates = {name: one for name, one in found.items() if one}
    if len(estimates) < len(found):
        missing = join([in_words(name) for name in found if name not in estimates])
        return AxisResult(Verdict.NOT_MEASURED, f"There is no ratio of {missing}: a leg did not measure it.", numbers)
    verdict, reason = _within_margin(reference, candidate.name, estimates, bounds)
    return AxisResult(verdict, reason + _reservations(reference), numbers)


def _within_margin(
    reference: Measured, candidate: str, estimates: Mapping[str, RatioEstimate], bounds: Bounds
) -> tuple[Verdict, str]:
    margin, gross = (
        (1 / bound if reference.is_well_known else 0.0, bound)
        for bound in (bounds.max_loss_ratio, bounds.gross_loss_ratio)
    )
    # One run a leg shows no spread, and the lowest loss of single steps scatters more than any other.
    failing: dict[str, Limits] = {
        name: gross if one.interval is None or (reference.leg and name == "min_loss") else margin
        for name, one in estimates.items()
    }
    verdicts = {name: one.verdict(margin, failing[name], by_interval=True) for name, one in estimates.items()}
    failed = {name: one for name, one in estimates.items() if verdicts[name] is Verdict.FAIL}
    higher = {name: one for name, one in failed.items() if one.ratio > 1}
    if failed:
        shown = higher or failed
        limit = min(failing[name][1] for name in shown)
        return Verdict.FAIL, (
            f"{candidate}'s losses are {'grossly ' if limit > margin[1] else ''}{'higher' if higher else 'lower'} than "
            f"{reference.name}'s by more than the margin of {limit:.3f} allows ({_listed(shown)})."
        )
    judged = {name: one for name, one in estimates.items() if reference.leg is None or name in JUDGED_LOSSES}
    undecided = {name: one for name, one in judged.items() if verdicts[name] is not Verdict.PASS}
    within = f"{candidate}'s losses are within {margin[1]:.3f} times {reference.name}'s"
    if not undecided:
        return Verdict.PASS, f"{within} ({_listed(judged)})."
    has_spread = all(one.interval for one in undecided.values())
    why = "the seeds scatter too much" if has_spread else "one run a leg is weak evidence"
    advice = more_seeds([(one, margin) for one in undecided.values()], bounds.significance, not reference.leg)
    return Verdict.INCONCLUSIVE, f"Whether {within} is not decided ({_listed(undecided)}): {why}; {advice}."


def _listed(estimates: Mapping[str, RatioEstimate]) -> str:
    of_reference, of_candidate = next(iter(estimates.values())).runs
    runs = f"{of_reference} seeds a leg" if of_reference == of_candidate else f"{of_reference} and {of_candidate} runs"
    listed = [
        f"{in_words(name)} {one.ratio:.3f}"
        + (f", {one.interval[0]:.3f} to {one.interval[1]:.3f}" if one.interval else "")
        for name, one in estimates.items()
    ]
    return f"{join(listed)}; {runs if max(of_reference, of_candidate) > 1 else 'one run a leg'}"


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
