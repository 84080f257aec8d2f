"""The one decoder of pictures from outside: what comes out of a file, and what is refused."""

import hashlib
import io
import json
import os
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps, features

from dualgan.errors import DualGANError
from dualgan.pictures import MAX_PIXELS, MAX_SCANS, BadPicture, check_picture, open_picture
from tests.components.dualgan.trainer import Trainer

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8))
RAMP = np.arange(65536, dtype=np.uint16).reshape(256, 256)
EXIF_ORIENTATION = 0x0112


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def tiff(values: "np.ndarray[Any, Any]", sample_format: int = 1, photometric: int = 1) -> bytes:
    """A grey TIFF without compression, as the format's own description says."""
    height, width = values.shape
    bits = values.dtype.itemsize * 8
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: height}
    tags |= {279: values.nbytes, 339: sample_format}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    pixels = values.astype(values.dtype.newbyteorder("<")).tobytes()
    return b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + struct.pack("<H", len(tags)) + entries + b"\0" * 4


def run_length_bmp(side: int) -> bytes:
    """A BMP that says of its one pixel that it is followed by all others."""
    header = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, 4, 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 1082, 0, 0, 1078) + header + bytes(1024) + b"\1\0\0\1"


def opened(content: bytes) -> Any:
    check_picture(io.BytesIO(content))
    picture = open_picture(io.BytesIO(content))
    assert picture.mode == "RGB"
    return np.asarray(picture)


def reason(source: "bytes | Path", **limits: int) -> str:
    """Why a picture is refused, by training and by fetch."""
    reasons = set()
    for function in (open_picture, check_picture):
        with pytest.raises(BadPicture) as caught:
            function(io.BytesIO(source) if isinstance(source, bytes) else source, **limits)
        reasons.add(caught.value.reason)
    (only,) = reasons
    return only


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP", "TIFF"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_ordinary_pictures_are_what_pillow_makes_of_them(kind: str, mode: str) -> None:
    content = encoded(NOISE.convert(mode), kind)
    with Image.open(io.BytesIO(content)) as image:
        np.testing.assert_array_equal(opened(content), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize(
    ("content", "bits"),
    [
        (encoded(Image.fromarray(RAMP), "PNG"), 16),
        (encoded(Image.fromarray(RAMP), "TIFF"), 16),
        (encoded(Image.fromarray(RAMP), "TIFF", compression="tiff_lzw"), 16),
        (tiff(RAMP), 16),
        (tiff(65535 - RAMP, photometric=0), 16),
        (tiff(RAMP.astype(np.uint32) * 65537), 32),
    ],
    ids=["png", "tiff", "lzw", "unsigned", "white-is-zero", "32-bit"],
)
def test_deep_grey_is_scaled_by_the_range_of_its_format(content: bytes, bits: int) -> None:
    grey = opened(content)[..., 1]
    np.testing.assert_allclose(grey, RAMP / 257, atol=0.51)
    assert (grey[0, 0], grey[-1, -1]) == (0, 255)
    assert open_picture(io.BytesIO(content)).info == {"bits": bits} and check_picture(io.BytesIO(content)).bits == bits


@pytest.mark.parametrize("content", [tiff(RAMP.astype(np.int32), 2), tiff(RAMP.astype(np.float32), 3)])
def test_numbers_without_a_range_are_refused(content: bytes) -> None:
    assert "no range to scale them to 8 bits by" in reason(content)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_their_exif_data_say(orientation: int) -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    for kind in ("JPEG", "WEBP", "PNG"):
        content = encoded(NOISE, kind, exif=exif.tobytes())
        with Image.open(io.BytesIO(content)) as image:
            turned = np.asarray(ImageOps.exif_transpose(image))
        np.testing.assert_array_equal(opened(content), turned)
    # A TIFF is turned by Pillow, once.
    content = encoded(NOISE, "TIFF", tiffinfo={EXIF_ORIENTATION: orientation})
    np.testing.assert_array_equal(opened(content), turned)


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True, "exact": True}), ("TIFF", {})])
def test_transparent_parts_lie_on_white(kind: str, options: dict[str, bool]) -> None:
    content = encoded(Image.new("RGBA", (8, 8), (200, 0, 0, 51)), kind, **options)
    assert set(map(tuple, opened(content).reshape(-1, 3))) == {(244, 204, 204)}


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "LA"])
def test_a_transparent_colour_is_white(mode: str) -> None:
    image = Image.new(mode, (8, 8), 0)
    transparency = {"LA": {}, "RGB": {"transparency": (0, 0, 0)}}.get(mode, {"transparency": 0})
    assert opened(encoded(image, "PNG", **transparency)).min() == 255


