"""Work in a thread beside a block of code."""

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def in_background(name: str, work: Callable[[threading.Event], None], seconds: float | None = None) -> Iterator[None]:
    """Run ``work`` in a thread within the block.

    Args:
        name: The thread's.
        work: Gets an event that is set when the block is left, and returns soon after.
        seconds: How long the block waits for that at its end; None for as long as it takes.
    """
    ended = threading.Event()
    thread = threading.Thread(target=work, args=(ended,), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(seconds)
