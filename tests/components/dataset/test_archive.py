"""Archives that come from anywhere."""

import gzip
import io
import stat
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from components.dataset.archive import members
from components.dataset.fetch import fetch
from components.dataset.options import FetchOptions
from dualgan.dataset_folder import content_digest
from dualgan.errors import BadInput, DualGANError
from tests.components.dataset.made import add_to_zip, everything_below, make_dataset, noise, tarred, zipped

PACKED = pytest.mark.parametrize("pack", [zipped, tarred])
Pack = Callable[[Path, Path], Path]


def refused(archive: Path, folder: Path, options: FetchOptions | None = None) -> str:
    """The message of fetching ``archive``, after which ``folder`` holds what it held before."""
    before = everything_below(folder)
    with pytest.raises(BadInput) as error:
        fetch(str(archive), folder / "deep" / "data", options)
    assert everything_below(folder) == before
    return str(error.value)


def tar_with(folder: Path, archive: Path, member: tarfile.TarInfo, content: bytes = b"") -> Path:
    """A tar file of ``folder`` and one more ``member``."""
    member.size = len(content)
    with tarfile.open(archive, "w", format=tarfile.GNU_FORMAT) as file:
        file.add(folder, arcname="data")
        file.addfile(member, io.BytesIO(content))
    return archive


@pytest.mark.parametrize("form", ["zip", "tar"])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/tmp/evil.png", "an absolute path"),
        ("C:/evil.png", "an absolute path"),
        ("../evil.png", "a path that leaves its folder"),
        ("source/../../evil.png", "a path that leaves its folder"),
        ("__MACOSX/../../evil.png", "a path that leaves its folder"),
    ],
)
def test_what_writes_elsewhere_is_refused(dataset: Path, tmp_path: Path, name: str, reason: str, form: str) -> None:
    if form == "zip":
        archive = add_to_zip(zipped(dataset, tmp_path / "a.zip"), name, b"evil")
    else:
        archive = tar_with(dataset, tmp_path / "a.tar", tarfile.TarInfo(name))
    assert refused(archive, tmp_path) == f"{archive}: refused, the archive holds {reason}: '{name}'"


@pytest.mark.parametrize("mode", [stat.S_IFLNK | 0o777, stat.S_IFCHR | 0o666, stat.S_IFIFO | 0o666])
def test_a_zip_with_a_link_or_a_device_is_refused(dataset: Path, tmp_path: Path, mode: int) -> None:
    archive = add_to_zip(zipped(dataset, tmp_path / "a.zip"), "source/train/A/l.png", b"/etc/passwd", mode)
    assert "a link or a device: 'source/train/A/l.png'" in refused(archive, tmp_path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_a_tar_with_a_link_or_a_device_is_refused(dataset: Path, tmp_path: Path, kind: bytes) -> None:
    member = tarfile.TarInfo("data/train/A/l.png")
    member.type, member.linkname = kind, "0.png"
    archive = tar_with(dataset, tmp_path / "a.tar", member)
    assert "a link or a device: 'data/train/A/l.png'" in refused(archive, tmp_path)


def test_macos_s_files_are_left_out_and_backslashes_separate_folders(dataset: Path, tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    for path in sorted(dataset.rglob("*.*")):
        add_to_zip(archive, str(path.relative_to(dataset)).replace("/", "\\"), path.read_bytes())
    for name in ("__MACOSX/train/A/._0.png", "train/.DS_Store", "train\\A\\._0.png"):
        add_to_zip(archive, name, b"junk")
    assert fetch(str(archive), tmp_path / "data").digest == content_digest(dataset)
    add_to_zip(archive, "..\\evil.png", b"evil")
    assert "a path that leaves its folder" in refused(archive, tmp_path)


@pytest.mark.parametrize("kind", ["html", "zip", "tar.gz", "cut zip", "hidden size"])
def test_what_is_damaged_or_no_archive_is_refused(dataset: Path, tmp_path: Path, kind: str) -> None:
    (dataset / "train" / "A" / "noise.txt").write_bytes(bytes(range(256)) * 64)
    archive = (tarred if kind == "tar.gz" else zipped)(dataset, tmp_path / "a")
    add_to_zip(archive, "source/train/A/x.png", noise(5000)) if kind == "hidden size" else None
    content = bytearray(archive.read_bytes())
    if kind == "zip":
        position = content.index(b"noise.txt") + len(b"noise.txt") + 20
        content[position : position + 40] = bytes(40)
    elif kind == "hidden size":
        content = content.replace((5000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    elif kind == "html":
        content = bytearray(b"<!DOCTYPE html><p>moved")
    else:
        del content[len(content) // 2 :]
    archive.write_bytes(content)
    neither = "neither a zip nor a tar archive (it begins with b'<!DOCTYPE html>"
    assert (neither if kind == "html" else "a damaged archive") in refused(archive, tmp_path)


@PACKED
@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ({"max_files": 7}, "holds more than 7 files"),
        ({"max_size": 300_000}, "unpacks to more than 300000 bytes"),
        ({}, "unpacks to more than 200 times its size"),
    ],
)
def test_an_archive_beyond_a_limit_is_refused(
    dataset: Path, tmp_path: Path, pack: Pack, limit: dict[str, int], reason: str
) -> None:
    content = noise(300_000) if limit else bytes(200 << 20)
    (dataset / "train" / "A" / "large.png").write_bytes(content[: 300_000 if limit else 8 << 20])
    archive = pack(dataset, tmp_path / "a")
    options = FetchOptions(**limit)  # type: ignore[arg-type]
    assert refused(archive, tmp_path, options) == f"{archive}: refused, the archive {reason}"


@pytest.mark.parametrize(
    ("last", "size", "options", "reason"),
    [
        ("../evil.png", 4, {}, "a path that leaves its folder"),
        ("a.png", 4, {"max_files": 12}, "more than 12 files"),
        ("a.png", 4, {"max_size": 1000}, "more than 1000 bytes"),
        ("a.png", 1 << 60, {"max_size": 1 << 61, "max_ratio": 1e30}, "the disk of the destination has"),
    ],
)
def test_the_last_of_a_zip_is_checked_before_the_first_is_unpacked(
    dataset: Path, tmp_path: Path, last: str, size: int, options: dict[str, int], reason: str
) -> None:
    archive = zipped(dataset, tmp_path / "a.zip")
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(last, b"evil")
        file.filelist[-1].file_size = size
    with pytest.raises(DualGANError, match=reason):
        next(members(archive, tmp_path, FetchOptions(**options), "a.zip"))  # type: ignore[arg-type]


def extended_header(kind: bytes, content: bytes) -> bytes:
    """A header that describes the next one, and the header of a file."""
    header = tarfile.TarInfo("header")
    header.type, header.size = kind, len(content)
    padding = bytes(-len(content) % tarfile.BLOCKSIZE)
    return header.tobuf() + content + padding + tarfile.TarInfo("data/train/A/0.png").tobuf() + bytes(1024)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME])
@pytest.mark.parametrize("content", [b"20 comment=" + b"x" * (64 << 10), b"1" * 60_000], ids=["long", "digits"])
def test_a_tar_with_a_header_that_never_ends_is_refused_at_once(tmp_path: Path, kind: bytes, content: bytes) -> None:
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(gzip.compress(extended_header(kind, content)))
    began = time.process_time()
    assert "refused, the archive has a header of more than 65536 bytes, or with a number" in refused(archive, tmp_path)
    assert time.process_time() - began < 1


LONG_HEADER = extended_header(tarfile.XHDTYPE, b"60010 comment=" + b"x" * 59_995 + b"\n")[:-1024]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            b"".join(extended_header(tarfile.XGLTYPE, b"%d x%05d=1\n" % (11, number))[:1536] for number in range(200)),
            "has more than 100 values for all its files",
        ),
        (gzip.compress(LONG_HEADER * 100), "unpacks to more than 200 times its size"),
        (extended_header(tarfile.XHDTYPE, b"22 GNU.sparse.major=1\n"), "holds a sparse file"),
        (extended_header(tarfile.XHDTYPE, b"22 GNU.sparse.map=1,x\n"), "holds a sparse file"),
    ],
    ids=["values", "headers", "sparse", "map"],
)
def test_headers_of_a_tar_are_bounded_and_sparse_files_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    archive = tmp_path / "a.tar"
    archive.write_bytes(content + bytes(1024))
    assert f"refused, the archive {reason}" in refused(archive, tmp_path)