def profile(name: str, swapped: bool) -> bytes:
    """The ICC profile of sRGB by another name, with red and blue in each other's place or not."""
    content: bytes = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    content = content.replace("sRGB".encode("utf-16-be"), name.encode("utf-16-be"))
    pairs = [(b"rXYZ", b"bXYZ"), (b"bXYZ", b"rXYZ")] if swapped else []
    table = 132 + 12 * struct.unpack(">I", content[128:132])[0]
    head = content[:table]
    for index in range(132, table, 12):
        tag = dict(pairs).get(content[index : index + 4], content[index : index + 4])
        head = head[:index] + tag + head[index + 4 :]
    return head + content[table:]


def test_colours_of_a_profile_become_those_of_srgb() -> None:
    content = encoded(NOISE, "PNG", icc_profile=profile("Odd!", swapped=True))
    np.testing.assert_allclose(opened(content), np.asarray(NOISE)[..., ::-1], atol=2)


@pytest.mark.parametrize("icc_profile", [profile("sRGB", swapped=True), b"no profile" * 20], ids=["sRGB", "damaged"])
def test_srgb_and_damaged_profiles_change_no_pixel(icc_profile: bytes) -> None:
    np.testing.assert_array_equal(opened(encoded(NOISE, "PNG", icc_profile=icc_profile)), np.asarray(NOISE))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_whole_pictures_may_be_followed_by_anything_and_torn_ones_are_refused(kind: str) -> None:
    content = encoded(NOISE, kind)
    np.testing.assert_array_equal(opened(content + b"\0" * 4096 + os.urandom(100_000)), opened(content))
    assert "truncated" in reason(content[:-100])


def progressive(scans: int) -> bytes:
    """A JPEG whose last scan is there again and again, until it has ``scans``."""
    content = encoded(NOISE.resize((256, 256)), "JPEG", progressive=True)
    last = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + last * (scans - content.count(b"\xff\xda")) + content[-2:]


def test_a_jpeg_of_scans_without_end_is_refused_before_it_is_decoded() -> None:
    opened(progressive(MAX_SCANS))
    began = time.perf_counter()
    assert reason(progressive(5_000)) == f"a JPEG of more than {MAX_SCANS} scans"
    assert time.perf_counter() - began < 5
    # Of an embedded preview and of what follows the picture no scan counts.
    preview = b"\xff\xe1" + struct.pack(">H", 2 + 200 * 4) + b"\xff\xda\0\2" * 200
    content = encoded(NOISE, "JPEG")
    opened(content[:2] + preview + content[2:] + progressive(5_000))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: path.mkdir(), "not a regular file"),
        (os.mkfifo, "not a regular file"),
        (lambda path: None, "No such file or directory"),
        (Path.touch, "empty file"),
        (lambda path: path.write_bytes(encoded(NOISE, "EPS")), "none of JPEG, PNG, BMP, WebP, TIFF"),
        (lambda path: path.write_bytes(encoded(NOISE, "GIF")), "none of JPEG, PNG, BMP, WebP, TIFF"),
        (lambda path: path.write_bytes(encoded(Image.new("1", (9_500, 9_500)), "PNG")), f"more than {MAX_PIXELS}"),
        (lambda path: path.write_bytes(run_length_bmp(9_000)), "run-length compression"),
    ],
    ids=["folder", "fifo", "missing", "empty", "eps", "gif", "bomb", "runs"],
)
def test_what_is_no_picture_is_refused(make: Callable[[Path], object], why: str, tmp_path: Path) -> None:
    make(tmp_path / "0.png")
    assert why in reason(tmp_path / "0.png")


