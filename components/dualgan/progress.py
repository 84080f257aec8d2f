"""Progress of training on the command line: one line that renews itself on a terminal, plain lines elsewhere."""

import sys
import time
from typing import Dict

TERMINAL_SECONDS = 0.5
LINE_SECONDS = 15.0


class Progress:
    """Shows the newest step, but no more often than a reader can follow."""

    def __init__(self, total: int, every: int = 0) -> None:
        """every: steps between plain lines; 0: one each LINE_SECONDS."""
        self._total = total
        self._every = every
        self._terminal = sys.stdout.isatty()
        self._due = 0.0

    def show(self, step: int, metrics: Dict[str, float], seconds: float) -> None:
        """metrics: the step's losses; seconds: what the step took."""
        now = time.monotonic()
        due = step % self._every == 0 if self._every and not self._terminal else now >= self._due
        if not due and step < self._total:
            return
        self._due = now + (TERMINAL_SECONDS if self._terminal else LINE_SECONDS)
        line = "step {}/{}  A_loss {:.4f}  B_loss {:.4f}  {:.4f} s/step".format(
            step, self._total, metrics["A_loss"], metrics["B_loss"], seconds
        )
        start, end = ("\r\x1b[K", "\n" if step == self._total else "") if self._terminal else ("", "\n")
        sys.stdout.write(start + line + end)
        sys.stdout.flush()
