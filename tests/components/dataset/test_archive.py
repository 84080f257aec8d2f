import stat
import tarfile
from pathlib import Path

import pytest

from components.dataset.fetch import fetch
from dualgan.dataset_folder import content_digest
from dualgan.errors import BadInput
from tests.components.dataset.made import add_to_zip, everything_below, tar_with, tarred, zipped


def refused(archive: Path, folder: Path) -> str:
    """The message of fetching ``archive``, after which ``folder`` holds what it held before."""
    before = everything_below(folder)
    with pytest.raises(BadInput) as error:
        fetch(str(archive), folder / "deep" / "data")
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
