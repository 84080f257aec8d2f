"""From a source to a dataset folder."""

import json
import os
import shutil
from pathlib import Path

import pytest
from kfp import dsl

from components.dataset.checksums import check
from components.dataset.component import dataset as component
from components.dataset.fetch import fetch
from dualgan.dataset_folder import Description, content_digest, describe
from dualgan.errors import BadInput, DualGANError
from tests.components.dataset.made import everything_below, make_dataset, make_image, tarred, zipped

ALL = {"train/A": 2, "train/B": 2, "val/A": 2, "val/B": 2}


@pytest.mark.parametrize("is_there", [False, True])
def test_a_folder_becomes_a_dataset_folder_with_its_description(dataset: Path, tmp_path: Path, is_there: bool) -> None:
    data, before = tmp_path / "out" / "data", everything_below(dataset)
    if is_there:
        data.mkdir(parents=True)
    description = fetch(str(dataset), data)
    assert description == Description("source", str(dataset), ALL, content_digest(dataset))
    assert describe(data) == description
    assert json.loads((data / "dataset.json").read_text()) == description._asdict()
    assert everything_below(data) == before | {"dataset.json"}
    assert everything_below(dataset) == before
    assert {path.name for path in data.parent.iterdir()} == {"data"}
    # One that is there already is not written again.
    written = (data / "dataset.json").stat()
    assert fetch(str(dataset), data) == description
    again = (data / "dataset.json").stat()
    assert (again.st_mtime_ns, again.st_ino) == (written.st_mtime_ns, written.st_ino)


def test_names_are_kept_whatever_the_form_of_their_source(tmp_path: Path) -> None:
    longest = "猫" * 83 + "ab"
    names = ("A B.JPG", "Zürich 東京.PnG", "x.jpeg", "w.webp", "t.TIF", "t.tiff", f"{longest}.png", f"{longest}.bmp")
    source = make_dataset(tmp_path / "source", names=names)
    for archive in (source, zipped(source, tmp_path / "a.zip"), tarred(source, tmp_path / "a.tgz")):
        destination = tmp_path / f"{archive.suffix}{'d' * 250}"
        description = fetch(str(archive), destination)
        assert (description.name, description.digest) == (archive.stem, content_digest(source))
        assert everything_below(destination / "train") == everything_below(source / "train")


def test_without_validation_images_no_training_image_is_moved(tmp_path: Path) -> None:
    source = make_dataset(tmp_path / "source", places=("train/A", "train/B"))
    assert fetch(str(source), tmp_path / "data").counts == ALL | {"val/A": 0, "val/B": 0}


def test_what_is_at_the_destination_is_neither_replaced_nor_kept_if_it_is_another(
    dataset: Path, tmp_path: Path
) -> None:
    first = fetch("synthetic://?n=1&size=32", tmp_path / "data")
    # The defaults spelled out are the same source.
    assert fetch("synthetic://?size=32&seed=0&n=1", tmp_path / "data") == first
    with pytest.raises(BadInput, match=r"holds the dataset of synthetic.*, not of .*source"):
        fetch(str(dataset), tmp_path / "data")
    assert check(tmp_path / "data") == first
    image = make_image(tmp_path / "data" / "train" / "A" / "0000.png", 200)
    changed = image.read_bytes()
    with pytest.raises(BadInput, match="images have changed"):
        fetch(first.source, tmp_path / "data")
    assert image.read_bytes() == changed


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("thesis.txt", "years of work", "not empty and not a dataset folder"),
        ("dataset.json", "[]", "not a dataset description"),
    ],
)
def test_a_folder_with_anything_else_in_it_is_left_alone(
    dataset: Path, tmp_path: Path, name: str, content: str, reason: str
) -> None:
    there = tmp_path / "data" / name
    there.parent.mkdir()
    there.write_text(content)
    with pytest.raises(BadInput, match=reason):
        fetch(str(dataset), tmp_path / "data")
    assert everything_below(tmp_path / "data") == {name}
    with pytest.raises(BadInput, match="is a file"):
        fetch(str(dataset), there)
    assert there.read_text() == content


