"""The axis function: did both legs do the same job, to its end?"""

from components.compare.leg import LegRun
from components.compare.options import OptionDifference, differing_options
from components.compare.samples import picture_problem
from components.compare.verdict import Finding, Verdict, join


def judge_function(reference: LegRun, candidate: LegRun, unlike_samples: str | None) -> Finding:
    """Both finished, with finite losses and all pictures, from equal options, data and validation images."""
    pair = (reference, candidate)
    differences = differing_options(pair)
    problems = [problem for leg in pair for problem in _problems(leg)]
    problems += [_of_option(difference) for difference in differences]
    problems += filter(None, [dataset_problem(*pair), _steps_problem(*pair), unlike_samples])
    numbers = {
        "non_finite_losses": sum(leg.history.non_finite for leg in pair),
        "differing_options": len(differences),
    }
    if problems:
        return Finding(Verdict.FAIL, "; ".join(problems) + ".", numbers)
    reason = (
        f"{reference.name} and {candidate.name} finished with finite losses and all sample pictures, "
        "from the same options and the same dataset."
    )
    return Finding(Verdict.PASS, reason, numbers)


def dataset_problem(reference: LegRun, candidate: LegRun) -> str | None:
    """What differs where two legs were not trained on the same data, None where they were."""
    one, other = reference.options.dataset, candidate.options.dataset
    if one.digest == other.digest:
        return None
    return (
        f"the datasets differ: {reference.name} saw {one.name} ({one.digest[:12]}), "
        f"{candidate.name} {other.name} ({other.digest[:12]})"
    )


def _problems(leg: LegRun) -> list[str]:
    problems = [leg.unfinished] if leg.unfinished else []
    if leg.history.first_non_finite:
        step, name = leg.history.first_non_finite
        problems.append(
            f"{leg.name} has {leg.history.non_finite} losses that are not finite (the first: {name} at step {step})"
        )
    missing = picture_problem(leg)
    return [*problems, missing] if missing else problems


def _of_option(difference: OptionDifference) -> str:
    values = join([f"{value} in {leg}" for leg, value in difference.values.items()])
    return f"option {difference.name} is {values}"


def _steps_problem(reference: LegRun, candidate: LegRun) -> str | None:
    if reference.unfinished or candidate.unfinished or not reference.summary or not candidate.summary:
        return None
    one, other = reference.summary.steps, candidate.summary.steps
    return f"{reference.name} took {one} steps, {candidate.name} {other}" if one != other else None
