import gzip
import io
import stat
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from components.dataset.fetch import fetch
from components.dataset.options import FetchOptions
from dualgan.dataset_folder import content_digest
from dualgan.errors import BadInput
from tests.components.dataset.made import add_to_zip, everything_below, make_dataset, noise, tar_with, tarred, zipped


def refused(archive: Path, folder: Path, options: FetchOptions | None = None) -> str:
    """The message of fetching ``archive``, after which ``folder`` holds what it held before."""
    before = everything_below(folder)
    with pytest.raises(BadInput) as error:
        fetch(str(archive), folder / "deep" / "data", options or FetchOptions())
    assert everything_below(folder) == before
    return str(error.value)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/tmp/evil.png", "an absolute path: '/tmp/evil.png'"),
        ("C:/evil.png", "an absolute path: 'C:/evil.png'"),
        ("../evil.png", "a path that leaves its folder: '../evil.png'"),
        ("source/../../evil.png", "a path that leaves its folder"),
        ("..\\evil.png", "a path that leaves its folder"),
        ("__MACOSX/../../evil.png", "a path that leaves its folder"),
    ],
)
def test_a_zip_that_writes_elsewhere_is_refused(dataset: Path, tmp_path: Path, name: str, reason: str) -> None:
    archive = add_to_zip(zipped(dataset, tmp_path / "a.zip"), name, b"evil")
    assert reason in refused(archive, tmp_path)


@pytest.mark.parametrize("mode", [stat.S_IFLNK | 0o777, stat.S_IFCHR | 0o666, stat.S_IFIFO | 0o666])
def test_a_zip_with_a_link_or_a_device_is_refused(dataset: Path, tmp_path: Path, mode: int) -> None:
    archive = add_to_zip(zipped(dataset, tmp_path / "a.zip"), "source/train/A/l.png", b"/etc/passwd", mode)
    assert "a link or a device: 'source/train/A/l.png'" in refused(archive, tmp_path)


