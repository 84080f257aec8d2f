"""Reading archives that come from anywhere: one member after another, in memory that does not grow with them."""

import bz2
import gzip
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, BinaryIO, NamedTuple, cast

from components.dataset.budget import Budget, HeaderGuard
from components.dataset.options import Limits
from dualgan.errors import BadInput, DualGANError

CHUNK = 1 << 20
DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    # zipfile's words for a method it does not know and for a password that it needs
    NotImplementedError,
    RuntimeError,
)
# The Info-ZIP extra field that holds a name as UTF-8, after its version and the checksum of the other name.
UNICODE_PATH = 0x7075
UTF8_FLAG = 0x800


class Member(NamedTuple):
    """A file or folder of an archive: its name with "/" between folders and at a folder's end, its content, which is
    read as it is consumed, and how many bytes of the archive have been read.
    """

    name: str
    is_folder: bool
    chunks: Iterator[bytes]
    position: int


def members(archive: Path, scratch: Path, limits: Limits, shown: str) -> Iterator[Member]:
    """The members of a zip or tar file in its order; ``shown`` is how messages name the archive. A member's content
    ends where the next one is asked for.

    Raises BadInput where it is no archive, is damaged, exceeds
    ``limits``, or holds an absolute path, a ``..``, a link or a device; DualGANError where ``scratch``'s disk is too
    small for what a zip file says it holds.
    """
    with _damage(shown):
        budget = Budget(limits, archive.stat().st_size, shown)
        with archive.open("rb") as file:
            start = file.read(512)
            file.seek(0)
            tar = _decompressed(file, start)
            # A plain tar file may hold a zip file at its end, and would pass for one.
            if tar is not file or start[257:262] == b"ustar":
                yield from _tar_members(tar, file, budget)
            elif zipfile.is_zipfile(file):
                yield from _zip_members(file, scratch, budget)
            elif start.startswith(b"PK\x03\x04"):
                raise BadInput(f"{shown}: a damaged archive (the end of the zip file is missing)")
            elif tarfile.is_tarfile(archive):
                file.seek(0)
                yield from _tar_members(file, file, budget)
            else:
                raise BadInput(f"{shown}: neither a zip nor a tar archive (it begins with {start[:16]!r})")


@contextmanager
def _damage(shown: str) -> Iterator[None]:
    try:
        yield
    except DAMAGED as error:
        raise BadInput(f"{shown}: a damaged archive ({error})") from None


def _decompressed(file: BinaryIO, start: bytes) -> BinaryIO:
    """``file`` itself where it is not compressed as a whole."""
    if start.startswith(b"\x1f\x8b"):
        return cast(BinaryIO, gzip.open(file))
    if start.startswith(b"BZh"):
        return cast(BinaryIO, bz2.open(file))
    if start.startswith(b"\xfd7zXZ\0"):
        return cast(BinaryIO, lzma.open(file))
    return file


def _zip_members(archive: BinaryIO, scratch: Path, budget: Budget) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as file:
        named = []
        for member in file.infolist():
            budget.add_file()
            name = _zip_name(member)
            kind = stat.S_IFMT(member.external_attr >> 16)
            _require_safe(name, kind in (0, stat.S_IFREG, stat.S_IFDIR), budget.shown)
            named.append((name, member))
        needed = sum(member.file_size for _, member in named)
        # What it says of itself, before anything is written; what it really holds is measured as well.
        budget.require(needed)
        _require_space(needed, scratch, budget.shown)
        position = 0
        for name, member in named:
            position += member.compress_size
            if name.endswith("/"):
                yield Member(_plain(name) + "/", True, iter(()), position)
                continue
            with file.open(member) as content:
                yield from _exhausted(Member(_plain(name), False, _chunks(content, budget), position))


def _zip_name(member: zipfile.ZipInfo) -> str:
    name = member.filename
    if not member.flag_bits & UTF8_FLAG and not name.isascii():
        name = _utf8_name(member) or name
    # Some programs for Windows separate folders by backslashes, against the format.
    return name.replace("\\", "/")


def _utf8_name(member: zipfile.ZipInfo) -> str | None:
    """The name of a member without the flag that it is UTF-8, where it is UTF-8 all the same or is given beside."""
    try:
        written = member.filename.encode("cp437")
        extra = member.extra
        while len(extra) >= 4:
            kind, length = int.from_bytes(extra[:2], "little"), int.from_bytes(extra[2:4], "little")
            crc = int.from_bytes(extra[5:9], "little")
            if kind == UNICODE_PATH and crc == zlib.crc32(written):
                return extra[9 : 4 + length].decode()
            extra = extra[4 + length :]
        return written.decode()
    except UnicodeError:
        return None


def _tar_members(stream: BinaryIO, archive: BinaryIO, budget: Budget) -> Iterator[Member]:
    guard = HeaderGuard(stream, budget.shown)
    guard.header_begins()
    with tarfile.open(fileobj=guard, mode="r|", bufsize=CHUNK) as file:
        while (member := file.next()) is not None:
            guard.header_ends()
            # It would remember every member.
            file.members.clear()  # type: ignore[attr-defined]
            budget.add_file()
            _require_safe(member.name, member.isreg() or member.isdir(), budget.shown)
            budget.require(member.size)
            position = archive.tell()
            if member.isdir():
                yield Member(_plain(member.name) + "/", True, iter(()), position)
            else:
                content = file.extractfile(member)
                assert content is not None
                yield from _exhausted(Member(_plain(member.name), False, _chunks(content, budget), position))
            guard.header_begins()


def _chunks(content: IO[bytes], budget: Budget) -> Iterator[bytes]:
    # Damage shows where a member is read, which is not where the next one is asked for.
    with _damage(budget.shown):
        length = CHUNK
        # A short chunk is the last one.
        while length == CHUNK and (chunk := content.read(CHUNK)):
            length = len(chunk)
            budget.add(length)
            yield chunk


def _exhausted(member: Member) -> Iterator[Member]:
    """``member``, and then the rest of it: damage shows only where everything has been read."""
    yield member
    for _ in member.chunks:
        pass


def _plain(name: str) -> str:
    """``name`` without what changes nothing: "." and empty folders."""
    if "//" not in name and "./" not in name and not name.endswith("/."):
        return name.strip("/")
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _require_safe(name: str, is_plain: bool, shown: str) -> None:
    if name.startswith("/") or (":" in name and PureWindowsPath(name).drive):
        raise BadInput(f"{shown}: refused, the archive holds an absolute path: {name!r}")
    if ".." in name and ".." in PurePosixPath(name).parts:
        raise BadInput(f"{shown}: refused, the archive holds a path that leaves its folder: {name!r}")
    if "\0" in name:
        raise BadInput(f"{shown}: refused, the archive holds a name that is none: {name!r}")
    if not is_plain:
        raise BadInput(f"{shown}: refused, the archive holds a link or a device: {name!r}")


def _require_space(needed: int, folder: Path, shown: str) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DualGANError(f"{shown}: unpacked it takes {needed} bytes, the disk of the destination has {free} left")
