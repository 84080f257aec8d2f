"""Unpacking archives that come from anywhere."""

import gzip
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath

from dualgan.errors import BadInput, DualGANError

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


def unpack(archive: Path, folder: Path, shown: str) -> None:
    """Unpack a zip or tar file into ``folder``, an empty one; ``shown`` is how messages name the archive.

    macOS's own files (__MACOSX, .DS_Store) are left out. Raises BadInput where it is no archive, is damaged,
    or holds an absolute path, a ``..``, a link or a device, before anything is written; DualGANError where
    the disk is too small.
    """
    try:
        if zipfile.is_zipfile(archive):
            _unpack_zip(archive, folder, shown)
        elif tarfile.is_tarfile(archive):
            _unpack_tar(archive, folder, shown)
        else:
            with archive.open("rb") as file:
                start = file.read(16)
            raise BadInput(f"{shown}: neither a zip nor a tar archive (it begins with {start!r})")
    except DAMAGED as error:
        raise BadInput(f"{shown}: a damaged archive ({error})") from None


def _unpack_zip(archive: Path, folder: Path, shown: str) -> None:
    with zipfile.ZipFile(archive) as file:
        members = file.infolist()
        for member in members:
            # Some programs for Windows separate folders by backslashes, against the format.
            member.filename = member.filename.replace("\\", "/")
            kind = stat.S_IFMT(member.external_attr >> 16)
            _require_safe(member.filename, kind in (0, stat.S_IFREG, stat.S_IFDIR), shown)
        wanted = [member for member in members if not _is_junk(member.filename)]
        _require_space((member.file_size for member in wanted), folder, shown)
        for member in wanted:
            file.extract(member, folder)


def _unpack_tar(archive: Path, folder: Path, shown: str) -> None:
    with tarfile.open(archive) as file:
        members = file.getmembers()
        for member in members:
            _require_safe(member.name, member.isreg() or member.isdir(), shown)
        wanted = [member for member in members if not _is_junk(member.name)]
        _require_space((member.size for member in wanted), folder, shown)
        file.extractall(folder, members=wanted, filter="data")


def _require_safe(name: str, is_plain: bool, shown: str) -> None:
    if PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive:
        raise BadInput(f"{shown}: refused, the archive holds an absolute path: {name!r}")
    if ".." in PurePosixPath(name).parts:
        raise BadInput(f"{shown}: refused, the archive holds a path that leaves its folder: {name!r}")
    if not is_plain:
        raise BadInput(f"{shown}: refused, the archive holds a link or a device: {name!r}")


def _is_junk(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return "__MACOSX" in parts or any(part == ".DS_Store" or part.startswith("._") for part in parts[-1:])


def _require_space(sizes: Iterable[int], folder: Path, shown: str) -> None:
    needed, free = sum(sizes), shutil.disk_usage(folder).free
    if needed > free:
        raise DualGANError(f"{shown}: unpacked it takes {needed} bytes, the disk of the destination has {free} left")