def test_a_plain_tar_that_ends_in_a_zip_is_a_tar(dataset: Path, tmp_path: Path) -> None:
    inner = zipped(dataset, tmp_path / "inner.zip").read_bytes()
    archive = tar_with(dataset, tmp_path / "a.tar", tarfile.TarInfo("z.zip"), inner)
    assert fetch(str(archive), tmp_path / "data").digest == content_digest(dataset)


def test_names_of_a_zip_are_utf_8_whether_it_says_so_or_not(tmp_path: Path) -> None:
    source = make_dataset(tmp_path / "source", names=("Zürich 東京.png",))
    archive = zipped(source, tmp_path / "a.zip")
    content = bytearray(archive.read_bytes())
    for start, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        position = content.find(start)
        while position >= 0:
            content[position + flags + 1] &= ~0x08
            position = content.find(start, position + 1)
    archive.write_bytes(content)
    assert fetch(str(archive), tmp_path / "data").digest == content_digest(source)


@pytest.mark.parametrize(("described", "shown"), [(b"\x82\x82.png", "東京.png"), (b"other.png", "éé.png")])
def test_a_zip_may_give_a_name_as_utf_8_beside_another_which_must_be_the_one_it_was_given_for(
    tmp_path: Path, described: bytes, shown: str
) -> None:
    source = make_dataset(tmp_path / "source", names=(shown,))
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in source.rglob("*.png"):
            folder = f"{path.parent.relative_to(source)}/"
            value = struct.pack("<BL", 1, zlib.crc32(folder.encode() + described)) + f"{folder}東京.png".encode()
            member = zipfile.ZipInfo(f"{folder}XX.png")
            member.extra = struct.pack("<HHHH", 1, 0, 0x7075, len(value)) + value
            file.writestr(member, path.read_bytes())
    # zipfile would write them as UTF-8, and say so.
    archive.write_bytes(archive.read_bytes().replace(b"XX.png", b"\x82\x82.png"))
    assert fetch(str(archive), tmp_path / "data").digest == content_digest(source)


def test_two_files_of_one_name_are_not_chosen_between(dataset: Path, tmp_path: Path) -> None:
    image = (dataset / "train" / "B" / "0.png").read_bytes()
    archive = add_to_zip(zipped(dataset, tmp_path / "a.zip"), "source/./train/A/0.png", image)
    assert "train/A/0.png (there is another image of this name)" in refused(archive, tmp_path)


def test_a_name_that_is_not_utf_8_is_a_bad_file(dataset: Path, tmp_path: Path) -> None:
    image = (dataset / "train" / "A" / "0.png").read_bytes()
    archive = tar_with(dataset, tmp_path / "a.tar", tarfile.TarInfo("data/train/A/\udcff\n.png"), image)
    assert r"train/A/\udcff\n.png (its name is not UTF-8)" in refused(archive, tmp_path)
