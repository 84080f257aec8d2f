"""Whether runs were fed what they should have been, step by step, by the signatures in their events."""

import numpy as np
from numpy.typing import NDArray

from components.compare.bounds import Bounds
from components.compare.leg import LegRun

# Both halves of a signature come from one process: nothing but rounding in the last decimal lies between them.
SAME = 0.005


def feed_problem(reference: LegRun, candidate: LegRun, bounds: Bounds) -> str | None:
    """Where two runs of one seed and dataset parted in what they were fed.

    None where they did not, or where a run has no signatures, or ones of other options.
    """
    steps, difference = _differences(reference, candidate)
    parted = np.flatnonzero(difference > bounds.max_feed_difference)
    if not len(parted):
        return None
    return (
        f"{reference.name} and {candidate.name} have seed and dataset in common but were fed other batches at "
        f"{len(parted)} of {len(steps)} steps, first at step {steps[parted[0]]} (signatures "
        f"{difference[parted[0]]:.2f} apart, bound {bounds.max_feed_difference:.2f})"
    )


def first_parted_step(reference: LegRun, candidate: LegRun, bounds: Bounds) -> int | None:
    """The first step at which two runs of one seed and dataset were fed otherwise, None where there is none."""
    steps, difference = _differences(reference, candidate)
    parted = steps[difference > bounds.max_feed_difference]
    return int(parted[0]) if len(parted) else None


def _differences(reference: LegRun, candidate: LegRun) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The steps that both runs have, and how far apart their signatures are; NaN where a step has none."""
    one, other = reference.history, candidate.history
    if one.feed is None or other.feed is None or one.feed.shape[1] != other.feed.shape[1]:
        return np.empty(0, np.int64), np.empty(0, np.float32)
    steps, of_one, of_other = np.intersect1d(one.steps, other.steps, assume_unique=True, return_indices=True)
    return steps, np.max(np.abs(one.feed[of_one] - other.feed[of_other]), axis=1)


def split_feed_problem(run: LegRun) -> str | None:
    """Where a run fed its critics and its generators other batches of one step; None where it did not."""
    if run.history.feed is None:
        return None
    half = run.history.feed.shape[1] // 2
    difference = np.max(np.abs(run.history.feed[:, :half] - run.history.feed[:, half:]), axis=1)
    parted = np.flatnonzero(difference > SAME)
    if not len(parted):
        return None
    return (
        f"{run.name} fed its critics other batches than its generators at {len(parted)} steps, first at step "
        f"{run.history.steps[parted[0]]}"
    )
