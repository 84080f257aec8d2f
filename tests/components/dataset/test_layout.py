"""Where the images of a source belong."""

import shutil
import tarfile
import tempfile
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from components.dataset.checksums import verify
from components.dataset.fetch import fetch
from components.dataset.layout import find_layout
from components.dataset.options import FetchOptions
from dualgan.dataset_folder import content_digest, list_images
from dualgan.errors import BadInput
from tests.components.dataset.made import make_dataset, make_image, make_pairs, tarred, zipped

# The same examples every time, however busy the machine is.
STEADY = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
ROOTS = ("", "facades/", "data/facades/")


def test_pairs_side_by_side_become_two_domains_whatever_the_form_of_their_source(tmp_path: Path) -> None:
    source = make_pairs(tmp_path / "facades", {"train": 3, "val": 2, "test": 1})
    with Image.open(source / "val" / "0.png") as image:
        image.save(source / "val" / "0.jpg")
    digests = set()
    for form in (source, zipped(source, tmp_path / "a.zip"), tarred(source, tmp_path / "a.tgz")):
        data = tmp_path / f"from{form.suffix}"
        description = fetch(str(form), data)
        digests.add(description.digest)
        assert description.counts == {"train/A": 3, "train/B": 3, "val/A": 3, "val/B": 3}
        assert description.digest == content_digest(data)
        assert [image.name for image in list_images(data, "val", "B")] == ["0.jpg.png", "0.png.png", "1.png"]
        for domain, colour in (("A", (201, 0, 0)), ("B", (0, 0, 201))):
            images = list_images(data, "train", domain)
            assert [image.name for image in images] == ["0.png", "1.png", "2.png"]
            with Image.open(images[1]) as half:
                assert (half.format, half.mode, half.size) == ("PNG", "RGB", (16, 16))
                assert half.getcolors() == [(256, colour)]
    assert len(digests) == 1


@pytest.mark.parametrize("name", ["val", "valid", "validation", "test"])
@pytest.mark.parametrize("form", ["{split}/{domain}", "{split}{domain}", "{split}"])
def test_validation_images_have_one_of_four_names_in_each_layout(tmp_path: Path, name: str, form: str) -> None:
    if "domain" not in form:
        source = make_pairs(tmp_path / "facades", {"train": 2, name: 3})
        assert fetch(str(source), tmp_path / "data").counts == {"train/A": 2, "train/B": 2, "val/A": 3, "val/B": 3}
        return
    places = tuple(form.format(split=split, domain=domain) for split in ("train", name) for domain in "AB")
    source = make_dataset(tmp_path / "source", places)
    assert fetch(str(source), tmp_path / "data").digest == content_digest(make_dataset(tmp_path / "expected"))


def test_of_two_folders_of_one_domain_the_trainer_s_is_taken(dataset: Path, tmp_path: Path) -> None:
    make_dataset(dataset, ("trainA", "valB"), names=("0.png", "2.png"))
    assert fetch(str(dataset), tmp_path / "data").digest == content_digest(dataset)


def test_links_in_a_circle_end_and_what_lies_deep_is_counted(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in ("train/one", "val/two", "train/A/three"):
        (dataset / place).symlink_to(dataset)
    digest = content_digest(dataset)
    make_image(dataset / "train" / "A" / "a" / "b" / "c" / "d" / "e" / "deep.png")
    assert fetch(str(dataset), tmp_path / "data").digest == digest
    assert "ignored: 1 files: 1 in folders that are not used (train/A/a/b/c/d/e)" in capsys.readouterr().out


@pytest.mark.parametrize("as_archive", [False, True])
def test_what_is_left_out_is_counted_in_a_line_with_the_reason(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], as_archive: bool
) -> None:
    make_dataset(dataset, ("test/A", "train/A/more"))
    for name in ("notes.txt", "a.gif", "b.gif", ".DS_Store"):
        (dataset / "train" / "A" / name).write_bytes(b"junk")
    (dataset / "train" / "B" / "bad.png").write_bytes(b"")
    source = zipped(dataset, tmp_path / "a.zip") if as_archive else dataset
    fetch(str(source), tmp_path / "data", FetchOptions(quarantine=True))
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("taken"))
    assert line.startswith("taken: 8 images; set aside: 1 in quarantine (1 empty file); ignored: 7 files: ")
    assert "3 no images by their endings (.gif, .txt)" in line
    assert "4 in folders that are not used (" in line and "test/A" in line and "train/A/more" in line


