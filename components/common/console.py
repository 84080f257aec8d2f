"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

import os
import sys
import time
from types import TracebackType

from tqdm import tqdm

LINE_SECONDS = 15.0
BAR_SECONDS = 0.5
# What a pipeline run shows of a task's output; the rest goes to its log. A passing line gives way to the next one.
MARK = "» "
PASSING_MARK = "… "
# How often a task that runs under a terminal, but not at one, says how far it is.
SECONDS_VARIABLE = "DUALGAN_PROGRESS_SECONDS"


class Progress:
    """Shows how far a piece of work is; ``show`` as often as one likes, ``due`` says when it is worth the effort."""

    def __init__(self, title: str, total: int) -> None:
        self._title, self._total = title, total
        self._terminal = sys.stderr.isatty()
        self._bar = tqdm(total=total, desc=title, leave=True) if self._terminal else None
        self._seconds = BAR_SECONDS if self._terminal else float(os.environ.get(SECONDS_VARIABLE) or LINE_SECONDS)
        self._next = 0.0
        self._began = time.monotonic()

    def due(self, now: float) -> bool:
        return now >= self._next

    def show(self, done: int, text: str) -> None:
        self._next = time.monotonic() + self._seconds
        if self._bar is not None:
            self._bar.n = done
            self._bar.set_postfix_str(text)
            return
        seconds = time.monotonic() - self._began
        _write(PASSING_MARK, f"{self._title}: {done}/{self._total} {text} after {seconds:.0f} s")

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()


def say(text: str) -> None:
    """A line on what was done."""
    _write(MARK, text)


def _write(mark: str, text: str) -> None:
    sys.stdout.write(f"{mark}{text}\n")
    sys.stdout.flush()
