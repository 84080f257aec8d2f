"""The axis training: did the candidate's training reach the reference's losses, beyond what seeds differ by?"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from components.compare.bounds import Bounds
from components.compare.history import Floats, LossHistory
from components.compare.leg import LegRuns, same_seeds
from components.compare.measure import LOSSES, Values, words
from components.compare.statistics import RatioEstimate, estimate_ratio, ratio
from components.compare.verdict import Finding, Number, Verdict, join, not_measured
from dualgan.summary import FINAL_SHARE

FEWEST_FINAL_STEPS = 10
# A loss that any sound run reaches: this much above the mean of the reference's final losses.
GOAL = 1.2
SMOOTHED_SHARE = 20


@dataclass(frozen=True)
class Losses:
    """A leg's losses as the training axis sees them; ``window`` is over how many steps final losses are means."""

    name: str
    values: Values
    window: int | None


def judge_training(reference: LegRuns, candidate: LegRuns, bounds: Bounds) -> Finding:
    """Hold min_loss and the final A_loss and B_loss of all seeds against ``bounds.max_loss_ratio``, both ways.

    Not measured where any loss of any run is not finite: a mean without that step would be no evidence.
    """
    for leg in (reference, candidate):
        if leg.unusable:
            return not_measured(f"{leg.unusable}.")
    finding = judge_losses(losses_of(reference), losses_of(candidate), same_seeds(reference, candidate), bounds)
    return Finding(finding.verdict, finding.reason, {**finding.numbers, **_time_to_loss(reference, candidate, bounds)})


def judge_losses(
    reference: Losses, candidate: Losses, paired: bool, bounds: Bounds, lower_is_fine: bool = False
) -> Finding:
    """Two one-sided tests of each loss's ratio; with one run a leg only a gross difference is a failure.

    paired: values are in the order of the same seeds. lower_is_fine: a candidate below the reference by more than the
    margin is no failure, for what the reference was trained with is not known well enough.
    """
    if reference.window != candidate.window and None not in (reference.window, candidate.window):
        return not_measured(
            f"The final losses are means over {reference.window} steps of {reference.name} but "
            f"{candidate.window} of {candidate.name}."
        )
    names = [name for name in LOSSES if name in reference.values]
    estimates: dict[str, RatioEstimate] = {}
    missing = []
    for name in names:
        found = estimate_ratio(
            reference.values[name], candidate.values.get(name, ()), paired, significance=bounds.significance
        )
        if found is None:
            missing.append(words(name))
        else:
            estimates[name] = found
    numbers = {key: value for name, found in estimates.items() for key, value in estimate_numbers(name, found).items()}
    for leg, values in (("reference", reference.values), ("candidate", candidate.values)):
        numbers |= {f"{name}_{leg}": _mean(values.get(name, ())) for name in names}
    if missing or not estimates:
        return Finding(
            Verdict.NOT_MEASURED,
            f"There is no ratio of {join(missing) or 'losses'}: a leg did not measure it.",
            numbers,
        )
    verdict, reason = _against_margin(reference.name, candidate.name, estimates, bounds, lower_is_fine)
    return Finding(verdict, reason, numbers)


def estimate_numbers(name: str, found: RatioEstimate) -> dict[str, Number]:
    """``found`` for comparison.json."""
    numbers: dict[str, Number] = {f"{name}_ratio": found.ratio}
    if found.low is not None:
        numbers |= {
            f"{name}_ratio_low": found.low,
            f"{name}_ratio_high": found.high,
            f"{name}_spread": found.spread,
        }
    return numbers


def _against_margin(
    reference: str, candidate: str, estimates: Mapping[str, RatioEstimate], bounds: Bounds, lower_is_fine: bool
) -> tuple[Verdict, str]:
    margin, gross = bounds.max_loss_ratio, bounds.gross_loss_ratio
    runs = next(iter(estimates.values())).runs
    if next(iter(estimates.values())).low is None:
        above = {name: e for name, e in estimates.items() if e.ratio > gross}
        below = {name: e for name, e in estimates.items() if e.ratio < 1 / gross and not lower_is_fine}
        shown = join([f"{words(name)} {e.ratio:.3f}" for name, e in (above or below or estimates).items()])
        if above or below:
            kind = "higher" if above else "lower"
            return (
                Verdict.FAIL,
                f"{candidate}'s losses are grossly {kind} than {reference}'s ({shown}; bound {gross:.3g} for one run).",
            )
        return Verdict.INCONCLUSIVE, (
            f"{candidate}'s losses over {reference}'s are {shown}, but one run a leg is weak evidence, for two seeds "
            "of one leg may differ as much: train two seeds or more."
        )
    above = {name: e for name, e in estimates.items() if _low(e) > margin}
    below = {name: e for name, e in estimates.items() if _high(e) < 1 / margin and not lower_is_fine}
    if above or below:
        kind = "higher" if above else "lower"
        return Verdict.FAIL, (
            f"{candidate}'s losses are {kind} than {reference}'s by more than the margin of {margin:.3f} allows "
            f"({_listed(above or below)}; {_seeds(runs)})."
        )
    open_ = {
        name: e for name, e in estimates.items() if _high(e) > margin or (_low(e) < 1 / margin and not lower_is_fine)
    }
    if open_:
        return Verdict.INCONCLUSIVE, (
            f"The seeds scatter too much to tell whether {candidate}'s losses are within {margin:.3f} times "
            f"{reference}'s ({_listed(open_)}; {_seeds(runs)}): train more seeds."
        )
    return Verdict.PASS, (
        f"{candidate}'s losses are within {margin:.3f} times {reference}'s ({_listed(estimates)}; {_seeds(runs)})."
    )


