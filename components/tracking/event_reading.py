"""Reading events.jsonl while the trainer appends to it, or a resumed trainer rewrites its end."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from dualgan.errors import BadInput

Event = dict[str, Any]


class Mark(NamedTuple):
    """How far a file was read: the position in bytes, and the line that ends there."""

    position: int = 0
    line: bytes = b""


START = Mark()


def events_after(path: Path, mark: Mark) -> Iterator[tuple[Event, Mark]]:
    """The whole lines after ``mark``, each with the mark behind it; all lines where the file was rewritten.

    Every event has a step and a time. Nothing where there is no file. BadInput for a line that is no event.
    """
    if not path.is_file():
        return
    with path.open("rb") as file:
        file.seek(mark.position - len(mark.line))
        position = mark.position if file.read(len(mark.line)) == mark.line else 0
        file.seek(position)
        for line in file:
            if not line.endswith(b"\n"):
                return
            position += len(line)
            yield _event(path, position - len(line), line), Mark(position, line)


def _event(path: Path, position: int, line: bytes) -> Event:
    try:
        event = json.loads(line)
        if isinstance(event, dict) and float(event["time"]) >= 0 and int(event["step"]) >= 0:
            return event
    except (ValueError, KeyError, TypeError):
        pass
    raise BadInput(f"{path}: the line at byte {position} is no event with a step and a time")
