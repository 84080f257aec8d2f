"""A file that comes over a network: it goes on where it was broken off, and is given up in time."""

import contextlib
import hashlib
import logging
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import urllib3
from pydantic import BaseModel

from components.common.console import Progress
from components.common.s3 import TransferInterrupted
from components.common.threads import within
from components.dataset.options import FetchOptions
from dualgan.errors import BadInput, DualGANError

CHUNK = 1 << 18
# The end of what is there is asked for again and compared: it tells another file if a server has no validator.
OVERLAP = 1 << 16
FIRST_DELAY, MAX_DELAY = 0.5, 30.0

log = logging.getLogger(__name__)


class TransientError(Exception):
    """A request failed in a way that may pass; ``retry_after`` is how many seconds the server asks for."""

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class ContentChanged(TransientError):
    """What is there belongs to another content than the server has now."""

    def __init__(self, reason: str = "the file has changed on the server") -> None:
        super().__init__(reason)


class Response(NamedTuple):
    """What a server gives: bytes from ``offset`` on, which is 0 if it does not resume, ``total`` if it says so.

    ``validator`` (an ETag, say) is another one if the content is.
    """

    offset: int
    total: int | None
    validator: str | None
    chunks: Iterator[bytes]


# Ask for the bytes from an offset on, of the content with a validator. Raises TransientError or TimeoutError if it is
# worth to try again.
OpenRange = Callable[[int, str | None], AbstractContextManager[Response]]


class _Note(BaseModel):
    """What is written beside a file that has come in part: what it is a part of."""

    address: str
    validator: str | None = None
    total: int | None = None

    def is_of(self, response: Response) -> bool:
        return response.validator == self.validator and len({response.total, self.total} - {None}) <= 1


