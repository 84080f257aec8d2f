"""Calls that end, whatever the other side does."""

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

# Of the threads that wait for an answer.
NAME = "within"

Answer = TypeVar("Answer")


def within(seconds: float, ask: Callable[[], Answer], abandon: Callable[[], object] = lambda: None) -> Answer:
    """Return what ``ask`` returns. Raises TimeoutError if that takes longer.

    A socket's own timeout begins anew with each byte, so that an answer could come drop by drop for ever.

    Args:
        seconds: How long ``ask`` may take.
        ask: What is called, in a thread of its own. If its answer comes too late, that is closed.
        abandon: Called after the time, or when a signal ends the wait, to make ``ask`` end.
    """
    answer: Future[Answer] = Future()

    def work() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=work, name=NAME, daemon=True).start()
    try:
        return answer.result(seconds)
    except TimeoutError:
        if answer.done():
            # It is the call's own error, or the answer came at the last moment.
            return answer.result()
        answer.add_done_callback(_close)
        with contextlib.suppress(Exception):
            abandon()
        raise TimeoutError(f"no whole answer came within {seconds:g} seconds") from None
    except BaseException:
        # A signal. Whoever closes what is read would wait for a read that goes on.
        if not answer.done():
            with contextlib.suppress(Exception):
                abandon()
        raise


def _close(answer: "Future[Answer]") -> None:
    close = None if answer.exception() else getattr(answer.result(), "close", None)
    if close is not None:
        close()
