"""The run folder: what one training run leaves behind, written by the trainer alone.

    options.json         every option resolved, and under "environment" what ran it
    events.jsonl         one JSON object a line
    checkpoint/step-000100/
    .lock                held by the trainer that works in the folder
    samples/step-000100/{image name}-{real_A,A2B,A2B2A,real_B,B2A,B2A2B}.png
    summary.json         the result

An event of a training step is ``{"step", "time", "seconds", "epoch", "metrics": {name: float}, "feed": [float],
"update_norms": {network: float}}``: ``time`` is seconds since 1970 at the step's end, ``seconds`` what the step took,
``feed`` the signature of what it was fed (dualgan.feed), ``update_norms`` how far it moved each network's weights
(dualgan.step). Its metrics and norms depend on options, data and arithmetic alone, its feed on seed and data.
Any other event has a ``"type"`` (see EVENT_TYPES) beside ``step`` and ``time``; a ``timing`` event has metrics as well.
"""

import fcntl
import json
import math
import os
import platform
import re
import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple, Union

from dualgan.errors import BadInput, warn
from dualgan.json_files import DamagedFile, finite_number, parse_object, whole_number
from dualgan.json_files import read_json as read_json  # noqa: PLC0414 - run folders are read with it everywhere
from dualgan.names import MAX_FILE_NAME_BYTES, shortened

NETWORKS = ("A_g", "B_g", "A_d", "B_d")
RECONSTRUCTION_METRICS = ("A_loss", "B_loss")
LOSS_METRICS = (
    *("A_loss", "B_loss", "Ad_loss", "Bd_loss", "Ag_loss", "Bg_loss", "d_loss", "g_loss"),
    "gradient_penalty",
)
TIMING_METRICS = ("sec_per_step", "sec_per_step_p95", "images_per_sec")
EVENT_TYPES = ("started", "resumed", "timing", "checkpoint", "sample", "interrupted", "finished", "failed")
# Which pictures come from an image of A, and which from one of B.
KINDS_FROM = {"A": ("real_A", "A2B", "A2B2A"), "B": ("real_B", "B2A", "B2A2B")}
SAMPLE_KINDS = KINDS_FROM["A"] + KINDS_FROM["B"]
Event = Dict[str, Any]
# Of the text that says who has a lock.
MAX_HOLDER = 200
MAX_EVENT_BYTES = 1 << 20
MAX_STEP = 10**9
# The end of the year 9999, where dates end.
MAX_TIME = 253402300799.0


