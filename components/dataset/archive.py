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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, BinaryIO, NamedTuple, cast

from components.dataset.options import Limits
from dualgan.errors import BadInput, DualGANError

CHUNK = 1 << 20
# The Info-ZIP extra field that holds a name as UTF-8, after its version and the checksum of the other name.
UNICODE_PATH = 0x7075
UTF8_FLAG = 0x800
# Small archives of very regular images are packed better than any ratio that tells a bomb.
MIN_RATIO_SIZE = 1 << 20
# Of a tar file's extended headers. tarfile reads them whole, and takes the square of a number's length for a number,
# which is in no name if it is longer than names are (CVE-2024-6232).
MAX_HEADER = 64 << 10
LONG_NUMBER = re.compile(rb"[0-9]{256}")
MAX_GLOBAL_VALUES = 100
EXTENDED = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


class Member(NamedTuple):
    """A file or folder of an archive, its name with "/" between folders and at a folder's end.

    ``chunks`` are read as they are consumed.
    """

    name: str
    chunks: Iterator[bytes]


class Budget:
    """Counts what comes out of an archive of ``packed`` bytes; every method raises BadInput beyond the limits."""

    def __init__(self, limits: Limits, packed: int, label: str) -> None:
        self.label, self._limits, self._packed = label, limits, packed
        self._files = self._size = 0

    def add_file(self) -> None:
        self._files += 1
        if self._files > self._limits.files:
            raise BadInput(f"{self.label}: refused, the archive holds more than {self._limits.files} files")

    def add(self, size: int) -> None:
        self._size += size
        self.require(0)

    def require(self, size: int) -> None:
        """``size`` more bytes must be within the limits."""
        total = self._size + size
        if total > self._limits.size:
            raise BadInput(f"{self.label}: refused, the archive unpacks to more than {self._limits.size} bytes")
        if total > MIN_RATIO_SIZE and total > self._limits.ratio * self._packed:
            raise BadInput(
                f"{self.label}: refused, the archive unpacks to more than {self._limits.ratio:g} times its size"
            )


def members(archive: Path, scratch: Path, limits: Limits, label: str) -> Iterator[Member]:
    """Yield the members of a zip or tar file in its order; a member's content ends when the next one is asked for.

    ``scratch`` is a folder on the disk that it is unpacked to, ``label`` is how messages name it. Raises BadInput if it
    is no archive, is damaged, exceeds ``limits``, or holds an absolute path, a ``..``, a link, a device or a sparse
    file; DualGANError if the disk is too small for what a zip file says it holds.
    """
    with _damage(label), archive.open("rb") as file:
        budget = Budget(limits, archive.stat().st_size, label)
        start = file.read(512)
        file.seek(0)
        tar = _decompressed(file, start)
        is_tar = tar is not file or start[257:262] == b"ustar"
        # A plain tar file may hold a zip file at its end, and would pass for one.
        if not is_tar and zipfile.is_zipfile(file):
            yield from _zip_members(file, scratch, budget)
            return
        if not is_tar and start.startswith(b"PK\x03\x04"):
            raise BadInput(f"{label}: a damaged archive (the end of the zip file is missing)")
        if not is_tar and not _is_old_tar(start):
            raise BadInput(f"{label}: neither a zip nor a tar archive (it begins with {start[:16]!r})")
        file.seek(0)
        yield from _tar_members(tar, budget)


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


def _decompressed(file: BinaryIO, start: bytes) -> BinaryIO:
    """``file`` itself if it is not compressed as a whole."""
    if start.startswith(b"\x1f\x8b"):
        return cast(BinaryIO, gzip.open(file))
    if start.startswith(b"BZh"):
        return cast(BinaryIO, bz2.open(file))
    if start.startswith(b"\xfd7zXZ\0"):
        return cast(BinaryIO, lzma.open(file))
    return file


def _is_old_tar(start: bytes) -> bool:
    try:
        return bool(tarfile.TarInfo.frombuf(start, "utf-8", "surrogateescape").name)
    except tarfile.TarError:
        return False


def _zip_members(archive: BinaryIO, scratch: Path, budget: Budget) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as file:
        named = []
        for member in file.infolist():
            budget.add_file()
            name = _zip_name(member)
            kind = stat.S_IFMT(member.external_attr >> 16)
            _require_safe(name, kind in (0, stat.S_IFREG, stat.S_IFDIR), budget.label)
            named.append((name, member))
        needed = sum(member.file_size for _, member in named)
        # What it says of itself, before anything is written; what it really holds is measured as well.
        budget.require(needed)
        free = shutil.disk_usage(scratch).free
        if needed > free:
            raise DualGANError(
                f"{budget.label}: unpacked it takes {needed} bytes, the disk of the destination has {free} left"
            )
        for name, member in named:
            if name.endswith("/"):
                yield Member(_plain(name) + "/", iter(()))
                continue
            with file.open(member) as content:
                yield from _exhausted(Member(_plain(name), _chunks(content, budget)))


