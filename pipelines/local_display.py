"""Progress of a run on this machine, and a table of the seconds that each task took."""

import contextlib
import json
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from components.common.console import STATUS
from components.common.threads import in_background
from dualgan.errors import printable
from dualgan.run_folder import RunFolder, is_training_step, read_events, read_json
from pipelines.local_tasks import Timing

EVENT_SECONDS = 0.2
# Work that has said nothing for so long is over, or of no interest.
SHOWN_SECONDS = 30.0
CLEAR_LINE = "\r\x1b[K"
OF_TRAINING = ("start-up", "import", "graph", "first step", "steps", "checkpoints", "pictures", "tracking")
COLUMNS = ("waited", "total", *OF_TRAINING)


@contextlib.contextmanager
def events_shown(file: Path, terminal: TextIO) -> Iterator[None]:
    """Show what tasks report in the events file ``file`` on ``terminal``, from a thread, within the block."""
    with file.open("ab") as events:
        begin = events.tell()
    with in_background("events", lambda ended: _show_until(ended, file, begin, terminal)):
        yield


def _show_until(ended: threading.Event, file: Path, begin: int, terminal: TextIO) -> None:
    line = _ProgressLine() if terminal.isatty() else None
    with file.open("rb") as events:
        events.seek(begin)
        rest = b""
        while True:
            last = ended.wait(EVENT_SECONDS)
            *lines, rest = (rest + events.read()).split(b"\n")
            for content in lines:
                with contextlib.suppress(ValueError, KeyError, OSError):
                    event = json.loads(content)
                    text = printable(str(event["text"]))
                    terminal.write(line.updated(text, event["kind"] == STATUS) if line else f"{text}\n")
                    terminal.flush()
            if last:
                return


class _ProgressLine:
    """The last line of a terminal, in which each piece of work has its newest progress beside that of others."""

    def __init__(self) -> None:
        self._newest: dict[str, tuple[float, str]] = {}

    def updated(self, text: str, is_status: bool) -> str:
        """Return what to write for ``text``; a status stays above the line, and ends the work that it is of."""
        work, now = text.partition(":")[0], time.monotonic()
        self._newest.pop(work, None)
        if not is_status:
            self._newest[work] = now, text
        self._newest = {key: one for key, one in sorted(self._newest.items()) if now - one[0] < SHOWN_SECONDS}
        # A longer line would wrap, and its beginning stay.
        width = shutil.get_terminal_size().columns // max(1, len(self._newest)) - 3
        shown = " | ".join(newest[:width] for _, newest in self._newest.values())
        return f"{CLEAR_LINE}{text}\n{shown}" if is_status else f"{CLEAR_LINE}{shown}"


def write_timings(file: Path, timings: Sequence[Timing]) -> None:
    """Write a table of the seconds that each task took; what a training took is told apart as far as it records it."""
    rows: list[tuple[str, ...]] = [("task", *COLUMNS)]
    for timing in sorted(timings, key=lambda one: one.began):
        seconds = {"waited": timing.began - timing.ready, "total": timing.ended - timing.began, **_parts(timing)}
        rows.append((timing.task.name, *(f"{seconds[name]:.1f}" if name in seconds else "" for name in COLUMNS)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        f"{row[0]:{widths[0]}}" + "".join(f"  {cell:>{n}}" for cell, n in zip(row[1:], widths[1:], strict=True))
        for row in rows
    ]
    file.write_text("".join(f"{line.rstrip()}\n" for line in lines))


def _parts(timing: Timing) -> dict[str, float]:
    """Return a finished training's seconds by what they went into; nothing for any other task."""
    folder = RunFolder(timing.task.folder / "records")
    if not folder.summary.is_file() or not timing.began < folder.summary.stat().st_mtime < timing.ended:
        return {}
    events = (event for event in read_events(folder.events) if event["time"] > timing.began)
    first = next(filter(is_training_step, events), None)
    if not first:
        return {}
    times = read_json(folder.summary)["time"]
    before = first["time"] - first["seconds"] - timing.began
    return {
        # Of KFP, of Python twice, and of looking at the images.
        "start-up": before - times["importing"] - times["building"],
        "import": times["importing"],
        "graph": times["building"],
        "first step": first["seconds"],
        "steps": times["training"] + times["waiting_for_data"] - first["seconds"],
        "checkpoints": times["checkpointing"],
        "pictures": times["sampling"],
        # And the trainer's end.
        "tracking": timing.ended - folder.summary.stat().st_mtime,
    }