def test_a_limit_of_pixels_is_the_given_one_and_not_pillow_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    opened(encoded(NOISE, "PNG"))
    assert "30x20 pixels, more than 599" in reason(encoded(NOISE, "PNG"), max_pixels=599)


@pytest.mark.parametrize(
    ("module", "attribute", "value", "message"),
    [
        (PIL, "__version__", "8.4.0", "pillow 8.4.0 is too old: 9.1 or newer is needed"),
        (features, "check", lambda feature: feature != "webp", "this Pillow was built without WebP"),
    ],
)
def test_a_fault_of_the_library_is_not_blamed_on_the_picture(
    module: Any, attribute: str, value: object, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = encoded(NOISE, "WEBP")
    monkeypatch.setattr(module, attribute, value)
    with pytest.raises(DualGANError, match=message) as caught:
        open_picture(io.BytesIO(content))
    assert not isinstance(caught.value, BadPicture)


def test_every_runtime_s_pillow_sees_the_same_pixels(trainer: Trainer, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 8
    contents = [
        encoded(NOISE, "PNG", exif=exif.tobytes()),
        encoded(NOISE, "BMP"),
        encoded(NOISE, "TIFF", tiffinfo={EXIF_ORIENTATION: 5}),
        encoded(NOISE, "WEBP", lossless=True),
        encoded(Image.fromarray(RAMP), "PNG"),
        tiff(RAMP.astype(np.uint32) * 65537),
        encoded(Image.new("RGBA", (8, 8), (200, 0, 0, 51)), "PNG"),
    ]
    files = [tmp_path / str(number) for number in range(len(contents))]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    script = (
        "import hashlib, json, sys; from dualgan.pictures import open_picture\n"
        "print(json.dumps([hashlib.sha256(open_picture(file).tobytes()).hexdigest() for file in sys.argv[1:]]))"
    )
    answer = subprocess.run(
        [str(trainer.python), "-c", script, *map(str, files)],
        env=trainer.environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(answer.stdout) == [hashlib.sha256(open_picture(file).tobytes()).hexdigest() for file in files]


def seeds() -> dict[str, bytes]:
    options: dict[str, dict[str, Any]] = {
        "PNG": {"icc_profile": profile("Odd!", swapped=True)},
        "TIFF": {"compression": "tiff_lzw"},
    }
    made = {kind: encoded(NOISE, kind, **options.get(kind, {})) for kind in ("PNG", "JPEG", "BMP", "WEBP", "TIFF")}
    return {**made, "deep": encoded(Image.fromarray(RAMP), "PNG"), "scans": progressive(20), "grey": tiff(RAMP)}


@pytest.mark.stress
@settings(
    max_examples=int(os.environ.get("DUALGAN_FUZZ_EXAMPLES", "2000")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(content=st.sampled_from(sorted(seeds().items())), changes=st.data())
def test_a_damaged_file_is_a_picture_or_a_bad_one(content: tuple[str, bytes], changes: st.DataObject) -> None:
    damaged = bytearray(content[1])
    for place in changes.draw(st.lists(st.integers(0, len(damaged) - 1), min_size=1, max_size=8)):
        damaged[place : place + changes.draw(st.integers(0, 2))] = changes.draw(st.binary(max_size=4))
    answers = []
    for function in (open_picture, check_picture):
        try:
            function(io.BytesIO(damaged))
            answers.append("")
        except BadPicture as error:
            answers.append(error.reason)
    assert bool(answers[0]) == bool(answers[1]), answers
