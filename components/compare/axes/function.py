"""The axis function: did all legs do the same job, to its end?"""

from collections.abc import Sequence

import numpy as np

from components.compare.axes.drift import late_drift
from components.compare.bounds import Bounds
from components.compare.leg import LegRun, LegRuns, differing_options, pairs
from components.compare.pictures import input_mismatch, missing_pictures
from components.compare.verdict import AxisResult, Number, Verdict, join
from dualgan.run_folder import NETWORKS

# Both halves of a feed signature come from one process: nothing but rounding in the last decimal lies between them.
MAX_SPLIT_DIFFERENCE = 0.005
# With a loss scale, steps in which a gradient overflows are left out by design: few of many.
MAX_SKIPPED_SHARE = 0.05


def judge_function(reference: LegRuns | None, candidate: LegRuns, bounds: Bounds) -> AxisResult:
    """Judge whether all runs finished, with finite losses and all pictures, and did the same job.

    Options, data, and validation images of all runs have to be equal, and of two legs in runs of one seed what each
    step was fed, which networks it updated, and late in the training how far. ``reference`` is None if it is recorded.
    """
    legs = [reference, candidate] if reference else [candidate]
    runs = [run for leg in legs for run in leg.runs]
    differences = differing_options(legs)
    problems = [problem for run in runs for problem in _problems_of_run(run)]
    for difference in differences:
        values = join([f"{value} in {leg}" for leg, value in difference.values.items()])
        problems.append(f"option {difference.name} is {values}")
    other_data = dataset_mismatch(runs)
    problems += [other_data, steps_mismatch(runs), input_mismatch(runs, bounds.max_input_difference)]
    late: dict[str, Number] = {}
    if reference:
        paired = pairs(reference, candidate)
        if not other_data:
            problems += [feed_difference(*pair, bounds) for pair in paired]
        # Which networks a step updates does not depend on the seed.
        problems += [liveness_difference(*pair) for pair in paired or [(reference.first, candidate.first)]]
        drifted, late = late_drift(paired, bounds)
        problems += drifted
    numbers: dict[str, Number] = {
        "runs": len(runs),
        "non_finite_losses": sum(run.history.non_finite for run in runs),
        "differing_options": len(differences),
        **late,
    }
    found = "; ".join(filter(None, problems))
    if found:
        return AxisResult(Verdict.FAIL, f"{found}.", numbers)
    job = ", from the same options and the same dataset" if reference else ""
    names = join([leg.name for leg in legs])
    return AxisResult(Verdict.PASS, f"{names} finished with finite losses and all sample pictures{job}.", numbers)


def dataset_mismatch(runs: Sequence[LegRun]) -> str | None:
    """Say what differs if runs were not trained on the same data, None if they were."""
    one = runs[0].options.dataset
    for run in runs[1:]:
        other = run.options.dataset
        if one.digest != other.digest:
            return (
                f"the datasets differ: {runs[0].name} saw {one.name} ({one.digest[:12]}), "
                f"{run.name} {other.name} ({other.digest[:12]})"
            )
    return None


def _problems_of_run(run: LegRun) -> list[str | None]:
    not_finite = None
    if run.history.first_non_finite:
        step, name = run.history.first_non_finite
        number = run.history.non_finite
        not_finite = f"{run.name} has {number} losses that are not finite (the first: {name} at step {step})"
    return [run.unfinished, not_finite, split_feed(run), missing_pictures(run)]


def steps_mismatch(runs: Sequence[LegRun]) -> str | None:
    """Say which finished run took another number of steps than the first, None if none did, or one did not finish."""
    steps = [run.summary.steps if run.summary and not run.unfinished else None for run in runs]
    other = next((place for place, count in enumerate(steps) if count != steps[0]), 0)
    if None in steps or not other:
        return None
    return f"{runs[0].name} took {steps[0]} steps, {runs[other].name} {steps[other]}"


def feed_difference(reference: LegRun, candidate: LegRun, bounds: Bounds) -> str | None:
    """Say from which step on two runs of one seed and dataset were fed other batches; None if they were not."""
    found = _feed_differences(reference, candidate, bounds.max_feed_difference)
    if not found:
        return None
    step, apart = found[0]
    return (
        f"{reference.name} and {candidate.name} have seed and dataset in common but were fed other batches at "
        f"{len(found)} steps, first at step {step} (signatures {apart:.2f} apart, bound "
        f"{bounds.max_feed_difference:.2f})"
    )


def first_feed_difference(reference: LegRun, candidate: LegRun, bounds: Bounds) -> int | None:
    """Return the first step at which two runs of one seed and dataset were fed other batches, None if there is none."""
    return next((step for step, _ in _feed_differences(reference, candidate, bounds.max_feed_difference)), None)


def _feed_differences(reference: LegRun, candidate: LegRun, allowed: float) -> list[tuple[int, float]]:
    """Return the steps of both runs whose signatures are more than ``allowed`` apart, and by how much they are.

    None are if a run has no signatures, or ones of other options.
    """
    one, other = reference.history, candidate.history
    if one.feed is None or other.feed is None or one.feed.shape[1] != other.feed.shape[1]:
        return []
    steps, of_one, of_other = np.intersect1d(one.steps, other.steps, assume_unique=True, return_indices=True)
    apart = np.max(np.abs(one.feed[of_one] - other.feed[of_other]), axis=1)
    return [(int(steps[place]), float(apart[place])) for place in np.flatnonzero(apart > allowed)]


def split_feed(run: LegRun) -> str | None:
    """Say where a run fed its critics and its generators other batches of one step, None if nowhere."""
    feed = run.history.feed
    if feed is None:
        return None
    half = feed.shape[1] // 2
    differing = np.flatnonzero(np.max(np.abs(feed[:, :half] - feed[:, half:]), axis=1) > MAX_SPLIT_DIFFERENCE)
    if not len(differing):
        return None
    return (
        f"{run.name} fed its critics other batches than its generators at {len(differing)} steps, first at step "
        f"{run.history.steps[differing[0]]}"
    )


def liveness_difference(reference: LegRun, candidate: LegRun) -> str | None:
    """Say which networks stood still in steps in which the other run's moved, None if there are none."""
    one, other = reference.history, candidate.history
    steps, of_one, of_other = np.intersect1d(one.steps, other.steps, assume_unique=True, return_indices=True)
    of_reference, of_candidate = one.update_norms[of_one], other.update_norms[of_other]
    problems = []
    sides = ((reference, of_reference, of_candidate), (candidate, of_candidate, of_reference))
    for run, own, others in sides:
        allowed = MAX_SKIPPED_SHARE * len(steps) if run.options.options.get("loss_scale", "off") != "off" else 0
        for column, network in enumerate(NETWORKS):
            still = steps[(own[:, column] == 0) & (others[:, column] > 0)]
            if len(still) > allowed:
                problems.append(f"{network} of {run.name} stands still at {len(still)} steps, first at step {still[0]}")
    return f"{join(problems)}, while the other leg's is updated" if problems else None
