"""Whether all networks were trained in all steps, by the norms of updates in the events of runs."""

import numpy as np

from components.compare.leg import LegRun
from components.compare.verdict import join
from dualgan.run_folder import NETWORKS

# With a loss scale, steps in which a gradient overflows are left out by design: few of many.
MAX_SKIPPED_SHARE = 0.05


def liveness_problem(reference: LegRun, candidate: LegRun) -> str | None:
    """Say which networks stood still in steps in which the other run's moved; None if there are none."""
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
    moved = "while the other leg's is updated"
    return f"{join(problems)}, {moved}" if problems else None
