"""The axis performance: is the candidate as fast as it was bought for?"""

from components.compare.bounds import Bounds
from components.compare.leg import LegRun
from components.compare.ratio import ratio
from components.compare.verdict import Finding, Verdict, not_measured


def judge_performance(reference: LegRun, candidate: LegRun, bounds: Bounds) -> Finding:
    """Hold the ratio of speeds (median seconds of a training step) against ModelZoo's classes."""
    for leg in (reference, candidate):
        if leg.unfinished:
            return not_measured(f"{leg.unfinished}.")
    of_reference, of_candidate = _sec_per_step(reference), _sec_per_step(candidate)
    speed = ratio(of_reference, of_candidate)
    if speed is None or of_reference is None or of_candidate is None:
        slow = [leg.name for leg in (reference, candidate) if not _sec_per_step(leg)]
        return not_measured(f"There is no speed ratio: {' and '.join(slow)} measured no sec/step.")
    level = modelzoo_class(speed, bounds)
    verdict = Verdict.FAIL if level == "NOK" else Verdict.PASS
    reason = (
        f"{candidate.name} is {speed:.2f} times as fast as {reference.name} "
        f"({of_candidate:.4g} against {of_reference:.4g} s a step): ModelZoo class {level}."
    )
    return Finding(verdict, reason, {"speed_ratio": speed, "modelzoo_class": level})


def modelzoo_class(speed_ratio: float, bounds: Bounds) -> str:
    """PERFECT, OK, POK or NOK, as Ascend/modelzoo's contrib/CONTRIBUTING.md calls a port of this speed."""
    if speed_ratio >= bounds.perfect_speed_ratio:
        return "PERFECT"
    if speed_ratio >= bounds.par_speed_ratio:
        return "OK"
    return "POK" if speed_ratio >= bounds.min_speed_ratio else "NOK"


def _sec_per_step(leg: LegRun) -> float | None:
    return leg.summary.sec_per_step if leg.summary else None