class RunFolder:
    """Paths inside a run folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.options = path / "options.json"
        self.events = path / "events.jsonl"
        self.summary = path / "summary.json"
        self.checkpoints = path / "checkpoint"
        self.samples = path / "samples"
        self.lock = path / ".lock"

    def samples_of(self, step: int) -> Path:
        return self.samples / step_name(step)

    def is_new(self) -> bool:
        """Whether there is nothing yet, but for the lock of a trainer that came no further."""
        return not self.path.exists() or (self.path.is_dir() and all(p == self.lock for p in self.path.iterdir()))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other trainers out of the folder, which is made if it is missing, until this process ends.

        A file system without locks is told on standard error. Raises BadInput if another trainer has the lock.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with self.lock.open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = f"another trainer works in it ({file.read(MAX_HOLDER).strip() or 'unknown'})"
                raise BadInput(f"{self.path}: {holder}; wait for it, or name another --run_dir") from None
            except OSError as error:
                warn(f"{self.path}: no lock can be had there ({error.strerror}); let no second trainer work in it")
            file.truncate(0)
            file.write(f"process {os.getpid()} on {platform.node()}\n")
            file.flush()
            yield


def step_name(step: int) -> str:
    return f"step-{step:06d}"


def step_of(name: str) -> Optional[int]:
    """Return the step that a folder called ``name`` belongs to, None if it is no such folder."""
    found = re.match(r"step-(\d{1,12})$", name, re.ASCII)
    return int(found.group(1)) if found else None


class Sample(NamedTuple):
    """One picture of a sample folder: which validation image it comes from, which of SAMPLE_KINDS, where it is."""

    image: str
    kind: str
    path: Path


# So long a name leaves room for each of SAMPLE_KINDS and the ending.
MAX_IMAGE_NAME_BYTES = MAX_FILE_NAME_BYTES - len("-real_A.png")


def sample_path(folder: Path, image: str, kind: str) -> Path:
    return folder / f"{image}-{kind}.png"


def read_samples(folder: Path) -> List[Sample]:
    """The pictures of one sample folder, by image, then in the order of SAMPLE_KINDS; [] if it is missing."""
    found = []
    for path in sorted(folder.glob("*.png")):
        image, _, kind = path.stem.rpartition("-")
        if image and kind in SAMPLE_KINDS:
            found.append(Sample(image, kind, path))
    return sorted(found, key=lambda sample: (sample.image, SAMPLE_KINDS.index(sample.kind)))


class Mark(NamedTuple):
    """How far a file of events was read: the bytes and lines before, and the last of these lines."""

    position: int = 0
    number: int = 0
    line: bytes = b""


def events_after(path: Union[str, Path], mark: Mark) -> Iterator[Tuple[Event, Mark]]:
    """Yield the whole lines after ``mark``, each with the mark behind it; all lines if the file was rewritten.

    A last line that is still being written is left out. Raises DamagedFile, naming file and line, for a line that is no
    event (see checked_event).
    """
    with open(str(path), "rb") as file:
        file.seek(mark.position - len(mark.line))
        position, number = mark[:2] if file.read(len(mark.line)) == mark.line else (0, 0)
        file.seek(position)
        for line in iter(lambda: file.readline(MAX_EVENT_BYTES), b""):
            number += 1
            label = f"{path}:{number}"
            if not line.endswith(b"\n"):
                if len(line) == MAX_EVENT_BYTES:
                    raise DamagedFile(f"{label}: an event longer than {MAX_EVENT_BYTES} bytes")
                return
            position += len(line)
            yield checked_event(parse_object(line, label), label), Mark(position, number, line)


def read_events(path: Union[str, Path]) -> Iterator[Event]:
    """Yield all events of a file in order, as events_after does."""
    return (event for event, _ in events_after(path, Mark()))


_NUMBERS = (
    ("metrics", dict, "set of numbers by name"),
    ("update_norms", dict, "set of numbers by name"),
    ("feed", list, "list of numbers"),
)


def checked_event(event: Event, label: str) -> Event:
    """Return ``event`` if it has a step and everything in it that this module's docstring names is of its type.

    Losses and norms may be infinite or NaN: a training may go on with them. Else raises DamagedFile.
    """
    whole_number(event.get("step"), f"{label}: step", 0, MAX_STEP)
    whole_number(event.get("epoch", 0), f"{label}: epoch", 0, MAX_STEP)
    finite_number(event.get("time", 0), f"{label}: time", 0, MAX_TIME)
    finite_number(event.get("seconds", 0), f"{label}: seconds", 0)
    if not isinstance(event.get("type", ""), str):
        raise DamagedFile(f"{label}: type is no text")
    for name, kind, what in _NUMBERS:
        found = event.get(name, kind())
        values = found.values() if isinstance(found, dict) else found
        if not isinstance(found, kind) or not all(type(value) in (int, float) for value in values):
            raise DamagedFile(f"{label}: {name} is no {what}")
    return event


def is_training_step(event: Event) -> bool:
    return "type" not in event and "metrics" in event


def min_loss(values: Iterable[float]) -> Optional[float]:
    """The number that the references publish as "min loss": the lowest A_loss of a single training step.

    As the minimum of noisy single batches it flatters; the mean over the last steps (``final_loss``) is the better
    measure. NaN is skipped.
    """
    return min(filter(math.isfinite, values), default=None)


def write_json(path: Union[str, Path], content: Any) -> None:
    """Write ``content`` as JSON, whole or not at all."""
    with whole_file(Path(path)) as file:
        file.write((json.dumps(content, indent=2, sort_keys=True) + "\n").encode("utf-8"))


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file that takes its place at ``path``, on disk and whole, if the block ends without an error."""
    handle, temporary = tempfile.mkstemp(dir=str(path.parent), prefix=shortened(path.name, 200, "."), suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, str(path))
    except BaseException:
        os.unlink(temporary)
        raise


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder that replaces ``path`` if the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=str(path.parent), prefix=".unfinished-"))
    try:
        yield temporary
        temporary.chmod(0o755)
        if path.exists():
            shutil.rmtree(str(path))
        os.replace(str(temporary), str(path))
    except BaseException:
        shutil.rmtree(str(temporary), ignore_errors=True)
        raise


class EventLog:
    """Appends events, each flushed as one line, and first drops a torn last line that a killed process left."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("ab")
        whole = self._file.tell()
        with open(str(path), "rb") as file:
            file.seek(max(0, whole - MAX_EVENT_BYTES))
            tail = file.read()
        self._file.truncate(whole - len(tail) + tail.rfind(b"\n") + 1)

    def write(self, step: int, **content: Any) -> None:
        """Append a training step, or an event whose ``type`` is one of EVENT_TYPES."""
        self._file.write((json.dumps({"step": step, "time": time.time(), **content}) + "\n").encode("utf-8"))
        self._file.flush()

    def cut_after(self, step: int) -> None:
        """Drop the events later than ``step``: a run that goes on from a checkpoint does those steps again."""
        with whole_file(self._path) as file:
            file.writelines(mark.line for event, mark in events_after(self._path, Mark()) if event["step"] <= step)
        self._file.close()
        self._file = self._path.open("ab")

    def flush_to_disk(self) -> None:
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()
