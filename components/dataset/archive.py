"""Reading archives that come from anywhere: one member after another, in memory that does not grow with them.

Nothing is extracted by a member's own name, so ``tarfile.data_filter``, which repairs names, is of no use here: what is
not a plain file or folder below the archive's root is refused.
"""

import bz2
import gzip
import lzma
import re
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, BinaryIO, NamedTuple, cast

from components.dataset.options import FetchOptions
from dualgan.errors import BadInput, DualGANError

CHUNK = 1 << 20
UTF8_FLAG = 0x800
# The Info-ZIP extra field that holds a name as UTF-8, after its version and the checksum of the other name.
UNICODE_PATH = 0x7075
# Small archives of very regular images are packed better than any ratio that tells a bomb.
MIN_RATIO_SIZE = 1 << 20
# Of a tar file's extended headers. tarfile reads them whole, and takes the square of a number's length for a number,
# which is in no name if it is longer than names are (CVE-2024-6232).
MAX_HEADER = 64 << 10
LONG_NUMBER = re.compile(rb"[0-9]{256}")
MAX_GLOBAL_VALUES = 100
PAX, GNU_LONG = (b"x", b"g", b"X"), (b"L", b"K")
COMPRESSIONS: dict[bytes, Callable[[BinaryIO], object]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}


class Member(NamedTuple):
    """A member whose name has "/" between folders and at a folder's end, and whose bytes are read as they are used."""

    name: str
    chunks: Iterator[bytes]


class _Entry(NamedTuple):
    """A member as zip and tar files describe it; ``is_plain`` says that it is a file or a folder."""

    name: str
    size: int
    is_folder: bool
    is_plain: bool
    open: Callable[[], IO[bytes] | None]


class _Budget:
    """Counts what comes out of an archive of ``packed`` bytes; every method raises BadInput beyond the limits."""

    def __init__(self, options: FetchOptions, packed: int, label: str) -> None:
        self.label, self._options, self._packed = label, options, packed
        self._files = self._size = 0

    def add_file(self) -> None:
        self._files += 1
        if self._files > self._options.max_files:
            raise self.refused(f"holds more than {self._options.max_files} files")

    def add(self, size: int) -> None:
        self._size += size
        self.require(0)

    def require(self, size: int) -> None:
        """``size`` more bytes must be within the limits."""
        total = self._size + size
        if total > self._options.max_size:
            raise self.refused(f"unpacks to more than {self._options.max_size} bytes")
        if total > MIN_RATIO_SIZE and total > self._options.max_ratio * self._packed:
            raise self.refused(f"unpacks to more than {self._options.max_ratio:g} times its size")

    def refused(self, reason: str) -> BadInput:
        return BadInput(f"{self.label}: refused, the archive {reason}")


def members(archive: Path, folder: Path, options: FetchOptions, label: str) -> Iterator[Member]:
    """Yield the members of a zip or tar file; a member's content ends when the next one is asked for.

    Raises BadInput if it is no archive, is damaged, beyond a limit, or holds what is not a plain file or folder in it,
    and DualGANError if a zip file says that it unpacks to more than the disk of ``folder`` has left. A zip file is
    checked before its first member is given.
    """
    with _damage(label), archive.open("rb") as file:
        budget = _Budget(options, archive.stat().st_size, label)
        for entry in _entries(file, folder, budget):
            name = "/".join(part for part in entry.name.split("/") if part not in ("", "."))
            content = None if entry.is_folder else entry.open()
            if content is None:
                yield Member(f"{name}/", iter(()))
                continue
            with content:
                member = Member(name, _chunks(content, budget))
                yield member
                # Damage shows only when everything has been read.
                for _ in member.chunks:
                    pass


@contextmanager
def _damage(label: str) -> Iterator[None]:
    try:
        yield
    except (DualGANError, MemoryError):
        raise
    # What reads archives raises errors of many kinds for a damaged one; an error of the system has a number.
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise BadInput(f"{label}: a damaged archive ({error})") from error


def _chunks(content: IO[bytes], budget: _Budget) -> Iterator[bytes]:
    # Damage shows when a member is read, which is not when the next one is asked for.
    with _damage(budget.label):
        while chunk := content.read(CHUNK):
            budget.add(len(chunk))
            yield chunk


def _require_allowed(entry: _Entry, budget: _Budget) -> None:
    budget.add_file()
    name = entry.name
    for is_bad, reason in (
        (name.startswith("/") or (":" in name and PureWindowsPath(name).drive), "an absolute path"),
        (".." in name and ".." in PurePosixPath(name).parts, "a path that leaves its folder"),
        ("\0" in name, "a name that is none"),
        (not entry.is_plain, "a link or a device"),
    ):
        if is_bad:
            shown = repr(name) if len(name) <= 200 else f"{name[:200]!r}..."
            raise budget.refused(f"holds {reason}: {shown}")
    # What it says of itself; what it really holds is measured as well.
    budget.require(entry.size)


