"""Checksums that are known, recorded or given, names that are not to be believed, and images that cannot be used."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from components.dataset.checksums import verify
from components.dataset.fetch import fetch
from components.dataset.images import BATCH
from components.dataset.options import FetchOptions
from components.dataset.sources import parse_source
from dualgan.dataset_folder import content_digest
from dualgan.errors import BadInput, DualGANError
from dualgan.pictures import MAX_PIXELS
from tests.components.dataset.http_server import FaultyServer
from tests.components.dataset.made import everything_below, make_image, make_noisy_image, zipped

WRONG = "00" * 32


@pytest.mark.parametrize("form", ["archive", "download", "folder"])
def test_a_source_must_have_the_checksum_that_is_given(
    faulty: FaultyServer, dataset: Path, tmp_path: Path, form: str
) -> None:
    archive = zipped(dataset, tmp_path / "a.zip")
    source = {"archive": str(archive), "download": faulty.url, "folder": str(dataset)}[form]
    content = {"archive": archive.read_bytes(), "download": faulty.content}.get(form)
    right = hashlib.sha256(content).hexdigest() if content else None
    said = f"has SHA-256 {right}" if right else f"has the digest {content_digest(dataset)}"
    with pytest.raises(DualGANError) as error:
        fetch(source, tmp_path / "out" / "data", FetchOptions(sha256=WRONG))
    assert f"{said}, but --sha256 says {WRONG}" in str(error.value)
    assert error.value.exit_code == 1
    assert not (tmp_path / "out").exists()
    options = FetchOptions(sha256=(right or content_digest(dataset)).upper())
    description = fetch(source, tmp_path / "out" / "data", options)
    assert description.digest == content_digest(dataset)
    assert json.loads((tmp_path / "out" / "data" / "dataset.json").read_text()).get("archive_sha256") == right
    assert fetch(source, tmp_path / "out" / "data", options) == description
    with pytest.raises(BadInput, match=f"but --sha256 says {WRONG}"):
        fetch(source, tmp_path / "out" / "data", FetchOptions(sha256=WRONG))
    for text in ("abc", "x" * 64, "0" * 63):
        with pytest.raises(BadInput, match=r"not a SHA-256, which has 64 hexadecimal digits"):
            fetch(source, tmp_path / "data", FetchOptions(sha256=text))


def test_the_checksum_of_the_first_use_is_recorded_and_another_one_is_an_error_later(
    faulty: FaultyServer, tmp_path: Path
) -> None:
    lock = tmp_path / "datasets.lock"
    options = FetchOptions(lock=lock)
    whole, faulty.content = faulty.content, b"PK, but no archive"
    with pytest.raises(BadInput):
        fetch(faulty.url, tmp_path / "data", options)
    assert not lock.exists()
    faulty.content = whole
    fetch(faulty.url, tmp_path / "first", options)
    written = lock.read_text()
    assert json.loads(written) == {faulty.url: {"sha256": hashlib.sha256(whole).hexdigest()}}
    fetch(faulty.url, tmp_path / "second", options)
    faulty.content = zipped(tmp_path / "first", tmp_path / "other.zip").read_bytes()
    with pytest.raises(DualGANError, match=r"datasets.lock, where its first use is recorded, says") as error:
        fetch(faulty.url, tmp_path / "third", options)
    assert error.value.exit_code == 1
    assert not (tmp_path / "third").exists()
    # One that is given goes before it.
    given = hashlib.sha256(faulty.content).hexdigest()
    fetch(faulty.url, tmp_path / "third", FetchOptions(lock=lock, sha256=given))
    assert lock.read_text() == written


def test_local_and_drawn_datasets_are_not_recorded(dataset: Path, tmp_path: Path) -> None:
    options = FetchOptions(lock=tmp_path / "datasets.lock")
    for source in (str(dataset), str(zipped(dataset, tmp_path / "a.zip")), "synthetic://?n=1&size=32"):
        fetch(source, tmp_path / hashlib.sha256(source.encode()).hexdigest(), options)
    assert not (tmp_path / "datasets.lock").exists()


def test_a_file_of_checksums_that_is_none_is_named_and_one_that_cannot_be_written_does_not_matter(
    faulty: FaultyServer, tmp_path: Path
) -> None:
    lock = tmp_path / "datasets.lock"
    lock.write_text("<<<<<<< HEAD")
    with pytest.raises(BadInput, match=r"datasets\.lock: not a file of checksums"):
        fetch(faulty.url, tmp_path / "data", FetchOptions(lock=lock))
    lock.unlink()
    os.mkfifo(lock)
    with pytest.raises(BadInput, match=r"datasets\.lock: not a regular file"):
        fetch(faulty.url, tmp_path / "data", FetchOptions(lock=lock))
    fetch(faulty.url, tmp_path / "data", FetchOptions(lock=Path("/proc/datasets.lock")))


def test_a_source_with_a_dataset_json_must_hold_what_it_describes(dataset: Path, tmp_path: Path) -> None:
    first = fetch(str(dataset), tmp_path / "faces")
    archive = zipped(tmp_path / "faces", tmp_path / "a.zip")
    for source in (tmp_path / "faces", archive):
        again = fetch(str(source), tmp_path / f"from {source.suffix}")
        assert (again.name, again.digest) == (first.name, first.digest)
    few = FetchOptions(quarantine=True, max_pixels=96)
    Image.new("RGB", (12, 9)).save(dataset / "val" / "A" / "0.png")
    fetch(str(dataset), tmp_path / "larger")
    assert fetch(str(tmp_path / "larger"), tmp_path / "fewer", few).counts["val/A"] == 1
    shutil.copy(dataset / "train" / "A" / "0.png", tmp_path / "larger" / "train" / "A" / "more.png")
    before = everything_below(tmp_path)
    for options in (FetchOptions(), few):
        with pytest.raises(BadInput, match="not those that its dataset"):
            fetch(str(tmp_path / "larger"), tmp_path / "third", options)
    assert everything_below(tmp_path) == before


@pytest.mark.parametrize(
    "name", ["Sketch-Photo", "ｆａｃａｄｅｓ", "synthetic", "", "x" * 101, "<script>", "猫狗", "Zürich 2"]
)
def test_a_name_that_is_none_or_another_dataset_s_is_not_taken_from_dataset_json(
    dataset: Path, tmp_path: Path, name: str
) -> None:
    taken = name if name in ("猫狗", "Zürich 2") else "mine"
    fetch(str(dataset), tmp_path / "faces")
    description = json.loads((tmp_path / "faces" / "dataset.json").read_text())
    (tmp_path / "faces" / "dataset.json").write_text(json.dumps(description | {"name": name}))
    assert fetch(str(zipped(tmp_path / "faces", tmp_path / "mine.zip")), tmp_path / "data").name == taken


@pytest.mark.parametrize("file", ["sketch-photo.zip", "Facades.zip", "synthetic.zip"])
def test_an_archive_s_file_does_not_take_the_name_of_another_dataset(dataset: Path, tmp_path: Path, file: str) -> None:
    archive = zipped(dataset, tmp_path / file)
    for address in (str(archive), f"http://host/{file}", f"s3://bucket/{file}"):
        assert parse_source(address).name == f"{archive.stem}-copy"
    assert parse_source("sketch-photo").name == "sketch-photo"


@pytest.fixture
def spoilt(dataset: Path) -> Path:
    """``dataset`` with one image more of each kind that cannot be used."""
    place = dataset / "train" / "A"
    with Image.open(make_noisy_image(place / "noisy.png", 1)) as image:
        image.save(place / "cut.jpg")
    photo = (place / "cut.jpg").read_bytes()
    (place / "cut.jpg").write_bytes(photo[: len(photo) // 2])
    (place / "empty.png").write_bytes(b"")
    (place / "page.jpg").write_text("<html>not found</html>")
    Image.new("RGB", (8, 7)).save(place / "tiny.png")
    Image.new("1", (20_000, 5_000)).save(place / "bomb.png")
    return dataset


REASONS = {
    "cut.jpg": "image file is truncated",
    "empty.png": "empty file",
    "page.jpg": "none of JPEG, PNG, BMP, WebP, TIFF",
    "tiny.png": "8x7 pixels, too small: less than 8 a side",
    "bomb.png": "20000x5000 pixels, more than 89478485: a decompression bomb",
}


@pytest.mark.parametrize("as_archive", [False, True])
def test_images_that_cannot_be_used_fail_the_fetch_by_name_or_are_set_aside_with_quarantine(
    spoilt: Path, tmp_path: Path, as_archive: bool
) -> None:
    source = zipped(spoilt, tmp_path / "a.zip") if as_archive else spoilt
    with pytest.raises(BadInput) as error:
        fetch(str(source), tmp_path / "out" / "data")
    assert "5 of 14 images cannot be used" in str(error.value)
    for name, reason in REASONS.items():
        assert f"train/A/{name} ({reason}" in str(error.value)
    assert not (tmp_path / "out").exists()
    description = fetch(str(source), tmp_path / "data", FetchOptions(quarantine=True))
    aside = tmp_path / "data" / "quarantine"
    reasons = {entry["file"]: entry["reason"] for entry in json.loads((aside / "reasons.json").read_text())}
    assert set(reasons) == {f"train/A/{name}" for name in REASONS}
    for name, reason in REASONS.items():
        assert reason in reasons[f"train/A/{name}"]
        assert (aside / "train" / "A" / name).read_bytes() == (spoilt / "train" / "A" / name).read_bytes()
        (spoilt / "train" / "A" / name).unlink()
    assert description.digest == content_digest(spoilt)
    assert verify(tmp_path / "data", FetchOptions()) == description


def test_a_domain_without_a_usable_image_fails_even_with_quarantine(dataset: Path, tmp_path: Path) -> None:
    for image in (dataset / "train" / "B").iterdir():
        image.write_bytes(b"")
    with pytest.raises(BadInput, match="no usable image in train/B"):
        fetch(str(dataset), tmp_path / "out" / "data", FetchOptions(quarantine=True))
    assert not (tmp_path / "out").exists()


def test_many_images_are_checked_like_few(dataset: Path, tmp_path: Path) -> None:
    for number in range(2, 200):
        make_image(dataset / "train" / "A" / f"{number:03}.png", number).write_bytes(b"")
    with pytest.raises(
        BadInput, match=r"198 of 206 images .*: train/A/002.png \(empty file\), .* and 188 more; repair"
    ):
        fetch(str(dataset), tmp_path / "out" / "data")


def test_verify_opens_every_image_within_limits_and_compares_the_digest(dataset: Path, tmp_path: Path) -> None:
    assert FetchOptions().max_pixels == MAX_PIXELS
    description = fetch(str(dataset), tmp_path / "data")
    assert verify(tmp_path / "data", FetchOptions()) == description
    for options, reason in (
        (FetchOptions(min_side=50), "too small: less than 50 a side"),
        (FetchOptions(max_pixels=95), "more than 95: a decompression bomb"),
    ):
        with pytest.raises(DualGANError, match=rf"8 of 8 images cannot be used: train/A/0.png \(12x8 pixels, {reason}"):
            verify(tmp_path / "data", options)
    make_image(tmp_path / "data" / "train" / "A" / "0.png", 77)
    with pytest.raises(DualGANError, match="its images have changed") as error:
        verify(tmp_path / "data", FetchOptions())
    assert error.value.exit_code == 1
    with pytest.raises(BadInput, match="not a dataset folder"):
        verify(tmp_path / "nothing", FetchOptions())


CRASH = """
import ctypes, sys
from components.dataset import images
from components.dataset.options import FetchOptions

check = images.check_picture

def check_or_crash(path, limit):
    if path.endswith("/70.png"):
        ctypes.string_at(0)
    return check(path, limit)

images.check_picture = check_or_crash
if __name__ == "__main__":
    found = images.check_images(sys.argv[1:], FetchOptions())
    assert list(found) == sys.argv[1:]
    print(*[f"{path} {checked.problem}" for path, checked in found.items() if checked.problem], sep="\\n")
"""


def test_a_decoder_that_crashes_takes_no_other_image_with_it(tmp_path: Path) -> None:
    paths = [str(make_image(tmp_path / f"{number}.png", number)) for number in range(3 * BATCH)]
    Path(paths[130]).write_bytes(b"")
    # A file, for the processes that check import the program that started them.
    program = tmp_path / "crash.py"
    program.write_text(CRASH)
    done = subprocess.run(
        [sys.executable, str(program), *paths], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == f"{paths[70]} decoding it ended the decoder\n{paths[130]} empty file\n"
