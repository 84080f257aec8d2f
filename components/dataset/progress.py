"""How far a transfer or a check is: a bar with rate and remaining time on a terminal, a line now and then elsewhere."""

import os
import sys
import threading
import time
from types import TracebackType

from tqdm import tqdm

from components.look.progress import LINE_SECONDS, PASSING_MARK, SECONDS_VARIABLE


class Progress:
    """Counts ``unit`` ("B" for bytes, else what is counted) up to ``total``, None where it is not known.

    ``initial`` is what an earlier try had done. May be advanced from several threads.
    """

    def __init__(self, title: str, total: int | None, unit: str, initial: int = 0) -> None:
        self._title, self._total, self._unit = title, total, unit
        self._initial = self._done = initial
        self._lock = threading.Lock()
        self._scaled = unit == "B"
        self._bar = (
            tqdm(desc=title, total=total, unit=self._unit_shown, unit_scale=self._scaled, initial=initial)
            if sys.stderr.isatty()
            else None
        )
        self._seconds = float(os.environ.get(SECONDS_VARIABLE) or LINE_SECONDS)
        self._began = time.monotonic()
        self._next = self._began + self._seconds

    @property
    def _unit_shown(self) -> str:
        return self._unit if self._scaled else f" {self._unit}"

    def advance(self, count: int) -> None:
        with self._lock:
            self._done += count
            if self._bar is not None:
                self._bar.update(count)
            elif (now := time.monotonic()) >= self._next:
                self._next = now + self._seconds
                self._line(now - self._began)

    def _line(self, seconds: float) -> None:
        shown = tqdm.format_meter(
            self._done,
            self._total or 0,
            seconds,
            prefix=self._title,
            unit=self._unit_shown,
            unit_scale=self._scaled,
            initial=self._initial,
            bar_format="{desc}: {n_fmt} of {total_fmt}, {rate_fmt}, {remaining} left" if self._total else None,
        )
        sys.stdout.write(f"{PASSING_MARK}{shown.strip()}\n")
        sys.stdout.flush()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