@pytest.mark.parametrize("name", ["/tmp/evil.png", "../evil.png", "data/../../evil.png"])
def test_a_tar_that_writes_elsewhere_is_refused(dataset: Path, tmp_path: Path, name: str) -> None:
    archive = tar_with(tmp_path / "a.tar.gz", dataset, tarfile.TarInfo(name))
    assert f"'{name}'" in refused(archive, tmp_path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_a_tar_with_a_link_or_a_device_is_refused(dataset: Path, tmp_path: Path, kind: bytes) -> None:
    member = tarfile.TarInfo("data/train/A/l.png")
    member.type, member.linkname = kind, "0.png"
    archive = tar_with(tmp_path / "a.tar.gz", dataset, member)
    assert "a link or a device: 'data/train/A/l.png'" in refused(archive, tmp_path)


def test_what_macos_adds_to_a_zip_is_left_out(dataset: Path, tmp_path: Path) -> None:
    archive = zipped(dataset, tmp_path / "a.zip")
    add_to_zip(archive, "__MACOSX/train/A/._0.png", b"junk")
    add_to_zip(archive, "source/train/.DS_Store", b"junk")
    add_to_zip(archive, "source/train/A/._0.png", b"junk")
    assert fetch(str(archive), tmp_path / "data").digest == content_digest(dataset)


def test_backslashes_in_a_zip_separate_folders(dataset: Path, tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    for path in sorted(dataset.rglob("*.*")):
        add_to_zip(archive, str(path.relative_to(dataset)).replace("/", "\\"), path.read_bytes())
    assert fetch(str(archive), tmp_path / "data").digest == content_digest(dataset)


def test_a_file_that_is_no_archive_is_told_by_its_first_bytes(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    archive.write_text("<!DOCTYPE html><p>moved")
    assert "neither a zip nor a tar archive (it begins with b'<!DOCTYPE html>" in refused(archive, tmp_path)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_damaged_archive_is_refused(dataset: Path, tmp_path: Path, kind: str) -> None:
    (dataset / "train" / "A" / "noise.txt").write_bytes(bytes(range(256)) * 64)
    archive = (zipped if kind == "zip" else tarred)(dataset, tmp_path / f"a.{kind}")
    content = bytearray(archive.read_bytes())
    if kind == "zip":
        position = content.index(b"noise.txt") + len(b"noise.txt") + 20
        content[position : position + 40] = bytes(40)
    else:
        del content[len(content) // 2 :]
    archive.write_bytes(content)
    assert "a damaged archive" in refused(archive, tmp_path)


PACKED = pytest.mark.parametrize("pack", [zipped, tarred])
Pack = Callable[[Path, Path], Path]


@PACKED
def test_an_archive_of_too_many_files_is_refused(dataset: Path, tmp_path: Path, pack: Pack) -> None:
    archive = pack(dataset, tmp_path / "a")
    message = refused(archive, tmp_path, FetchOptions(max_files=7))
    assert message == f"{archive}: refused, the archive holds more than 7 files"


@PACKED
def test_an_archive_that_unpacks_to_too_much_is_refused(dataset: Path, tmp_path: Path, pack: Pack) -> None:
    (dataset / "noise.bin").write_bytes(noise(300_000))
    archive = pack(dataset, tmp_path / "a")
    assert "refused, the archive unpacks to more than 300000 bytes" in refused(archive, tmp_path, FetchOptions(max_size=300_000))


@PACKED
def test_a_bomb_is_refused_by_how_much_it_unpacks_to(dataset: Path, tmp_path: Path, pack: Pack) -> None:
    (dataset / "train" / "A" / "bomb.png").write_bytes(bytes(8 << 20))
    archive = pack(dataset, tmp_path / "a")
    assert "refused, the archive unpacks to more than 200 times its size" in refused(archive, tmp_path)


def test_a_zip_that_hides_how_much_it_holds_is_damaged(dataset: Path, tmp_path: Path) -> None:
    archive = add_to_zip(zipped(dataset, tmp_path / "a.zip"), "source/train/A/x.png", noise(5000))
    content = archive.read_bytes()
    archive.write_bytes(content.replace((5000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    assert "a damaged archive" in refused(archive, tmp_path)


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
    assert "refused, a header of the archive exceeds 65536 bytes" in refused(archive, tmp_path)
    assert time.process_time() - began < 1


def test_values_for_a_whole_tar_are_bounded(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    headers = (extended_header(tarfile.XGLTYPE, b"%d x%05d=1\n" % (11, number))[:1536] for number in range(200))
    archive.write_bytes(b"".join(headers) + bytes(1024))
    assert "refused, more than 100 values for the whole archive" in refused(archive, tmp_path)


def test_headers_count_as_what_an_archive_unpacks_to(dataset: Path, tmp_path: Path) -> None:
    header = extended_header(tarfile.XHDTYPE, b"60010 comment=" + b"x" * 59_995 + b"\n")[:-1024]
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(gzip.compress(header * 100))
    assert "refused, the archive unpacks to more than 200 times its size" in refused(archive, tmp_path)


@pytest.mark.parametrize("sparse", [b"major=1", b"map=1,x"])
def test_a_tar_with_a_sparse_file_is_refused(tmp_path: Path, sparse: bytes) -> None:
    archive = tmp_path / "a.tar"
    archive.write_bytes(extended_header(tarfile.XHDTYPE, b"%d GNU.sparse.%s\n" % (len(sparse) + 15, sparse)))
    assert "refused, the archive holds a sparse file" in refused(archive, tmp_path)


def test_a_plain_tar_that_ends_in_a_zip_is_a_tar(dataset: Path, tmp_path: Path) -> None:
    inner = zipped(dataset, tmp_path / "inner.zip")
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w") as file:
        file.add(dataset, arcname="faces")
        file.add(inner, arcname="z.zip")
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


def test_two_files_of_one_name_are_not_chosen_between(dataset: Path, tmp_path: Path) -> None:
    archive = add_to_zip(zipped(dataset, tmp_path / "a.zip"), "source/./train/A/0.png", b"other")
    message = refused(archive, tmp_path)
    assert "train/A/0.png (none of JPEG, PNG, BMP, WebP, TIFF)" in message or "another image of this name" in message


def test_a_name_that_is_not_utf_8_is_a_bad_file(dataset: Path, tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    image = (dataset / "train" / "A" / "0.png").read_bytes()
    member = tarfile.TarInfo("data/train/A/\udcff\n.png")
    member.size = len(image)
    with tarfile.open(archive, "w", format=tarfile.GNU_FORMAT) as file:
        file.add(dataset, arcname="data")
        file.addfile(member, io.BytesIO(image))
    assert r"train/A/\udcff\n.png (its name is not UTF-8)" in refused(archive, tmp_path)
