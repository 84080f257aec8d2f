"""The dataset that is drawn here."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from components.dataset.fetch import fetch
from components.dataset.sources import Synthetic, parse_source
from components.dataset.synthetic.generate import synthetic_image
from dualgan.dataset_folder import list_images
from dualgan.errors import BadInput


def test_one_seed_gives_one_digest_and_another_seed_another(tmp_path: Path) -> None:
    first = fetch("synthetic://?seed=3&n=4", tmp_path / "first")
    assert first == fetch("synthetic://?n=4&seed=3", tmp_path / "again")
    assert fetch("synthetic://?seed=4&n=4", tmp_path / "other").digest != first.digest


def test_images_are_rgb_numbered_of_the_size_asked_for_and_those_of_a_smaller_n(tmp_path: Path) -> None:
    few = fetch("synthetic://?n=2&size=48", tmp_path / "few")
    assert few.counts == {"train/A": 2, "train/B": 2, "val/A": 8, "val/B": 8}
    assert Synthetic(n=120).validation == 12
    fetch("synthetic://?n=5&size=48", tmp_path / "more")
    for domain in "AB":
        images = list_images(tmp_path / "few", "train", domain)
        assert [image.name for image in images] == ["0000.png", "0001.png"]
        with Image.open(images[0]) as image:
            assert (image.format, image.mode, image.size) == ("PNG", "RGB", (48, 48))
        for path in images:
            assert path.read_bytes() == (tmp_path / "more" / "train" / domain / path.name).read_bytes()
        all_images = [*list_images(tmp_path / "more", "train", domain), *list_images(tmp_path / "more", "val", domain)]
        assert len({image.read_bytes() for image in all_images}) == 13


def dark_lines(image: Image.Image) -> NDArray[np.float64]:
    """How much darker than its surroundings each pixel is: the lines that a sketch and a portrait share."""
    grey = np.asarray(image.convert("L"), dtype=np.float64)
    wide = np.asarray(image.convert("L").reduce(8).resize(image.size), dtype=np.float64)
    return np.minimum(grey - wide, 0).ravel()


def test_domains_are_unpaired_sketches_nearly_grey_on_light_paper_and_portraits_colourful() -> None:
    drawn = {domain: [synthetic_image(Synthetic(), "train", domain, i) for i in range(24)] for domain in "AB"}
    sketches, portraits = (np.stack([np.asarray(one, dtype=np.float64) for one in drawn[domain]]) for domain in "AB")
    assert np.ptp(sketches, axis=3).mean() < 20
    assert np.ptp(portraits, axis=3).mean() > 40
    assert np.median(sketches, axis=(1, 2, 3)).min() > 215
    assert sketches.min(axis=(1, 2, 3)).max() < 130
    likeness = np.corrcoef([dark_lines(one) for one in drawn["A"]], [dark_lines(one) for one in drawn["B"]])[:24, 24:]
    same_place = np.diag(likeness).mean()
    other_place = likeness[~np.eye(24, dtype=bool)].mean()
    assert abs(same_place - other_place) < 2 * likeness.std() / np.sqrt(24) + 0.02


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("synthetic://?count=3", "unknown option 'count'; there are seed, n, size"),
        ("synthetic://?n=0", "n must be a whole number from 1 to 10000, not '0'"),
        ("synthetic://?size=31", "size must be a whole number from 32 to 512"),
        ("synthetic://?seed=-1", "not '-1'"),
        ("synthetic://?seed=1.5", "not '1.5'"),
        ("synthetic://?n", "'n' is not a list of options"),
        ("synthetic://?n=3&n=4", "'n' is given twice"),
        ("synthetic://faces?n=3", "not a synthetic dataset"),
        ("synthetic:n=3", "not a synthetic dataset"),
    ],
)
def test_a_wrong_option_is_named_and_one_left_out_has_its_default(source: str, named: str) -> None:
    with pytest.raises(BadInput) as error:
        parse_source(source)
    assert named in str(error.value) and source in str(error.value)
    assert parse_source("synthetic") == Synthetic(seed=0, n=120, size=64)
    assert parse_source("synthetic://?size=128") == Synthetic(seed=0, n=120, size=128)
