"""The axis function: did all legs do the same job, to its end?"""

from collections.abc import Sequence

from components.compare.bounds import Bounds
from components.compare.feed import feed_problem, split_feed_problem
from components.compare.leg import LegRun, LegRuns, pairs
from components.compare.liveness import liveness_problem
from components.compare.options import OptionDifference, differing_options
from components.compare.pictures import input_mismatch, missing_pictures
from components.compare.verdict import Finding, Number, Verdict, join


def judge_function(reference: LegRuns | None, candidate: LegRuns, bounds: Bounds) -> Finding:
    """All runs finished, with finite losses and all pictures, from equal options, data, feed and validation images.

    reference: None if it is no leg but recorded; then the candidate's runs are held against each other.
    """
    legs = [reference, candidate] if reference else [candidate]
    runs = [run for leg in legs for run in leg.runs]
    differences = differing_options(legs)
    problems = own_problems(runs)
    problems += [_of_option(difference) for difference in differences]
    unlike_data = dataset_problem(runs)
    problems += filter(None, [unlike_data, _steps_problem(runs), input_mismatch(runs, bounds.max_input_difference)])
    if reference and not unlike_data:
        problems += filter(None, (feed_problem(*pair, bounds) for pair in pairs(reference, candidate)))
    if reference:
        # Which networks a step updates does not depend on the seed.
        both = pairs(reference, candidate) or [(reference.first, candidate.first)]
        problems += filter(None, (liveness_problem(*pair) for pair in both))
    numbers: dict[str, Number] = {
        "runs": len(runs),
        "non_finite_losses": sum(run.history.non_finite for run in runs),
        "differing_options": len(differences),
    }
    if problems:
        return Finding(Verdict.FAIL, "; ".join(problems) + ".", numbers)
    alike = ", from the same options and the same dataset" if reference else ""
    names = join([leg.name for leg in legs])
    return Finding(Verdict.PASS, f"{names} finished with finite losses and all sample pictures{alike}.", numbers)


def dataset_problem(runs: Sequence[LegRun]) -> str | None:
    """What differs where runs were not trained on the same data, None where they were."""
    one, first = runs[0].options.dataset, runs[0]
    for run in runs[1:]:
        other = run.options.dataset
        if one.digest != other.digest:
            return (
                f"the datasets differ: {first.name} saw {one.name} ({one.digest[:12]}), "
                f"{run.name} {other.name} ({other.digest[:12]})"
            )
    return None


def own_problems(runs: Sequence[LegRun]) -> list[str]:
    """What is wrong with each run by itself."""
    return [problem for run in runs for problem in _problems(run)]


def _problems(run: LegRun) -> list[str]:
    problems = [run.unfinished] if run.unfinished else []
    if run.history.first_non_finite:
        step, name = run.history.first_non_finite
        problems.append(
            f"{run.name} has {run.history.non_finite} losses that are not finite (the first: {name} at step {step})"
        )
    return [*problems, *filter(None, (split_feed_problem(run), missing_pictures(run)))]


def _of_option(difference: OptionDifference) -> str:
    values = join([f"{value} in {leg}" for leg, value in difference.values.items()])
    return f"option {difference.name} is {values}"


def _steps_problem(runs: Sequence[LegRun]) -> str | None:
    if any(run.unfinished or not run.summary for run in runs):
        return None
    counts = {run.name: run.summary.steps for run in runs if run.summary}
    first, *others = counts.items()
    unlike = next((other for other in others if other[1] != first[1]), None)
    return f"{first[0]} took {first[1]} steps, {unlike[0]} {unlike[1]}" if unlike else None
