"""Checksums that are known, recorded or given, and images that cannot be used."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from components.dataset.fetch import fetch
from components.dataset.images import BATCH, verify
from components.dataset.options import FetchOptions
from components.dataset.sources import parse_source
from dualgan.dataset_folder import content_digest
from dualgan.errors import BadInput, DualGANError
from dualgan.pictures import MAX_PIXELS
from tests.components.dataset.http_server import FaultyServer
from tests.components.dataset.made import everything_below, make_image, make_noisy_image, zipped

WRONG = "00" * 32


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("form", ["archive", "download", "folder"])
def test_a_source_must_have_the_checksum_that_is_given(
    faulty: FaultyServer, dataset: Path, tmp_path: Path, form: str
) -> None:
    archive = zipped(dataset, tmp_path / "a.zip")
    source = {"archive": str(archive), "download": faulty.url, "folder": str(dataset)}[form]
    right = {"archive": sha256_of(archive), "download": hashlib.sha256(faulty.content).hexdigest()}.get(form)
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
    assert content_digest(tmp_path / "out" / "data") == content_digest(dataset)


@pytest.mark.parametrize("text", ["abc", "x" * 64, "0" * 63])
def test_what_is_no_checksum_is_bad_input(dataset: Path, tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInput, match=r"not a SHA-256, which has 64 hexadecimal digits"):
        fetch(str(dataset), tmp_path / "data", FetchOptions(sha256=text))


def test_the_checksum_of_the_first_use_is_recorded_and_another_one_is_an_error_later(
    faulty: FaultyServer, tmp_path: Path
) -> None:
    lock = tmp_path / "datasets.lock"
    options = FetchOptions(lock=lock)
    fetch(faulty.url, tmp_path / "first", options)
    written = lock.read_text()
    assert json.loads(written) == {faulty.url: {"sha256": hashlib.sha256(faulty.content).hexdigest()}}
    fetch(faulty.url, tmp_path / "second", options)
    faulty.content = zipped(tmp_path / "first", tmp_path / "other.zip").read_bytes()
    with pytest.raises(DualGANError) as error:
        fetch(faulty.url, tmp_path / "third", options)
    assert f"{lock}, where its first use is recorded, says" in str(error.value)
    assert error.value.exit_code == 1
    assert not (tmp_path / "third").exists()
    assert lock.read_text() == written


def test_a_fetch_that_fails_records_nothing(faulty: FaultyServer, tmp_path: Path) -> None:
    faulty.content = b"PK, but no archive"
    with pytest.raises(BadInput):
        fetch(faulty.url, tmp_path / "data", FetchOptions(lock=tmp_path / "datasets.lock"))
    assert not (tmp_path / "datasets.lock").exists()


def test_a_checksum_that_is_given_goes_before_the_recorded_one(faulty: FaultyServer, tmp_path: Path) -> None:
    lock = tmp_path / "datasets.lock"
    lock.write_text(json.dumps({faulty.url: {"sha256": WRONG}}))
    given = hashlib.sha256(faulty.content).hexdigest()
    fetch(faulty.url, tmp_path / "data", FetchOptions(lock=lock, sha256=given))
    assert json.loads(lock.read_text()) == {faulty.url: {"sha256": WRONG}}


def test_local_and_drawn_datasets_are_not_recorded(dataset: Path, tmp_path: Path) -> None:
    options = FetchOptions(lock=tmp_path / "datasets.lock")
    fetch(str(dataset), tmp_path / "folder", options)
    fetch(str(zipped(dataset, tmp_path / "a.zip")), tmp_path / "archive", options)
    fetch("synthetic://?n=1&size=32", tmp_path / "drawn", options)
    assert not (tmp_path / "datasets.lock").exists()


def test_a_file_of_checksums_that_is_none_is_named(faulty: FaultyServer, tmp_path: Path) -> None:
    lock = tmp_path / "datasets.lock"
    lock.write_text("<<<<<<< HEAD")
    with pytest.raises(BadInput, match=r"datasets\.lock: not a file of checksums"):
        fetch(faulty.url, tmp_path / "data", FetchOptions(lock=lock))
    lock.unlink()
    os.mkfifo(lock)
    with pytest.raises(BadInput, match=r"datasets\.lock: not a regular file"):
        fetch(faulty.url, tmp_path / "data", FetchOptions(lock=lock))


def test_where_no_checksum_can_be_recorded_the_fetch_goes_on(faulty: FaultyServer, tmp_path: Path) -> None:
    fetch(faulty.url, tmp_path / "data", FetchOptions(lock=Path("/proc/datasets.lock")))


@pytest.fixture
def spoilt(dataset: Path) -> Path:
    """``dataset`` with one image more of each kind that cannot be used."""
    place = dataset / "train" / "A"
    whole = make_noisy_image(place / "noisy.png", 1).read_bytes()
    (place / "cut.png").write_bytes(whole[: len(whole) // 2])
    with Image.open(place / "noisy.png") as image:
        image.save(place / "noisy.jpg")
    photo = (place / "noisy.jpg").read_bytes()
    (place / "cut.jpg").write_bytes(photo[: len(photo) // 2])
    (place / "endless.jpg").write_bytes(photo[:-2])
    (place / "empty.png").write_bytes(b"")
    (place / "page.jpg").write_text("<html>not found</html>")
    Image.new("RGB", (8, 7)).save(place / "tiny.png")
    Image.new("1", (20_000, 5_000)).save(place / "bomb.png")
    return dataset


REASONS = {
    "cut.png": "",
    "cut.jpg": "image file is truncated",
    "endless.jpg": "image file is truncated",
    "empty.png": "empty file",
    "page.jpg": "none of JPEG, PNG, BMP, WebP, TIFF",
    "tiny.png": "8x7 pixels, too small: less than 8 a side",
    "bomb.png": "20000x5000 pixels, more than 89478485: a decompression bomb",
}


def test_images_that_cannot_be_used_fail_the_fetch_each_by_name_with_the_reason(spoilt: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as error:
        fetch(str(spoilt), tmp_path / "out" / "data")
    message = str(error.value)
    assert "7 of 17 images cannot be used" in message
    for name, reason in REASONS.items():
        assert f"train/A/{name} ({reason}" in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("as_archive", [False, True])
def test_they_are_set_aside_with_quarantine(spoilt: Path, tmp_path: Path, as_archive: bool) -> None:
    source = zipped(spoilt, tmp_path / "a.zip") if as_archive else spoilt
    description = fetch(str(source), tmp_path / "data", FetchOptions(quarantine=True))
    aside = tmp_path / "data" / "quarantine"
    reasons = {entry["file"]: entry["reason"] for entry in json.loads((aside / "reasons.json").read_text())}
    assert set(reasons) == {f"train/A/{name}" for name in REASONS}
    for name, reason in REASONS.items():
        assert reason in reasons[f"train/A/{name}"]
        assert (aside / "train" / "A" / name).read_bytes() == (spoilt / "train" / "A" / name).read_bytes()
        (spoilt / "train" / "A" / name).unlink()
    assert description.digest == content_digest(spoilt)
    assert description.counts["train/A"] == 4
    assert verify(tmp_path / "data", FetchOptions()) == description


def test_a_domain_without_a_usable_image_fails_even_with_quarantine(dataset: Path, tmp_path: Path) -> None:
    for image in (dataset / "train" / "B").iterdir():
        image.write_bytes(b"")
    with pytest.raises(BadInput, match="no usable image in train/B"):
        fetch(str(dataset), tmp_path / "out" / "data", FetchOptions(quarantine=True))
    assert not (tmp_path / "out").exists()


def test_limits_of_images_are_options(dataset: Path, tmp_path: Path) -> None:
    assert FetchOptions().pixels == MAX_PIXELS
    with pytest.raises(BadInput, match=r"12x8 pixels, too small: less than 9 a side"):
        fetch(str(dataset), tmp_path / "data", FetchOptions(min_side=9))
    with pytest.raises(BadInput, match=r"12x8 pixels, more than 95: a decompression bomb"):
        fetch(str(dataset), tmp_path / "data", FetchOptions(max_pixels=95))


def test_many_images_are_checked_like_few(dataset: Path, tmp_path: Path) -> None:
    for number in range(2, 200):
        make_image(dataset / "train" / "A" / f"{number}.png", number)
    (dataset / "train" / "A" / "77.png").write_bytes(b"")
    with pytest.raises(BadInput, match=r"1 of 206 images cannot be used: train/A/77.png \(empty file\)"):
        fetch(str(dataset), tmp_path / "out" / "data")
    (dataset / "train" / "A" / "77.png").unlink()
    assert fetch(str(dataset), tmp_path / "out" / "data").digest == content_digest(dataset)


def test_verify_opens_every_image_and_compares_the_digest(dataset: Path, tmp_path: Path) -> None:
    description = fetch(str(dataset), tmp_path / "data")
    assert verify(tmp_path / "data", FetchOptions()) == description
    with pytest.raises(DualGANError, match=r"8 of 8 images cannot be used: train/A/0.png \(12x8 pixels, too small"):
        verify(tmp_path / "data", FetchOptions(min_side=50))
    make_image(tmp_path / "data" / "train" / "A" / "0.png", 77)
    with pytest.raises(DualGANError, match="its images have changed") as error:
        verify(tmp_path / "data", FetchOptions())
    assert error.value.exit_code == 1
    with pytest.raises(BadInput, match="not a dataset folder"):
        verify(tmp_path / "nothing", FetchOptions())


def test_a_source_with_a_dataset_json_must_hold_what_it_describes(dataset: Path, tmp_path: Path) -> None:
    first = fetch(str(dataset), tmp_path / "faces")
    again = fetch(str(tmp_path / "faces"), tmp_path / "again")
    assert (again.name, again.digest) == (first.name, first.digest)
    archive = zipped(tmp_path / "faces", tmp_path / "a.zip")
    assert fetch(str(archive), tmp_path / "unpacked").name == first.name
    shutil.copy(dataset / "train" / "A" / "0.png", tmp_path / "faces" / "train" / "A" / "more.png")
    before = everything_below(tmp_path)
    with pytest.raises(BadInput, match="not those that its dataset"):
        fetch(str(tmp_path / "faces"), tmp_path / "third")
    assert everything_below(tmp_path) == before


OTHERS_OR_NONE = (
    "sketch-photo",
    "Sketch-Photo",
    "ｆａｃａｄｅｓ",
    "synthetic",
    "",
    "x" * 101,
    "<script>",
    "two\nlines",
    "it's",
    "-rf",
    "\u202eecaf",
)


@pytest.mark.parametrize(
    ("name", "taken"),
    [(name, "mine") for name in OTHERS_OR_NONE] + [(name, name) for name in ("猫狗", "Zürich 2", "faces_v1.2", "a")],
)
def test_a_name_that_is_none_or_another_dataset_s_is_not_taken_from_dataset_json(
    dataset: Path, tmp_path: Path, name: str, taken: str
) -> None:
    fetch(str(dataset), tmp_path / "faces")
    description = json.loads((tmp_path / "faces" / "dataset.json").read_text())
    (tmp_path / "faces" / "dataset.json").write_text(json.dumps(description | {"name": name}))
    assert fetch(str(zipped(tmp_path / "faces", tmp_path / "mine.zip")), tmp_path / "data").name == taken


@pytest.mark.parametrize("file", ["sketch-photo.zip", "Facades.zip", "synthetic.zip"])
def test_an_archive_s_file_does_not_take_the_name_of_another_dataset(dataset: Path, tmp_path: Path, file: str) -> None:
    archive = zipped(dataset, tmp_path / file)
    assert fetch(str(archive), tmp_path / "data").name == f"{archive.stem}-copy"
    for address in (f"http://host/{file}", f"s3://bucket/{file}"):
        assert parse_source(address).name == f"{archive.stem}-copy"
    assert parse_source("sketch-photo").name == "sketch-photo"


def test_what_follows_a_whole_picture_does_not_matter(dataset: Path, tmp_path: Path) -> None:
    place = dataset / "train" / "A"
    png, jpeg = (place / "0.png").read_bytes(), (place / "1.jpg").read_bytes()
    film = b"\0\0\0\x18ftypmp42" + bytes(100_000)
    for name, content in {
        "film.jpg": jpeg + film,
        "padded.png": png + bytes(100_000),
        "endless.png": png[:-12],
    }.items():
        (place / name).write_bytes(content)
    assert fetch(str(dataset), tmp_path / "data").counts["train/A"] == 5
    assert verify(tmp_path / "data", FetchOptions()).digest == content_digest(dataset)


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
