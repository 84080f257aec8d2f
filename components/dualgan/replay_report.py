"""Printing how far off steps that were done again are, each kind of error beside its bound."""

from typing import Any, Callable, Dict

from dualgan.replay_bounds import checks, default_bounds, worst_checks

MAX_SHOWN = 10
STATES = {False: "steps from equal weights", True: "steps from drawn, late weights"}


def print_checks(content: Dict[str, Any], say: Callable[[str], None]) -> int:
    """Print the worst error of each kind, what is out of its bound, and a verdict; the number of exceeded bounds."""
    found = list(checks(content, default_bounds(content)))
    for drawn in (False, True):
        rows = [check for check in worst_checks(found) if check.drawn == drawn]
        if rows:
            say("{:<48}{:>10}{:>10}".format("worst of " + STATES[drawn], "error", "bound"))
        for check in rows:
            error, bound = check.error, check.bound
            say("  {:<19} {:<26}{:>10.4g}{:>10.4g}  step {}".format(check.what, check.name, error, bound, check.step))
    exceeded = [check for check in found if not check.holds]
    for check in exceeded[:MAX_SHOWN]:
        state = " from a drawn state" if check.drawn else ""
        say("EXCEEDED {what}: {name} at step {step}{state}, {error:.3g} (bound {bound:.3g})".format(
            state=state, **check._asdict()))  # fmt: skip
    say("{} bounds exceeded".format(len(exceeded)) if exceeded else "all bounds hold")
    return len(exceeded)