class RateLimit:
    """The least that a transfer must bring, or several together."""

    def __init__(self, label: str, options: FetchOptions) -> None:
        self._label, self._options = label, options
        self._began, self._bytes = time.monotonic(), 0

    def watched(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield ``chunks``. Raises TransferInterrupted when they come too slowly for too long."""
        for chunk in chunks:
            now = time.monotonic()
            self._bytes += len(chunk)
            if (seconds := now - self._began) >= self._options.idle_timeout:
                if self._bytes < self._options.min_rate * seconds:
                    raise TransferInterrupted(
                        f"{self._label}: the transfer is too slow: {self._bytes} bytes in {seconds:.0f} seconds, "
                        f"less than {self._options.min_rate} a second; the same command goes on"
                    )
                self._began, self._bytes = now, 0
            yield chunk


class PartialFile:
    """A file as far as it has come, with a note beside it that says what it is a part of.

    ``address`` is where it comes from, ``label`` how messages name that, ``max_size`` how many bytes it may have and
    who says so.
    """

    def __init__(self, file: Path, address: str, label: str, options: FetchOptions, max_size: tuple[int, str]) -> None:
        self.file, self._note_file = file, file.with_name(f"{file.name}.json")
        self._label, self._options, self._max_size = label, options, max_size
        self._note = _Note(address=hashlib.sha256(address.encode("utf-8", "surrogateescape")).hexdigest())
        self.size = 0
        with contextlib.suppress(OSError, ValueError):
            note = _Note.model_validate_json(self._note_file.read_bytes())
            if note.address == self._note.address:
                self._note, self.size = note, file.stat().st_size

    def resume(self, open_range: OpenRange, shared: tuple[RateLimit, Progress] | None = None) -> None:
        """Go on until the file is whole; ``shared`` are limit and display of several transfers that this is one of.

        Raises:
            TransferInterrupted: The server brings nothing new, or too little, for as long as the options say.
            BadInput: The file is too large.
            DualGANError: The disk is too small, or what ``open_range`` raises.
        """
        rate, progress = shared or (RateLimit(self._label, self._options), None)
        most, newest, tries = self.size, time.monotonic(), 0
        while True:
            try:
                for _ in self._receive(open_range, rate, progress):
                    newest = time.monotonic()
                    # Retries are counted in a row: one that brings something new begins a new row.
                    if self.size > most:
                        most, tries = self.size, 0
                return
            except (TransientError, TimeoutError) as error:
                delay = min(FIRST_DELAY * 2**tries, MAX_DELAY) + random.uniform(0, FIRST_DELAY / 2)
                delay = max(delay, getattr(error, "retry_after", 0.0))
                tries, allowed = tries + 1, self._options.retries
                if isinstance(error, ContentChanged):
                    self._begin(None, None)
                    allowed = max(1, allowed)
                if tries > allowed or time.monotonic() + delay - newest > self._options.idle_timeout:
                    kept = f"; the {self.size} bytes that came are kept, the same command goes on" if self.size else ""
                    raise TransferInterrupted(f"{self._label}: the download failed: {error}{kept}") from None
                log.info("%s: %s; trying again in %.1f seconds", self._label, error, delay)
            time.sleep(delay)

    def _receive(self, open_range: OpenRange, rate: RateLimit, shown: Progress | None) -> Iterator[None]:
        known, is_whole = self._note, self.size == self._note.total
        # Of a whole file there is no rest to ask for.
        overlap = min(self.size, OVERLAP) if is_whole or not known.validator else 0
        with open_range(self.size - overlap, known.validator) as response:
            chunks = rate.watched(response.chunks)
            if is_whole and known.validator and known.is_of(response):
                chunks = iter(())
            elif self.size and response.offset == self.size - overlap and known.is_of(response):
                chunks = self._beyond_end(overlap, chunks)
            elif response.offset:
                raise ContentChanged
            else:
                self._begin(response.validator, response.total)
            total = self._note.total
            self._require_room()
            own = contextlib.nullcontext(shown) if shown else Progress("downloading", total, "B", initial=self.size)
            with own as progress, self.file.open("ab") as file:
                for chunk in chunks:
                    file.write(chunk)
                    file.flush()
                    self.size += len(chunk)
                    progress.advance(len(chunk))
                    yield
                    if total is None:
                        self._require_room()
                    elif self.size > total:
                        raise ContentChanged
        if total is not None and self.size < total:
            raise TransientError(f"the connection ended after {self.size} of {total} bytes")

    def _beyond_end(self, overlap: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield what follows the last ``overlap`` bytes of what is there. Raises ContentChanged if they are others."""
        with self.file.open("rb") as file:
            file.seek(-overlap, os.SEEK_END)
            known = file.read()
        start = b""
        while len(start) < overlap:
            chunk = next(chunks, None)
            if chunk is None:
                raise TransientError("the connection ended")
            start += chunk
        if not start.startswith(known):
            raise ContentChanged
        if start[overlap:]:
            yield start[overlap:]
        yield from chunks

    def _begin(self, validator: str | None, total: int | None) -> None:
        """Forget what is there. The note follows the emptied file, so that it never speaks of other bytes."""
        self.file.write_bytes(b"")
        self.size = 0
        self._note = self._note.model_copy(update={"validator": validator, "total": total})
        self._note_file.write_text(self._note.model_dump_json(), encoding="utf-8")

    def _require_room(self) -> None:
        total, (max_size, said_by) = self._note.total or self.size, self._max_size
        if max(total, self.size) > max_size:
            raise BadInput(f"{self._label}: refused, it has more than {max_size} bytes ({said_by})")
        free = shutil.disk_usage(self.file.parent).free
        if total - self.size > free:
            raise DualGANError(f"{self._label}: no space left: {total - self.size} more bytes, the disk has {free}")


def chunks_of(raw: urllib3.BaseHTTPResponse, idle_timeout: float) -> Iterator[bytes]:
    """Yield what comes at once, as ``read`` waits for a full chunk. Raises TimeoutError if nothing comes in time."""
    # Closing would wait for the read that hangs.
    while chunk := within(idle_timeout, lambda: raw.read1(CHUNK), raw.shutdown):
        yield chunk