def test_grey_of_more_than_8_bits_is_scaled_and_that_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = make_dataset(tmp_path / "source", names=("0.png",))
    ramp = Image.fromarray(np.arange(96, dtype=np.uint16).reshape(8, 12) * 689)
    for name in ("deep.tif", "deep2.png"):
        ramp.save(source / "train" / "A" / name)
    fetch(str(source), tmp_path / "data")
    said = "more than 8 bits a value, scaled to 8 by the format's range: 2 images (deep.tif, deep2.png)"
    assert [line.replace("train/A/", "") for line in capsys.readouterr().out.splitlines() if "8 bits" in line] == [said]


def test_pairs_have_the_limit_of_pixels_that_is_given_whatever_pillow_s_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
    source = make_pairs(tmp_path / "facades", {"train": 2}, (64, 32))
    with pytest.raises(BadInput, match="64x32 pixels, more than 2047"):
        fetch(str(source), tmp_path / "data", FetchOptions(max_pixels=2047))
    assert fetch(str(source), tmp_path / "data").counts["train/A"] == 2
    assert verify(tmp_path / "data", FetchOptions()).counts["train/B"] == 2


@pytest.mark.parametrize("size", [(31, 16), (16, 16), (16, 32)])
def test_what_is_not_two_images_side_by_side_is_a_bad_file(tmp_path: Path, size: tuple[int, int]) -> None:
    source = make_pairs(tmp_path / "facades", {"train": 2})
    make_pairs(tmp_path / "odd", {"train": 1}, size)
    shutil.copy(tmp_path / "odd" / "train" / "0.png", source / "train" / "odd.png")
    with pytest.raises(BadInput, match=r"1 of 3 images cannot be used: train/odd.png \(not two images side by side"):
        fetch(str(source), tmp_path / "data")


LETTERS = st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/\\:")
STEMS = st.text(LETTERS, min_size=1, max_size=20).filter(lambda stem: not stem.startswith("."))
NAMES = st.builds("{}{}".format, STEMS, st.sampled_from([".png", ".PNG", ".jpg", ".Jpeg"])).filter(
    lambda name: len(unicodedata.normalize("NFC", name).encode()) < 200 and len(name.encode()) < 200
)
DATASETS = st.lists(NAMES, min_size=1, max_size=4, unique_by=lambda name: unicodedata.normalize("NFC", name))


@settings(STEADY, max_examples=25)
@given(names=DATASETS, root=st.sampled_from(ROOTS), form=st.sampled_from(["zip", "tar.gz"]), data=st.data())
def test_any_names_in_any_order_and_form_give_one_digest(
    names: list[str], root: str, form: str, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        image = make_image(folder / "image.png").read_bytes()
        files = {f"{split}/{domain}/{name}": image for split in ("train", "val") for domain in "AB" for name in names}
        archive = folder / f"a.{form}"
        order = data.draw(st.permutations(sorted(files)))
        if form == "zip":
            with zipfile.ZipFile(archive, "w") as packed:
                for name in order:
                    packed.writestr(f"{root}{name}", files[name])
        else:
            with tarfile.open(archive, "w:gz") as packed_tar:
                for name in order:
                    packed_tar.add(folder / "image.png", arcname=f"{root}{name}")
        description = fetch(str(archive), folder / "data")
        assert description.digest == content_digest(folder / "data")
        assert description.counts["train/A"] == len(names)
        written = {path.name for path in (folder / "data" / "train" / "A").iterdir()}
        assert written == {unicodedata.normalize("NFC", name) for name in names}
        for path in (folder / "data").rglob("*.*"):
            path.chmod(0o600)
        assert fetch(str(folder / "data"), folder / "again").digest == description.digest


PARTS = st.sampled_from(["train", "val", "test", "A", "B", "x", "..", ".", "", "a.png", "b.JPG", ".hidden.png"])


@settings(STEADY)
@given(names=st.lists(st.lists(PARTS, min_size=1, max_size=5).map("/".join), max_size=12))
def test_any_other_layout_is_either_a_dataset_or_one_line(names: list[str]) -> None:
    try:
        layout = find_layout(names, "source")
    except BadInput as error:
        assert "\n" not in str(error)
        return
    assert {slot.split for slot in layout.slots.values()} <= {"train", "val"}
    assert set(layout.slots) <= set(names)
