"""How any transfer goes on where it was broken off, and when it is given up."""

import contextlib
import hashlib
import logging
import random
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, TypeVar

import urllib3
from pydantic import BaseModel

from components.common.console import Progress
from components.common.deadlines import within
from components.common.errors import TransferBroken
from components.dataset.options import TransferOptions
from dualgan.errors import BadInput, DualGANError

CHUNK = 1 << 18
# The end of what is there is asked for again and compared: it tells another file if a server has no ETag.
OVERLAP = 1 << 16
FIRST_DELAY, MAX_DELAY = 0.5, 30.0

Answer = TypeVar("Answer")

log = logging.getLogger(__name__)


class TransientError(Exception):
    """A request failed in a way that may pass; ``retry_after`` is how many seconds the server asks for."""

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class ContentChanged(TransientError):
    """What is there belongs to another content than the server has now."""

    def __init__(self) -> None:
        super().__init__("the file has changed on the server")


class Response(NamedTuple):
    """What a server gives: bytes from ``offset`` on, which is 0 if it does not resume, ``total`` if it says so.

    ``validator`` (an ETag, say) is another one if the content is.
    """

    offset: int
    total: int | None
    validator: str | None
    chunks: Iterator[bytes]


# Ask for the bytes from an offset on, of the content with a validator. Raises TransientError, or DualGANError for good.
OpenRange = Callable[[int, str | None], AbstractContextManager[Response]]


class _Note(BaseModel):
    """What is written beside a file that has come in part: what it is a part of."""

    address: str
    validator: str | None = None
    total: int | None = None


class PartialFile:
    """A file as far as it has come, with its checksum so far; ``address`` is where it comes from."""

    def __init__(self, file: Path, address: str) -> None:
        self.file, self._note_file = file, file.with_name(f"{file.name}.json")
        self.note = _Note(address=hashlib.sha256(address.encode("utf-8", "surrogateescape")).hexdigest())
        self._sha256, self.size = hashlib.sha256(), 0
        with contextlib.suppress(OSError, ValueError):
            note = _Note.model_validate_json(self._note_file.read_bytes())
            if note.address == self.note.address:
                with self.file.open("rb") as content:
                    while chunk := content.read(CHUNK):
                        self._count(chunk)
                self.note = note

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    def begin(self, validator: str | None, total: int | None) -> None:
        """Forget what is there. The note follows the emptied file, so that it never speaks of other bytes."""
        self.file.write_bytes(b"")
        self._sha256, self.size = hashlib.sha256(), 0
        self.note = self.note.model_copy(update={"validator": validator, "total": total})
        self._note_file.write_text(self.note.model_dump_json(), encoding="utf-8")

    def end(self, count: int) -> bytes:
        """Return the last ``count`` bytes of what is there."""
        with self.file.open("rb") as file:
            file.seek(self.size - count)
            return file.read(count)

    def append(self, chunks: Iterator[bytes]) -> Iterator[int]:
        """Write ``chunks``; yields the length of each."""
        with self.file.open("ab") as file:
            for chunk in chunks:
                file.write(chunk)
                file.flush()
                self._count(chunk)
                yield len(chunk)

    def _count(self, chunk: bytes) -> None:
        self._sha256.update(chunk)
        self.size += len(chunk)


