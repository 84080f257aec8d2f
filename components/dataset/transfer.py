"""Transfers that go on where they were broken off."""

import hashlib
import json
import logging
import random
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from components.dataset.errors import TransferBroken
from components.dataset.options import Patience
from components.dataset.progress import Progress
from dualgan.errors import DualGANError

CHUNK = 1 << 18
# The end of what is there is asked for again and compared: it tells another file where a server has no ETag.
OVERLAP = 1 << 16
FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0

log = logging.getLogger(__name__)


class Broken(Exception):
    """A request failed in a way that may pass; ``wait`` is how many seconds the server asks for."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class Changed(Broken):
    """What is there belongs to another content than the server has now."""

    def __init__(self) -> None:
        super().__init__("the file has changed on the server")


class Answer(NamedTuple):
    """What a server gives: bytes from ``offset`` on (0 where it does not resume), ``total`` bytes where it says so,
    the validator (an ETag, say) that is another one where the content is.
    """

    offset: int
    total: int | None
    validator: str | None
    chunks: Iterator[bytes]


# Ask for the bytes from an offset on, of the content with a validator. Raises Broken, or DualGANError for good.
Ask = Callable[[int, str | None], AbstractContextManager[Answer]]


class Partial:
    """A file as far as it has come, in ``folder``, with its checksum so far; ``address`` is where it comes from."""

    def __init__(self, folder: Path, address: str) -> None:
        self.file, self._note = folder / "archive", folder / "archive.json"
        self._address = hashlib.sha256(address.encode()).hexdigest()
        self.validator: str | None = None
        self.total: int | None = None
        self._sha256 = hashlib.sha256()
        self.size = 0
        # When the newest byte came, by time.monotonic().
        self.newest = time.monotonic()
        self._restore()

    def _restore(self) -> None:
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            if note["address"] != self._address:
                return
            self.validator, self.total = note["validator"], note["total"]
            with self.file.open("rb") as file:
                while chunk := file.read(CHUNK):
                    self._sha256.update(chunk)
                    self.size += len(chunk)
        except (OSError, ValueError, KeyError, TypeError):
            self.size, self._sha256 = 0, hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    def begin(self, validator: str | None, total: int | None) -> None:
        """Forget what is there. The note follows the emptied file, so that it never speaks of other bytes."""
        self.file.write_bytes(b"")
        self.size, self._sha256 = 0, hashlib.sha256()
        self.validator, self.total = validator, total
        note = {"address": self._address, "validator": validator, "total": total}
        self._note.write_text(json.dumps(note), encoding="utf-8")

    def end(self, count: int) -> bytes:
        """The last ``count`` bytes of what is there."""
        with self.file.open("rb") as file:
            file.seek(self.size - count)
            return file.read(count)

    def append(self, chunks: Iterator[bytes], progress: Progress) -> Iterator[int]:
        """Write ``chunks``; yields the size after each."""
        with self.file.open("ab", buffering=0) as file:
            for chunk in chunks:
                left = memoryview(chunk)
                while left:
                    left = left[file.write(left) :]
                self._sha256.update(chunk)
                self.size += len(chunk)
                self.newest = time.monotonic()
                progress.advance(len(chunk))
                yield self.size


def complete(partial: Partial, ask: Ask, patience: Patience, shown: str) -> str:
    """Go on with ``partial`` until it is whole, and its SHA-256 (hex); ``shown`` is how messages name it.

    Raises TransferBroken where the server brings nothing new for ``patience``, DualGANError where the disk is too
    small, and what ``ask`` raises.
    """
    log.info("downloading %s%s", shown, f" from byte {partial.size} on" if partial.size else "")
    best, failures = partial.size, 0
    while True:
        try:
            _receive(partial, ask, shown)
            return partial.sha256
        except Broken as error:
            if partial.size > best:
                best, failures = partial.size, 0
            if isinstance(error, Changed):
                partial.begin(None, None)
            failures += 1
            delay = max(error.wait, min(LONGEST_DELAY, FIRST_DELAY * 2 ** (failures - 1))) * random.uniform(0.8, 1.2)
            too_long = time.monotonic() + delay - partial.newest > patience.stall
            if failures > patience.retries or too_long:
                kept = (
                    f"; the {partial.size} bytes that came are kept, the same command goes on" if partial.size else ""
                )
                raise TransferBroken(f"{shown}: the download failed: {error}{kept}") from None
            log.info("%s: %s; trying again in %.1f seconds", shown, error, delay)
            time.sleep(delay)


def _receive(partial: Partial, ask: Ask, shown: str) -> None:
    overlap = min(OVERLAP, partial.size)
    with ask(partial.size - overlap, partial.validator) as answer:
        chunks = answer.chunks
        resumes = answer.offset == partial.size - overlap and _is_same(partial, answer)
        if partial.size and resumes:
            chunks = _behind(partial.end(overlap), chunks)
        elif answer.offset:
            raise Changed
        else:
            partial.begin(answer.validator, answer.total)
        _require_space(partial, shown)
        with Progress("downloading", partial.total, "B", initial=partial.size) as progress:
            for size in partial.append(chunks, progress):
                if partial.total is not None and size > partial.total:
                    raise Changed
    if partial.total is not None and partial.size < partial.total:
        raise Broken(f"the connection ended after {partial.size} of {partial.total} bytes")


def _is_same(partial: Partial, answer: Answer) -> bool:
    same_total = answer.total is None or partial.total is None or answer.total == partial.total
    return same_total and (not partial.size or answer.validator == partial.validator)


def _behind(known: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """What follows ``known`` in ``chunks``. Raises Changed where they begin otherwise."""
    start = b""
    while len(start) < len(known):
        chunk = next(chunks, b"")
        if not chunk:
            raise Broken("the connection ended")
        start += chunk
    if not start.startswith(known):
        raise Changed

    def rest() -> Iterator[bytes]:
        if len(start) > len(known):
            yield start[len(known) :]
        yield from chunks

    return rest()


def _require_space(partial: Partial, shown: str) -> None:
    needed = (partial.total or 0) - partial.size
    free = shutil.disk_usage(partial.file.parent).free
    if needed > free:
        raise DualGANError(f"{shown}: {needed} more bytes to download, no space left: the disk has {free}")
