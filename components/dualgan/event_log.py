"""Writing events.jsonl."""

import json
import os
import time
from pathlib import Path
from typing import Any, Dict, List, Sequence

from dualgan.run_folder import Event, read_events


class EventLog:
    """Appends events, each flushed as one line."""

    def __init__(self, path: Path) -> None:
        self._file = open(str(path), "a", encoding="utf-8")  # noqa: SIM115 - closed by close()

    def training_step(
        self,
        step: int,
        epoch: int,
        seconds: float,
        metrics: Dict[str, float],
        feed: Sequence[float],
        update_norms: Dict[str, float],
    ) -> None:
        event = {"step": step, "time": time.time(), "seconds": seconds, "epoch": epoch, "metrics": metrics}
        self._write(dict(event, feed=feed, update_norms=update_norms))

    def event(self, kind: str, step: int, **content: Any) -> None:
        self._write(dict({"type": kind, "step": step, "time": time.time()}, **content))

    def _write(self, event: Event) -> None:
        self._file.write(json.dumps(event) + "\n")
        self._file.flush()

    def flush_to_disk(self) -> None:
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def cut_after(path: Path, step: int) -> List[Event]:
    """Drop the events later than ``step``, and a torn last line; return those that stay.

    A run that goes on from a checkpoint does those steps again.
    """
    kept = [event for event in read_events(path) if event["step"] <= step] if path.is_file() else []
    temporary = path.with_name(path.name + ".new")
    with open(str(temporary), "w", encoding="utf-8") as file:
        for event in kept:
            file.write(json.dumps(event) + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(str(temporary), str(path))
    return kept