class RateLimit:
    """The least that a transfer must bring, or several together."""

    def __init__(self, label: str, options: TransferOptions) -> None:
        self._label, self._options = label, options
        self._began, self._bytes = time.monotonic(), 0

    def watched(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield ``chunks``. Raises TransferBroken when they come too slowly for too long."""
        for chunk in chunks:
            now = time.monotonic()
            self._bytes += len(chunk)
            if (seconds := now - self._began) >= self._options.idle_timeout:
                if self._bytes < self._options.min_rate * seconds:
                    raise TransferBroken(
                        f"{self._label}: the transfer is too slow: {self._bytes} bytes in {seconds:.0f} seconds, "
                        f"less than {self._options.min_rate:g} a second; the same command goes on"
                    )
                self._began, self._bytes = now, 0
            yield chunk


class MaxSize(NamedTuple):
    """The most bytes that a transfer may bring, and who says so."""

    size: int
    said_by: str = "--max-size"


def resume(
    partial: PartialFile,
    open_range: OpenRange,
    options: TransferOptions,
    max_size: MaxSize,
    label: str,
    shared: tuple[RateLimit, Progress] | None = None,
) -> str:
    """Go on with ``partial`` until it is whole, and return its SHA-256 (hex).

    Args:
        partial: What has come so far.
        open_range: Asks the server for more.
        options: When to give up.
        max_size: Of the whole file.
        label: How messages name it.
        shared: The limit and the display of several transfers that this is one of.

    Raises:
        TransferBroken: The server brings nothing new, or too little, for as long as ``options`` say.
        BadInput: The file is larger than ``max_size``.
        DualGANError: The disk is too small, or what ``open_range`` raises.
    """
    rate, progress = shared or (RateLimit(label, options), None)
    most, newest, retries = partial.size, time.monotonic(), 0
    while True:
        try:
            for _ in _receive(partial, open_range, max_size, label, rate, progress):
                newest = time.monotonic()
                # Retries are counted in a row: one that brings something new begins a new row.
                if partial.size > most:
                    most, retries = partial.size, 0
            return partial.sha256
        except TransientError as error:
            if isinstance(error, ContentChanged):
                partial.begin(None, None)
            delay = min(FIRST_DELAY * 2**retries, MAX_DELAY) + random.uniform(0, FIRST_DELAY / 2)
            delay, retries = max(delay, error.retry_after), retries + 1
            if retries > options.retries or time.monotonic() + delay - newest > options.idle_timeout:
                kept = f"; the {partial.size} bytes that came are kept, the same command goes on"
                raise TransferBroken(f"{label}: the download failed: {error}{kept if partial.size else ''}") from None
            log.info("%s: %s; trying again in %.1f seconds", label, error, delay)
        time.sleep(delay)


def _receive(
    partial: PartialFile, open_range: OpenRange, max_size: MaxSize, label: str, rate: RateLimit, shown: Progress | None
) -> Iterator[None]:
    overlap = min(OVERLAP, partial.size)
    with open_range(partial.size - overlap, partial.note.validator) as response:
        chunks = rate.watched(response.chunks)
        totals = {response.total, partial.note.total} - {None}
        is_same = response.validator == partial.note.validator and len(totals) <= 1
        if partial.size and response.offset == partial.size - overlap and is_same:
            chunks = _behind(partial.end(overlap), chunks)
        elif response.offset:
            raise ContentChanged
        else:
            partial.begin(response.validator, response.total)
        total = partial.note.total
        _require_room(partial, max_size, label)
        own = (
            Progress("downloading", total, "B", initial=partial.size)
            if shown is None
            else contextlib.nullcontext(shown)
        )
        with own as progress:
            for length in partial.append(chunks):
                progress.advance(length)
                yield
                if total is not None and partial.size > total:
                    raise ContentChanged
                if total is None:
                    _require_room(partial, max_size, label)
    if total is not None and partial.size < total:
        raise TransientError(f"the connection ended after {partial.size} of {total} bytes")


def _behind(known: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield what follows ``known`` in ``chunks``. Raises ContentChanged if they begin with anything else."""
    start = b""
    while len(start) < len(known):
        chunk = next(chunks, b"")
        if not chunk:
            raise TransientError("the connection ended")
        start += chunk
    if not start.startswith(known):
        raise ContentChanged
    if len(start) > len(known):
        yield start[len(known) :]
    yield from chunks


def _require_room(partial: PartialFile, max_size: MaxSize, label: str) -> None:
    if max(partial.note.total or 0, partial.size) > max_size.size:
        raise BadInput(f"{label}: refused, it has more than {max_size.size} bytes ({max_size.said_by})")
    needed = (partial.note.total or 0) - partial.size
    free = shutil.disk_usage(partial.file.parent).free
    if needed > free:
        raise DualGANError(f"{label}: {needed} more bytes to download, no space left: the disk has {free}")


def in_time(seconds: float, ask: Callable[[], Answer], abandon: Callable[[], object] = lambda: None) -> Answer:
    """Return what ``ask`` returns, as ``within`` does. Raises TransientError if that takes longer."""
    try:
        return within(seconds, ask, abandon)
    except TimeoutError as error:
        raise TransientError(str(error)) from None


def chunks_of(raw: urllib3.BaseHTTPResponse, idle_timeout: float) -> Iterator[bytes]:
    """Yield what has come at once: ``read`` would wait until a chunk is full, and lose it with the process.

    Raises TransientError if it takes longer than ``idle_timeout`` seconds until something comes.
    """
    # Closing would wait for the read that hangs.
    while chunk := in_time(idle_timeout, lambda: raw.read1(CHUNK), raw.shutdown):
        yield chunk
