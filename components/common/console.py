"""Lines that people read: of results, of what was done, and of long work, which has a bar on a terminal.

They may hold names and messages from outside, so what a terminal would obey is escaped here, where they are printed.
"""

import json
import logging
import os
import sys
import threading
import time
from pathlib import Path
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

    ``unit`` is "B" for bytes; ``initial`` is what an earlier try has done; ``total`` is None if nobody knows.
    """

    def __init__(self, title: str, total: int | None, unit: str = "it", initial: int = 0) -> None:
        self._title, self._total, self._done = printable(title), total, initial
        spelled = unit if unit in ("B", "it") else f" {unit}"
        self._measure: dict[str, Any] = {"unit": spelled, "unit_scale": unit == "B", "initial": initial}
        self._lock = threading.Lock()
        is_terminal = sys.stderr.isatty()
        self._bar = tqdm(desc=self._title, total=total, **self._measure) if is_terminal else None
        self._seconds = BAR_SECONDS if is_terminal else float(os.environ.get(SECONDS_VARIABLE) or LINE_SECONDS)
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
        else:
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
                line = tqdm.format_meter(
                    self._done,
                    self._total or 0,
                    now - self._began,
                    prefix=self._title,
                    bar_format=form,
                    **self._measure,
                )
                _write(PROGRESS, line.strip())

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


def print_line(text: object, file: TextIO | None = None, flush: bool = True) -> None:
    """Print a line of a command's result; the commands of parity have it in place of ``print``."""
    print(printable(str(text)), file=file, flush=flush)


def print_status(text: str) -> None:
    """Print a line on what was done."""
    _write(STATUS, text)


def _write(kind: str, text: str) -> None:
    print_line(text)
    events = os.environ.get(EVENTS_VARIABLE)
    if events:
        # In one write, so that lines of several processes do not mix.
        with Path(events).open("ab", buffering=0) as file:
            file.write(json.dumps({"kind": kind, "text": text}).encode() + b"\n")


def make_logs_printable() -> None:
    """Have every logger of this process, libraries' included, say what servers answered as ``printable`` shows it."""
    make = logging.getLogRecordFactory()
    if getattr(make, "is_printable", False):
        return

    def make_printable(*arguments: Any, **options: Any) -> logging.LogRecord:
        record = make(*arguments, **options)
        if not (text := record.getMessage()).isprintable():
            record.msg, record.args = printable(text), ()
        if record.exc_info:
            record.exc_text = printable(logging.Formatter().formatException(record.exc_info))
        return record

    make_printable.is_printable = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(make_printable)
