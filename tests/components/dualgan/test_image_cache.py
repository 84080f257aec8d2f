"""Decoded images that runs on one machine share."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dualgan.dataset_folder import content_digest, list_images
from dualgan.image_cache import decoded_images
from dualgan.options import TrainOptions
from dualgan.pictures import DECODER, BadPicture
from tests.components.dualgan.trainer import Trainer

# Prepares train/A as a trainer does, writes a line an image that it decodes, and, with "hold", waits at the first one
# until another process is about to ask for the same.
PREPARING = """
import hashlib, json, sys, time
from pathlib import Path
from dualgan import image_cache

dataset, digest, cache, log, part = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]), sys.argv[5]
open_picture = image_cache.open_picture

def watched(path, max_pixels):
    with open(str(log), "a") as file:
        file.write(path.name + "\\n")
    while part == "hold" and not (cache / "other").exists():
        time.sleep(0.01)
    return open_picture(path, max_pixels)

image_cache.open_picture = watched
if part == "ask":
    (cache / "other").touch()
options = image_cache.TrainOptions(data_dir=str(dataset), image_size=32)
images, names = image_cache.decoded_images(options, "train", "A", digest, cache)
print(json.dumps([list(images.shape), hashlib.sha256(images.tobytes()).hexdigest(), names]))
"""


@pytest.fixture
def prepare(trainer: Trainer, dataset: Path, tmp_path: Path) -> Callable[[str], "subprocess.Popen[str]"]:
    cache = tmp_path / "cache"
    cache.mkdir()
    arguments = [str(dataset), content_digest(dataset), str(cache), str(tmp_path / "decoded")]

    def start(part: str) -> "subprocess.Popen[str]":
        command = [str(trainer.python), "-c", PREPARING, *arguments, part]
        return subprocess.Popen(command, env=trainer.environment, stdout=subprocess.PIPE, text=True)

    return start


def test_of_two_runs_that_start_at_once_one_decodes_and_both_see_the_same(
    prepare: Callable[[str], "subprocess.Popen[str]"], dataset: Path, tmp_path: Path
) -> None:
    first, second = prepare("hold"), prepare("ask")
    answers = [json.loads(process.communicate(timeout=120)[0]) for process in (first, second)]
    assert answers[0] == answers[1]
    assert answers[0][0] == [6, 32, 32, 3]
    assert sorted((tmp_path / "decoded").read_text().split()) == [
        path.name for path in list_images(dataset, "train", "A")
    ]
    assert not list((tmp_path / "cache").glob("*.tmp"))


def prepared(dataset: Path, cache: Path, size: int = 32) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    options = TrainOptions(data_dir=str(dataset), image_size=size)
    images, _ = decoded_images(options, "train", "A", content_digest(dataset), cache)
    assert isinstance(images, np.memmap) and not images.flags.writeable
    return images


def test_images_are_resized_by_pillow_s_bilinear_filter(dataset: Path, tmp_path: Path) -> None:
    images = prepared(dataset, tmp_path)
    for path, image in zip(list_images(dataset, "train", "A"), images, strict=True):
        with Image.open(path) as picture:
            np.testing.assert_array_equal(picture.resize((32, 32), Image.Resampling.BILINEAR), image)


def test_another_size_or_other_content_is_another_file(dataset: Path, tmp_path: Path) -> None:
    prepared(dataset, tmp_path)
    prepared(dataset, tmp_path, size=48)
    other = tmp_path / "other"
    (other / "train" / "A").mkdir(parents=True)
    Image.new("RGB", (40, 48), (1, 2, 3)).save(other / "train" / "A" / "0.png")
    assert prepared(other, tmp_path).shape == (1, 32, 32, 3)
    names = {path.name for path in tmp_path.glob("*.npy")}
    assert names == {
        f"{content_digest(dataset)[:32]}-train-A-32px-RGB-bilinear-{DECODER}.npy",
        f"{content_digest(dataset)[:32]}-train-A-48px-RGB-bilinear-{DECODER}.npy",
        f"{content_digest(other)[:32]}-train-A-32px-RGB-bilinear-{DECODER}.npy",
    }


def test_a_file_that_is_cut_short_is_made_anew_and_leftovers_go(dataset: Path, tmp_path: Path) -> None:
    whole = prepared(dataset, tmp_path).copy()
    (file,) = tmp_path.glob("*.npy")
    file.write_bytes(file.read_bytes()[:1000])
    left = file.with_suffix(".killed.tmp")
    left.write_bytes(b"half")
    np.testing.assert_array_equal(prepared(dataset, tmp_path), whole)
    assert not left.exists()


def test_deep_grey_is_scaled_and_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "train" / "A"
    place.mkdir(parents=True)
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    Image.fromarray(ramp).save(place / "deep.png")
    Image.new("RGB", (40, 48)).save(place / "plain.png")
    options = TrainOptions(data_dir=str(tmp_path), A_channels=1)
    images, names = decoded_images(options, "train", "A", "digest", tmp_path / "cache")
    assert names == ["deep", "plain"]
    np.testing.assert_allclose(images[0, ..., 0], ramp / 257, atol=0.51)
    assert "train/A: 1 of 2 images are grey of more than 8 bits; they were scaled to 8" in capsys.readouterr().err
    decoded_images(options, "train", "A", "digest", tmp_path / "cache")
    assert capsys.readouterr().err == ""


def test_an_image_beyond_the_limit_of_pixels_is_refused(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(BadPicture, match="40x48 pixels, more than 1919"):
        decoded_images(TrainOptions(data_dir=str(dataset), max_pixels=1919), "train", "A", "digest", tmp_path)
