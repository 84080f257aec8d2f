"""The axis precision: did the candidate's training reach the reference's losses?"""

from collections.abc import Mapping

from components.compare.bounds import Bounds
from components.compare.leg import LegRun
from components.compare.ratio import ratio
from components.compare.records import FinalLoss, Summary
from components.compare.verdict import Finding, Verdict, join, not_measured

WEAK = "one run a leg is weak evidence, for two seeds of one leg may differ as much"


def judge_precision(reference: LegRun, candidate: LegRun, bounds: Bounds) -> Finding:
    """Hold min_loss and the final A_loss and B_loss, as ratios, against ``bounds.max_loss_ratio``.

    Not measured where any loss of a run is not finite: a mean without that step would be no evidence.
    """
    for leg in (reference, candidate):
        problem = _unusable(leg)
        if problem:
            return not_measured(problem)
    reference_losses, candidate_losses = _losses(reference.summary), _losses(candidate.summary)
    if reference_losses["window"] != candidate_losses["window"]:
        return not_measured(
            f"The final losses are means over {reference_losses['window']} steps of {reference.name} but "
            f"{candidate_losses['window']} of {candidate.name}."
        )
    names = [name for name in reference_losses if name != "window"]
    ratios = {name: ratio(candidate_losses[name], reference_losses[name]) for name in names}
    numbers = {f"{name}_ratio": value for name, value in ratios.items()}
    known = {name: value for name, value in ratios.items() if value is not None}
    missing = [name for name in ratios if name not in known]
    if missing:
        reason = f"There is no ratio of {join(missing)}: a leg did not measure it."
        return Finding(Verdict.NOT_MEASURED, reason, numbers)
    verdict, reason = _against_bound(reference.name, candidate.name, known, bounds)
    return Finding(verdict, reason, numbers)


def _against_bound(reference: str, candidate: str, ratios: Mapping[str, float], bounds: Bounds) -> tuple[Verdict, str]:
    above = {name: value for name, value in ratios.items() if value > bounds.max_loss_ratio}
    listed = join([f"{name.replace('_', ' ', 1)} {value:.3f}" for name, value in (above or ratios).items()])
    place = "above the bound of" if above else "within"
    losses = f"{candidate}'s losses are {place} {bounds.max_loss_ratio:.3f} times {reference}'s ({listed})"
    return Verdict.FAIL if above else Verdict.PASS, f"{losses}; {WEAK}."


def _unusable(leg: LegRun) -> str | None:
    if leg.unfinished:
        return f"{leg.unfinished}."
    if leg.history.first_non_finite:
        step, name = leg.history.first_non_finite
        return f"{leg.name} has losses that are not finite (the first: {name}, step {step}): no evidence."
    return None


def _losses(summary: Summary | None) -> dict[str, float | None]:
    final = (summary.final_loss if summary else None) or FinalLoss()
    return {
        "min_loss": summary.min_loss if summary else None,
        "final_A_loss": final.A_loss,
        "final_B_loss": final.B_loss,
        "window": final.window,
    }