def refused(source: Path, tmp_path: Path) -> str:
    """The message of fetching ``source``, which must leave nothing, not even the destination's parent."""
    with pytest.raises(BadInput) as error:
        fetch(str(source), tmp_path / "parent" / "data")
    assert not (tmp_path / "parent").exists()
    message = str(error.value)
    assert message.startswith(f"{source}: ") and "\n" not in message
    return message


@pytest.mark.parametrize("as_archive", [False, True])
@pytest.mark.parametrize(
    ("places", "named"),
    [
        (("train/A",), "no folder train/B"),
        (("train/B",), "no folder train/A"),
        (("val/A", "val/B"), "no folder train/A"),
        (("trainA",), "no folder train/B"),
        (("A", "B"), "no folder train/A"),
        (("train/A", "train/B/more"), "no image in train/B (.jpg, .jpeg, .png, .jfif, .bmp, .webp, .tif, .tiff)"),
        (("one/train/A", "two/train/A"), "more than one dataset (one, two)"),
    ],
)
def test_what_a_source_lacks_is_named(tmp_path: Path, places: tuple[str, ...], named: str, as_archive: bool) -> None:
    source = make_dataset(tmp_path / "source", places)
    if as_archive:
        source = zipped(source, tmp_path / "a.zip")
        named = named.replace("(one, two)", "(source/one, source/two)")
    assert named in refused(source, tmp_path)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("facade", "did you mean facades"),
        ("sketch_photo", "did you mean sketch-photo"),
        ("Metal-Stone", "did you mean metal-stone"),
        ("syntetic", "did you mean synthetic"),
        ("xyzzy", "see `parity dataset list`"),
        ("no/such/folder", "see `parity dataset list`"),
        ("", "see `parity dataset list`"),
        ("faces\0", "NUL"),
    ],
)
def test_an_unknown_name_brings_the_nearest_known_ones(tmp_path: Path, name: str, hint: str) -> None:
    with pytest.raises(BadInput) as error:
        fetch(name, tmp_path / "data")
    assert hint in str(error.value)
    assert everything_below(tmp_path) == set()


def test_a_path_may_be_of_any_bytes(dataset: Path, tmp_path: Path) -> None:
    source = dataset.rename(tmp_path / os.fsdecode(b"faces-\xff"))
    left = tmp_path / ".data.fetch" / "source"
    left.parent.mkdir()
    left.write_bytes(b"\xfe")
    fetch(str(source), tmp_path / "data")
    assert check(tmp_path / "data").counts


def test_a_disk_that_refuses_is_one_line_of_failed_work(dataset: Path) -> None:
    with pytest.raises(DualGANError, match=r"^/proc.*: ") as error:
        fetch(str(dataset), Path("/proc/data/faces"))
    assert error.value.exit_code == 1


def test_check_counts_the_images_of_a_dataset_folder(dataset: Path, tmp_path: Path) -> None:
    description = fetch(str(dataset), tmp_path / "data")
    assert check(tmp_path / "data") == description
    shutil.copy(dataset / "train" / "A" / "0.png", tmp_path / "data" / "val" / "B" / "extra.png")
    with pytest.raises(DualGANError, match=r"val/B 3, dataset\.json says .*val/B 2"):
        check(tmp_path / "data")


def test_the_component_passes_source_checksum_quarantine_and_limit_on(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    digest = content_digest(dataset)
    (dataset / "train" / "A" / "empty.png").write_bytes(b"")
    output = dsl.Dataset(uri=str(tmp_path / "data"))
    with pytest.raises(DualGANError, match=r"train/A/empty.png \(empty file\)"):
        component(source=str(dataset), dataset=output, options={})
    # Of run and profile.
    for options, max_pixels in (({"max-pixels": 1.0}, 0), ({"max_pixels": 1}, 99), ({}, 1)):
        with pytest.raises(DualGANError, match=r"pixels, more than 1: .*--max-pixels"):
            component(source=str(dataset), dataset=output, options=options, max_pixels=max_pixels)
    with pytest.raises(DualGANError, match=f"--sha256 says {'0' * 64}"):
        component(source=str(dataset), dataset=output, options={}, quarantine=True, sha256="0" * 64)
    component(source=str(dataset), dataset=output, options={}, quarantine=True, sha256=digest)
    assert output.metadata["digest"] == digest == content_digest(tmp_path / "data")
    assert (tmp_path / "data" / "quarantine" / "train" / "A" / "empty.png").is_file()
