"""Lines that people read: of results, of what was done, and of long work, which has a bar on a terminal.

They may hold names and messages from outside, so what a terminal would obey is escaped here, where they are printed.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from tqdm import tqdm

from dualgan.errors import printable

LINE_SECONDS = 15.0
BAR_SECONDS = 0.5
# A file that gets each line as an event of JSON too, for whoever shows what a task's other output would hide.
EVENTS_VARIABLE = "DUALGAN_EVENTS"
# A line of progress gives way to the next one on a terminal.
STATUS, PROGRESS = "status", "progress"
# How often a task that runs under a terminal, but not at one, says how far it is.
SECONDS_VARIABLE = "DUALGAN_PROGRESS_SECONDS"


class Progress:
    """How far a piece of work is: ``show`` says it outright, ``advance`` counts. Both may be called from any thread.

    Args:
        title: What is done, such as "downloading".
        total: How much there is to do; None if nobody knows.
        unit: "B" for bytes, otherwise what is counted.
        initial: What an earlier try has done already.
    """

    def __init__(self, title: str, total: int | None, unit: str = "it", initial: int = 0) -> None:
        self._title, self._total, self._unit, self._initial = printable(title), total, unit, initial
        self._done = initial
        self._lock = threading.Lock()
        self._bar = tqdm(desc=self._title, **self._measure()) if sys.stderr.isatty() else None
        often = float(os.environ.get(SECONDS_VARIABLE) or LINE_SECONDS)
        self._seconds = often if self._bar is None else BAR_SECONDS
        self._began = time.monotonic()
        self._next = 0.0

    def due(self, now: float) -> bool:
        """Return whether ``show`` is worth the effort at ``now``, a time of ``time.monotonic``."""
        return now >= self._next

    def show(self, done: int, text: str) -> None:
        """Show that ``done`` of the total is done, and ``text``."""
        now = time.monotonic()
        self._next = now + self._seconds
        if self._bar is not None:
            self._bar.n = done
            self._bar.set_postfix_str(printable(text))
            return
        _write(PROGRESS, f"{self._title}: {done}/{self._total} {text} after {now - self._began:.0f} s")

    def advance(self, count: int) -> None:
        """Count ``count`` more; without a terminal a line with rate and remaining time appears now and then."""
        with self._lock:
            self._done += count
            if self._bar is not None:
                self._bar.update(count)
            elif (now := time.monotonic()) >= max(self._next, self._began + self._seconds):
                self._next = now + self._seconds
                form = "{desc}: {n_fmt} of {total_fmt}, {rate_fmt}, {remaining} left" if self._total else None
                seconds = now - self._began
                measure = self._measure() | {"total": self._total or 0}
                line = tqdm.format_meter(self._done, elapsed=seconds, prefix=self._title, bar_format=form, **measure)
                _write(PROGRESS, line.strip())

    def _measure(self) -> dict[str, Any]:
        is_scaled = self._unit == "B"
        unit = self._unit if is_scaled or self._unit == "it" else f" {self._unit}"
        return {"total": self._total, "unit": unit, "unit_scale": is_scaled, "initial": self._initial}

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()


def print_line(text: object, file: TextIO | None = None, flush: bool = True) -> None:
    """Print a line of a command's result; the commands of parity have it in place of ``print``."""
    print(printable(str(text)), file=file, flush=flush)


def print_status(text: str) -> None:
    """Print a line on what was done."""
    _write(STATUS, text)


def _write(kind: str, text: str) -> None:
    sys.stdout.write(f"{printable(text)}\n")
    sys.stdout.flush()
    events = os.environ.get(EVENTS_VARIABLE)
    if events:
        # In one write, so that lines of several processes do not mix.
        with Path(events).open("ab", buffering=0) as file:
            file.write(json.dumps({"kind": kind, "text": text}).encode() + b"\n")