def _listed(estimates: Mapping[str, RatioEstimate]) -> str:
    return join([f"{words(name)} {e.ratio:.3f}, {_low(e):.3f} to {_high(e):.3f}" for name, e in estimates.items()])


def _seeds(runs: tuple[int, int]) -> str:
    if runs[0] == runs[1]:
        return f"{runs[0]} seeds a leg"
    return f"{runs[0]} and {runs[1]} runs"


def _low(estimate: RatioEstimate) -> float:
    assert estimate.low is not None
    return estimate.low


def _high(estimate: RatioEstimate) -> float:
    assert estimate.high is not None
    return estimate.high


def losses_of(leg: LegRuns) -> Losses:
    """The losses of a leg whose runs all finished, from their events."""
    values: dict[str, list[float | None]] = {name: [] for name in LOSSES}
    windows = {final_window(run.history) for run in leg.runs}
    for run in leg.runs:
        values["min_loss"].append(_least(run.history.losses.get("A_loss")))
        for metric in ("A_loss", "B_loss"):
            values[f"final_{metric}"].append(_final(run.history, metric))
    return Losses(leg.name, {name: tuple(found) for name, found in values.items()}, max(windows))


def final_window(history: LossHistory) -> int:
    """Over how many steps final losses are means, as dualgan.summary.final_loss has it."""
    return min(len(history.steps), max(FEWEST_FINAL_STEPS, len(history.steps) // FINAL_SHARE))


def _final(history: LossHistory, metric: str) -> float | None:
    values = history.losses.get(metric)
    if values is None or not len(values):
        return None
    mean = float(values[-final_window(history) :].mean())
    return mean if np.isfinite(mean) else None


def _least(values: Floats | None) -> float | None:
    return float(values.min()) if values is not None and len(values) and np.isfinite(values).all() else None


def _mean(values: tuple[float | None, ...]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None


def losses_goal(reference: LegRuns) -> float | None:
    """The loss that both legs should reach: GOAL times the mean of the reference's final losses."""
    finals = [loss for run in reference.runs for loss in (_final(run.history, "A_loss"), _final(run.history, "B_loss"))]
    known = [loss for loss in finals if loss is not None]
    return GOAL * float(np.mean(known)) if known else None


def _time_to_loss(reference: LegRuns, candidate: LegRuns, bounds: Bounds) -> dict[str, Number]:
    """After how many steps the smoothed mean of A_loss and B_loss was first at the goal, for the record."""
    goal = losses_goal(reference)
    if goal is None:
        return {}
    steps = {leg.name: tuple(steps_to_loss(run.history, goal) for run in leg.runs) for leg in (reference, candidate)}
    reached = {name: _mean(counts) for name, counts in steps.items()}
    found = estimate_ratio(
        steps[reference.name], steps[candidate.name], same_seeds(reference, candidate), bounds.significance
    )
    return {
        "goal_loss": goal,
        "steps_to_goal_reference": reached[reference.name],
        "steps_to_goal_candidate": reached[candidate.name],
        **(estimate_numbers("steps_to_goal", found) if found else {"steps_to_goal_ratio": ratio(None, None)}),
    }


def steps_to_loss(history: LossHistory, goal: float) -> float | None:
    """The first step at which the mean of A_loss and B_loss over the steps before it is ``goal`` or less.

    The mean is over a twentieth of the run. None where it never gets there.
    """
    if "A_loss" not in history.losses or "B_loss" not in history.losses:
        return None
    both = (history.losses["A_loss"] + history.losses["B_loss"]) / 2
    window = max(1, len(both) // SMOOTHED_SHARE)
    sums = np.concatenate([[0.0], np.cumsum(both)])
    means = (sums[window:] - sums[:-window]) / window
    below = np.flatnonzero(means <= goal)
    return float(history.steps[below[0] + window - 1]) if below.size else None
