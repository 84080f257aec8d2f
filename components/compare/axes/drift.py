"""Late in a training, what single steps cannot show: how large the updates were, and what the losses weighed."""

from collections.abc import Sequence

import numpy as np

from components.compare.bounds import Bounds
from components.compare.leg import Floats, LegRun, LossHistory
from components.compare.measure import LATE_SHARE, last_steps
from components.compare.verdict import Number
from dualgan.run_folder import NETWORKS

# Fewer late steps scatter too much.
MIN_STEPS = 100
# Each generator's loss, the reconstruction loss in it, and the option that says what that weighs.
WEIGHTED = (("Ag_loss", "B_loss", "lambda_B"), ("Bg_loss", "A_loss", "lambda_A"))
# Beyond what the steps' own scatter explains.
STANDARD_ERRORS = 6


def late_drift(pairs: Sequence[tuple[LegRun, LegRun]], bounds: Bounds) -> tuple[list[str], dict[str, Number]]:
    """Hold the last quarter of the candidate's steps against the reference's.

    Args:
        pairs: The runs of reference and candidate that have a seed in common.

    Returns:
        What is out of bounds, and the ratios candidate / reference: of the median size of each network's updates, and
        of the weights of the reconstruction losses.
    """
    late = [(reference.history, candidate.history) for reference, candidate in pairs]
    if not late or any(last_steps(history, LATE_SHARE) < MIN_STEPS for pair in late for history in pair):
        return [], {}
    problems, numbers = [], dict[str, Number]()
    sizes = np.array([[_update_sizes(history) for history in pair] for pair in late])
    for network, (reference, candidate) in zip(NETWORKS, np.median(sizes, axis=0).T, strict=True):
        if not reference > 0 or not candidate > 0:
            # What is not logged is no evidence, and what stands still the axis function says.
            continue
        ratio = numbers[f"late_update_ratio_{network}"] = float(candidate / reference)
        if not 1 / bounds.max_late_update_ratio <= ratio <= bounds.max_late_update_ratio:
            problems.append(
                f"the updates of {network} are {ratio:.3f} times as large over the last quarter of the steps "
                f"(bound {bounds.max_late_update_ratio:.2f})"
            )
    for total, loss, option in WEIGHTED:
        weights = [[_weight(history, total, loss) for history in pair] for pair in late]
        known = np.array([pair for pair in weights if None not in pair], dtype=np.float64)
        if not known.size:
            continue
        (reference, _), (candidate, _) = np.mean(known, axis=0)
        error = np.sqrt(np.sum(known[:, :, 1] ** 2)) / len(known)
        numbers[f"late_weight_{option}_reference"], numbers[f"late_weight_{option}_candidate"] = reference, candidate
        allowed = max(bounds.max_late_weight_difference * abs(reference), STANDARD_ERRORS * error)
        if abs(candidate - reference) > allowed:
            problems.append(
                f"{loss} weighs {candidate:.4g} in {total} over the last quarter of the steps and {reference:.4g} in "
                f"the reference's ({option})"
            )
    return problems, numbers


def _update_sizes(history: LossHistory) -> Floats:
    sizes: Floats = np.median(history.update_norms[-last_steps(history, LATE_SHARE) :], axis=0)
    return sizes


def _weight(history: LossHistory, total: str, loss: str) -> tuple[float, float] | None:
    """Return by how much ``total`` rises with ``loss`` and the standard error of that, None if a loss is not known.

    From step to step, so that what changes slowly in the rest of ``total`` does not count.
    """
    if total not in history.losses or loss not in history.losses:
        return None
    late = last_steps(history, LATE_SHARE)
    x, y = (np.diff(history.losses[name][-late:]) for name in (loss, total))
    x, y = x - x.mean(), y - y.mean()
    variance = float(x @ x)
    if not np.isfinite(y).all() or not variance > 0:
        return None
    weight = float(x @ y) / variance
    residual = y - weight * x
    return weight, float(np.sqrt(residual @ residual / len(x) / variance))
