"""Calls that end whatever the other side does, and work beside a block of code."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import TypeVar

# Of the threads that wait for an answer.
NAME = "within"

Result = TypeVar("Result")


def within(seconds: float, ask: Callable[[], Result], abandon: Callable[[], object] = lambda: None) -> Result:
    """Return what ``ask`` returns, called in a thread of its own. Raises TimeoutError if that takes longer.

    A socket's own timeout begins anew with each byte, so that an answer could come drop by drop for ever. ``abandon``
    is called after the time, or when a signal ends the wait, to make ``ask`` end.
    """
    answer: Future[Result] = Future()

    def work() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=work, name=NAME, daemon=True).start()
    try:
        return answer.result(seconds)
    except BaseException as error:
        is_late = isinstance(error, TimeoutError)
        if answer.done():
            # It is the call's own error, or the answer came at the last moment.
            if is_late:
                return answer.result()
            raise
        # Time is over, or a signal came. Whoever closes what is read would wait for a read that goes on.
        answer.add_done_callback(_close)
        with contextlib.suppress(Exception):
            abandon()
        if is_late:
            raise TimeoutError(f"no whole answer came within {seconds:g} seconds") from None
        raise


def _close(answer: "Future[Result]") -> None:
    close = None if answer.exception() else getattr(answer.result(), "close", None)
    if close is not None:
        close()


@contextlib.contextmanager
def in_background(name: str, work: Callable[[threading.Event], None], seconds: float | None = None) -> Iterator[None]:
    """Run ``work`` in a thread within the block; it gets an event that is set when the block is left.

    The block then waits ``seconds`` for it, None for as long as it takes.
    """
    ended = threading.Event()
    thread = threading.Thread(target=work, args=(ended,), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(seconds)
