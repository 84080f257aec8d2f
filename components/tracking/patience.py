"""Waiting for an MLflow that is away: hours, if need be, since what it gets may be the fruit of days."""

from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_exponential

from components.tracking.reasons import explain, may_pass
from dualgan.errors import DualGANError

FIRST_PAUSE, MAX_PAUSE = 5.0, 60.0

Result = TypeVar("Result")


def patiently(work: Callable[[], Result], tracking_uri: str, hours: float, say: Callable[[str], None]) -> Result:
    """Do ``work``, again and from its beginning as long as MLflow is away.

    Args:
        work: What to do with MLflow. It must be as good done twice as once.
        tracking_uri: The server's address, for what is said.
        hours: How long to go on trying; 0 tries once.
        say: Gets each reason for waiting once, and that the waiting is over.

    Returns:
        What ``work`` returns.

    Raises:
        DualGANError: MLflow refuses what no waiting mends (a login, a permission, an address), or it stayed away.
    """
    reasons: list[str] = []

    def tell(state: RetryCallState) -> None:
        assert state.outcome and state.next_action
        reason = explain(state.outcome.exception() or RuntimeError(), tracking_uri)
        if reason not in reasons:
            reasons.append(reason)
            say(f"{reason}; waiting for MLflow, up to {hours:g} h; next try in {state.next_action.sleep:.0f} s")

    retrying = Retrying(
        retry=retry_if_exception(may_pass),
        wait=wait_exponential(FIRST_PAUSE, MAX_PAUSE),
        stop=stop_after_delay(hours * 3600),
        before_sleep=tell,
        reraise=True,
    )
    try:
        result = retrying(work)
    except DualGANError:
        raise
    except Exception as error:
        # MLflow raises whatever its client, its server or the network had to say.
        waited = f"; MLflow was waited for, {hours:g} h" if reasons and may_pass(error) else ""
        raise DualGANError(explain(error, tracking_uri) + waited) from error
    if reasons:
        say(f"MLflow answers again, and has everything; tries: {retrying.statistics['attempt_number']}")
    return result
