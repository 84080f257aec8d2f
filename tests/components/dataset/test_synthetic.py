from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.dataset.fetch import fetch
from components.dataset.sources import Synthetic, parse_source
from components.dataset.synthetic.generate import synthetic_image
from dualgan.dataset_folder import list_images
from dualgan.errors import BadInput


def test_one_seed_gives_one_digest_and_another_seed_another(tmp_path: Path) -> None:
    first = fetch("synthetic://?seed=3&n=4", tmp_path / "first")
    again = fetch("synthetic://?n=4&seed=3", tmp_path / "again")
    other = fetch("synthetic://?seed=4&n=4", tmp_path / "other")
    assert first == again
    assert other.digest != first.digest


def test_it_has_n_training_images_and_a_tenth_but_at_least_eight_validation_images(tmp_path: Path) -> None:
    small = fetch("synthetic://?n=3&size=32", tmp_path / "small")
    assert small.counts == {"train/A": 3, "train/B": 3, "val/A": 8, "val/B": 8}
    assert Synthetic(n=120).validation == 12


def test_images_are_rgb_of_the_size_asked_for_and_numbered(tmp_path: Path) -> None:
    fetch("synthetic://?n=2&size=48", tmp_path / "data")
    images = list_images(tmp_path / "data", "train", "B")
    assert [image.name for image in images] == ["0000.png", "0001.png"]
    with Image.open(images[0]) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (48, 48))


def test_a_larger_n_keeps_the_images_of_a_smaller_one(tmp_path: Path) -> None:
    fetch("synthetic://?n=2&size=32", tmp_path / "few")
    fetch("synthetic://?n=5&size=32", tmp_path / "more")
    for image in list_images(tmp_path / "few", "train", "A"):
        assert image.read_bytes() == (tmp_path / "more" / "train" / "A" / image.name).read_bytes()


def dark_lines(image: Image.Image) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """How much darker than its surroundings each pixel is: the lines that a sketch and a portrait share."""
    grey = np.asarray(image.convert("L"), dtype=np.float64)
    wide = np.asarray(image.convert("L").reduce(8).resize(image.size), dtype=np.float64)
    return np.minimum(grey - wide, 0).ravel()


def test_no_image_of_a_has_its_partner_at_the_same_place_in_b() -> None:
    options = Synthetic(seed=0)
    sketches = [dark_lines(synthetic_image(options, "train", "A", i)) for i in range(24)]
    portraits = [dark_lines(synthetic_image(options, "train", "B", i)) for i in range(24)]
    likeness = np.corrcoef(sketches, portraits)[:24, 24:]
    same_place = np.diag(likeness).mean()
    other_place = likeness[~np.eye(24, dtype=bool)].mean()
    assert abs(same_place - other_place) < 2 * likeness.std() / np.sqrt(24) + 0.02


def test_validation_images_are_not_training_images(tmp_path: Path) -> None:
    fetch("synthetic://?n=8&size=32", tmp_path / "data")
    for domain in "AB":
        images = [i for split in ("train", "val") for i in list_images(tmp_path / "data", split, domain)]
        assert len({image.read_bytes() for image in images}) == 16


def test_sketches_are_nearly_grey_on_light_paper_and_portraits_are_colourful() -> None:
    def images(domain: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        drawn = [synthetic_image(Synthetic(), "train", domain, index) for index in range(12)]
        return np.stack([np.asarray(image, dtype=np.float64) for image in drawn])

    sketches, portraits = images("A"), images("B")
    assert np.ptp(sketches, axis=3).mean() < 20
    assert np.ptp(portraits, axis=3).mean() > 40
    assert np.median(sketches, axis=(1, 2, 3)).min() > 215
    assert sketches.min(axis=(1, 2, 3)).max() < 130


def test_what_is_left_out_of_the_source_has_its_default() -> None:
    assert parse_source("synthetic") == Synthetic(seed=0, n=120, size=64)
    assert parse_source("synthetic://?size=128") == Synthetic(seed=0, n=120, size=128)


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("synthetic://?count=3", "unknown option 'count'; there are seed, n, size"),
        ("synthetic://?n=0", "n must be a whole number from 1 to 10000, not '0'"),
        ("synthetic://?size=31", "size must be a whole number from 32 to 512"),
        ("synthetic://?size=513", "size must be a whole number from 32 to 512"),
        ("synthetic://?seed=-1", "not '-1'"),
        ("synthetic://?seed=1.5", "not '1.5'"),
        ("synthetic://?n=", "not ''"),
        ("synthetic://?n", "'n' is not a list of options"),
        ("synthetic://?n=3&n=4", "'n' is given twice"),
        ("synthetic://faces?n=3", "not a synthetic dataset"),
        ("synthetic:n=3", "not a synthetic dataset"),
    ],
)
def test_a_wrong_option_is_named(source: str, named: str) -> None:
    with pytest.raises(BadInput) as error:
        parse_source(source)
    assert named in str(error.value)
    assert source in str(error.value)