def _entries(file: BinaryIO, folder: Path, budget: _Budget) -> Iterator[_Entry]:
    start = file.read(512)
    file.seek(0)
    unpack = next((unpack for magic, unpack in COMPRESSIONS.items() if start.startswith(magic)), None)
    # A plain tar file may hold a zip file at its end, and would pass for one.
    is_tar = unpack is not None or start[257:262] == b"ustar"
    if not is_tar and (start.startswith(b"PK\x03\x04") or zipfile.is_zipfile(file)):
        yield from _zip_entries(file, folder, budget)
        return
    file.seek(0)
    stream = cast(IO[bytes], _TarStream(cast(BinaryIO, unpack(file)) if unpack else file, budget))
    try:
        tar = tarfile.TarFile(fileobj=stream, tarinfo=_TarInfo, errors="surrogateescape")
    except tarfile.ReadError as error:
        if is_tar:
            raise
        raise BadInput(f"{budget.label}: neither a zip nor a tar archive (it begins with {start[:16]!r})") from error
    while (member := tar.next()) is not None:
        # It would remember every member.
        tar.members.clear()  # type: ignore[attr-defined]
        is_plain = member.isreg() or member.isdir()
        entry = _Entry(member.name, member.size, member.isdir(), is_plain, partial(tar.extractfile, member))
        _require_allowed(entry, budget)
        yield entry


def _zip_entries(archive: BinaryIO, folder: Path, budget: _Budget) -> Iterator[_Entry]:
    with zipfile.ZipFile(archive) as file:
        entries = []
        for info in file.infolist():
            # Some programs for Windows separate folders by backslashes, against the format.
            name = _zip_name(info).replace("\\", "/")
            is_plain = stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG, stat.S_IFDIR)
            entries.append(_Entry(name, info.file_size, name.endswith("/"), is_plain, partial(file.open, info)))
            _require_allowed(entries[-1], budget)
        needed, free = sum(entry.size for entry in entries), shutil.disk_usage(folder).free
        budget.require(needed)
        if needed > free:
            raise DualGANError(
                f"{budget.label}: unpacked it takes {needed} bytes, the disk of the destination has {free} left"
            )
        yield from entries


def _zip_name(info: zipfile.ZipInfo) -> str:
    """The name of a member, as UTF-8 if it is, whether it says so or not, or if that is given beside."""
    if info.flag_bits & UTF8_FLAG or info.filename.isascii():
        return info.filename
    try:
        written = info.filename.encode("cp437")
        extra = info.extra
        while len(extra) >= 4:
            kind, length = struct.unpack("<HH", extra[:4])
            if kind == UNICODE_PATH and int.from_bytes(extra[5:9], "little") == zlib.crc32(written):
                return extra[9 : 4 + length].decode()
            extra = extra[4 + length :]
        return written.decode()
    except UnicodeError:
        return info.filename


class _TarStream:
    """The bytes of a tar file, read forward once, with a look ahead."""

    def __init__(self, stream: BinaryIO, budget: _Budget) -> None:
        self._stream, self.budget = stream, budget
        self._ahead, self._position = b"", 0

    def read(self, size: int) -> bytes:
        content = self.peek(size)[:size]
        self._ahead = self._ahead[len(content) :]
        self._position += len(content)
        return content

    def peek(self, size: int) -> bytes:
        if len(self._ahead) < size:
            self._ahead += self._stream.read(size - len(self._ahead))
        return self._ahead

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        if position < self._position:
            raise tarfile.ReadError("a member that begins inside another")
        while (left := position - self._position) and self.read(min(left, CHUNK)):
            pass


class _TarInfo(tarfile.TarInfo):
    """A header of a tar file that is looked at before ``tarfile`` interprets it."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        stream = cast(_TarStream, archive.fileobj)
        budget = stream.budget
        is_sparse = self.type == tarfile.GNUTYPE_SPARSE
        if self.type in (*PAX, *GNU_LONG):
            if not 0 <= self.size <= MAX_HEADER or LONG_NUMBER.search(stream.peek(self.size)):
                raise budget.refused(
                    f"has a header of more than {MAX_HEADER} bytes, or with a number of more than 255 digits"
                )
            if len(archive.pax_headers) > MAX_GLOBAL_VALUES:
                raise budget.refused(f"has more than {MAX_GLOBAL_VALUES} values for all its files")
            budget.add(self.size)
            is_sparse = b"GNU.sparse." in stream.peek(self.size)
        if is_sparse:
            raise budget.refused("holds a sparse file")
        return super()._proc_member(archive)  # type: ignore[misc,no-any-return]