def _zip_name(member: zipfile.ZipInfo) -> str:
    name = member.filename
    if not member.flag_bits & UTF8_FLAG and not name.isascii():
        name = _utf8_name(member) or name
    # Some programs for Windows separate folders by backslashes, against the format.
    return name.replace("\\", "/")


def _utf8_name(member: zipfile.ZipInfo) -> str | None:
    """The name of a member without the flag that it is UTF-8, if it is UTF-8 all the same or is given beside."""
    try:
        written = member.filename.encode("cp437")
        extra = member.extra
        while len(extra) >= 4:
            kind, length = struct.unpack("<HH", extra[:4])
            if kind == UNICODE_PATH and int.from_bytes(extra[5:9], "little") == zlib.crc32(written):
                return extra[9 : 4 + length].decode()
            extra = extra[4 + length :]
        return written.decode()
    except UnicodeError:
        return None


class _TarStream:
    """The bytes of a tar file, read forward once, with a look ahead."""

    def __init__(self, stream: BinaryIO, budget: Budget) -> None:
        self._stream, self.budget, self.label = stream, budget, budget.label
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
        if self.type in EXTENDED:
            if not 0 <= self.size <= MAX_HEADER or LONG_NUMBER.search(stream.peek(self.size)):
                raise BadInput(
                    f"{stream.label}: refused, a header of the archive exceeds {MAX_HEADER} bytes or holds a number "
                    "of more than 255 digits"
                )
            if len(archive.pax_headers) > MAX_GLOBAL_VALUES:
                raise BadInput(f"{stream.label}: refused, more than {MAX_GLOBAL_VALUES} values for the whole archive")
            stream.budget.add(self.size)
            is_sparse = b"GNU.sparse." in stream.peek(self.size)
        else:
            is_sparse = self.type == tarfile.GNUTYPE_SPARSE
        if is_sparse:
            raise BadInput(f"{stream.label}: refused, the archive holds a sparse file")
        return super()._proc_member(archive)  # type: ignore[misc,no-any-return]


def _tar_members(stream: BinaryIO, budget: Budget) -> Iterator[Member]:
    forward = cast(IO[bytes], _TarStream(stream, budget))
    with tarfile.TarFile(fileobj=forward, tarinfo=_TarInfo, errors="surrogateescape") as file:
        while (member := file.next()) is not None:
            # It would remember every member.
            file.members.clear()  # type: ignore[attr-defined]
            budget.add_file()
            _require_safe(member.name, member.isreg() or member.isdir(), budget.label)
            budget.require(member.size)
            if member.isdir():
                yield Member(_plain(member.name) + "/", iter(()))
                continue
            content = file.extractfile(member)
            assert content is not None
            yield from _exhausted(Member(_plain(member.name), _chunks(content, budget)))


def _chunks(content: IO[bytes], budget: Budget) -> Iterator[bytes]:
    # Damage shows when a member is read, which is not when the next one is asked for.
    with _damage(budget.label):
        length = CHUNK
        # A short chunk is the last one.
        while length == CHUNK and (chunk := content.read(CHUNK)):
            length = len(chunk)
            budget.add(length)
            yield chunk


def _exhausted(member: Member) -> Iterator[Member]:
    """``member``, and then the rest of it: damage shows only when everything has been read."""
    yield member
    for _ in member.chunks:
        pass


def _plain(name: str) -> str:
    """``name`` without what changes nothing: "." and empty folders."""
    if "//" not in name and "./" not in name and not name.endswith("/."):
        return name.strip("/")
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _require_safe(name: str, is_plain: bool, label: str) -> None:
    reason = ""
    if name.startswith("/") or (":" in name and PureWindowsPath(name).drive):
        reason = "an absolute path"
    elif ".." in name and ".." in PurePosixPath(name).parts:
        reason = "a path that leaves its folder"
    elif "\0" in name:
        reason = "a name that is none"
    elif not is_plain:
        reason = "a link or a device"
    if reason:
        shown = repr(name) if len(name) <= 200 else f"{name[:200]!r}..."
        raise BadInput(f"{label}: refused, the archive holds {reason}: {shown}")
