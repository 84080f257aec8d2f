"""Which files of a dataset folder are images of which split and domain, and what is said of the others."""

import time
from itertools import permutations
from pathlib import Path

import pytest

from dualgan.dataset_folder import (
    content_digest,
    image_counts,
    left_out,
    left_out_reasons,
    list_images,
    picture_names,
    require_training_images,
)
from dualgan.errors import BadInput


def made(folder: Path, *files: str) -> Path:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(Path(file).name)
    return folder


def dataset(folder: Path, train: str = "train/{}", val: str = "val/{}") -> Path:
    places = [train.format("A"), train.format("B"), val.format("A"), val.format("B")]
    return made(folder, *(f"{place}/{name}" for place in places for name in ("1.png", "2.JPG")))


@pytest.mark.parametrize(
    ("train", "val"),
    [
        ("train/{}", "test/{}"),
        ("train/{}", "valid/{}"),
        ("train/{}", "validation/{}"),
        ("train{}", "test{}"),
        ("train{}", "val{}"),
    ],
)
def test_published_layouts_are_the_same_dataset(tmp_path: Path, train: str, val: str) -> None:
    folder, plain = dataset(tmp_path / "folder", train, val), dataset(tmp_path / "plain")
    require_training_images(folder)
    assert image_counts(folder) == dict.fromkeys(("train/A", "train/B", "val/A", "val/B"), 2)
    assert content_digest(folder) == content_digest(plain)
    assert list_images(folder, "val", "B") == [folder / val.format("B") / name for name in ("1.png", "2.JPG")]
    assert left_out(folder) == ""


def test_the_first_split_for_validation_that_has_an_image_serves(tmp_path: Path) -> None:
    folder = dataset(tmp_path, val="test/{}")
    (folder / "val" / "A").mkdir(parents=True)
    assert [path.parent.parent.name for path in list_images(folder, "val", "A")] == ["test", "test"]
    made(folder, "val/B/9.png")
    assert (list_images(folder, "val", "A"), len(list_images(folder, "val", "B"))) == ([], 1)
    assert left_out(folder) == "4 files: 4 in folders that are not used (test/A, test/B)"


def test_every_ending_of_an_image_is_taken_and_a_line_counts_the_rest(tmp_path: Path) -> None:
    folder = dataset(tmp_path)
    made(folder, *(f"train/A/x.{ending}" for ending in ("jpeg", "jfif", "BMP", "webp", "tif", "TIFF")))
    assert len(list_images(folder, "train", "A")) == 8
    made(folder, "dataset.json", "train/A/.DS_Store", ".git/x.png", "quarantine/bad.png")
    assert left_out(folder) == ""
    made(folder, "train/A/z.gif", "train/B/z.gif", "LICENSE", "train/A/deeper/y.png")
    assert left_out(folder) == (
        "4 files: 3 no images by their endings (.gif, LICENSE), 1 in folders that are not used (train/A/deeper)"
    )


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ((), "no folder train/A"),
        (("trainA/1.png",), "no folder train/B"),
        (("train/A/1.png", "train/B/1.gif"), "no image in train/B (.jpg, .jpeg, .png, .jfif, .bmp, "),
    ],
)
def test_the_first_thing_that_is_missing_is_named(tmp_path: Path, files: tuple[str, ...], named: str) -> None:
    with pytest.raises(BadInput) as caught:
        require_training_images(made(tmp_path, *files))
    assert named in str(caught.value)


def test_pictures_are_called_as_their_files_and_no_two_alike() -> None:
    names = ["猫.png", "狗.jpg", "a.png", "a.jpg", "a.png.png", "長" * 84 + ".png", "長" * 84 + ".b.png"]
    called = picture_names([Path(name) for name in names] + [Path("elsewhere/猫.png")])
    assert called[1:4] == ["狗", "a.png", "a.jpg"]
    assert len(set(called)) == len(called) and all(len(f"{name}-real_A.png".encode()) <= 255 for name in called)


def test_two_hundred_thousand_pictures_are_named_in_seconds() -> None:
    paths = [Path(f"train/A/{number}.png") for number in range(200_000)]
    began = time.perf_counter()
    assert picture_names(paths)[-1] == "199999"
    assert picture_names([Path(f"{number}/same.png") for number in range(200_000)])[-1] == "same.png-200000"
    assert time.perf_counter() - began < 20


def test_examples_of_what_is_left_out_are_the_commonest_and_then_in_the_order_of_their_names() -> None:
    endings = ("gif", "txt", "mp4", "csv", "txt")
    lines = {left_out_reasons([(f"{n}.{endings[n]}",) for n in order]) for order in permutations(range(len(endings)))}
    assert lines == {"5 files: 5 no images by their endings (.txt, .csv, .gif, ...)"}
