"""Open pictures from outside: the one decoder of the whole software, with limits on what a file may ask for.

The first bytes of a file, not its name, say what it is; only Pillow's readers of FORMATS are ever started, so no file
starts another program. A picture comes out as it looks in a browser, in 8 bits of RGB:

- turned as its EXIF orientation says;
- transparent parts laid on white;
- an embedded colour profile converted to sRGB, unless it is sRGB or damaged;
- grey of 12, 16 or 32 bits scaled by the format's range (a PNG's 65535 becomes 255). What has no such range, as floats
  and signed numbers of a TIFF, is refused.

Whether a picture is whole is Pillow's verdict alone: what follows a whole picture in its file (the film of a motion
photo, padding) does not matter. A fault of this Pillow is a DualGANError, never a BadPicture.
"""

import contextlib
import io
import os
import re
import stat
from pathlib import Path
from typing import Any, BinaryIO, Callable, Dict, Iterator, NamedTuple, Tuple, Union

from PIL import BmpImagePlugin, Image, ImageCms, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, features
from PIL.WebPImagePlugin import WebPImageFile

from dualgan.environment import PILLOW, require_libraries
from dualgan.errors import BadInput, DualGANError, first_line

# Keys what is cached of decoded pictures: a change here that changes any picture's pixels needs another number.
DECODER = 2
# A quarter of a GiB as RGB; Pillow's own default.
MAX_PIXELS = 89_478_485
# A sample picture has the model's side.
MAX_SAMPLE_PIXELS = 1 << 24
# Each scan of a JPEG goes over the whole picture; real ones have up to 12.
MAX_SCANS = 100
MAX_JPEG_BYTES = 1 << 28

FORMATS: Dict[str, Tuple[bytes, str, Callable[[BinaryIO], Any]]] = {
    "JPEG": (rb"\xff\xd8\xff", "jpg", JpegImagePlugin.JpegImageFile),
    "PNG": (rb"\x89PNG\r\n\x1a\n", "zlib", PngImagePlugin.PngImageFile),
    "BMP": (rb"BM", "", BmpImagePlugin.BmpImageFile),
    "WebP": (rb"RIFF....WEBP", "webp", WebPImageFile),
    "TIFF": (rb"II\*\0|MM\0\*", "", TiffImagePlugin.TiffImageFile),
}
# Markers of a JPEG that may stand in a scan's data without ending it (stuffed bytes, restarts) are not met.
_MARKER = re.compile(rb"\xff([\x02-\xcf\xd8-\xfe])")
_SOI, _EOI, _SOS = b"\xd8", b"\xd9", b"\xda"
_ORIENTATION = 0x0112
# What undoes each orientation, from 2 on.
_TURNS = ["FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE", "ROTATE_270", "TRANSVERSE", "ROTATE_90"]
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_WHITE_IS_ZERO, _UNSIGNED = 0, (1,)
# A table of all values of so many bits is small; more bits say nothing that 8 could hold.
_TABLE_BITS = 16
_ALPHA_MODES = ("LA", "PA", "La", "RGBA", "RGBa")
_MODES_OF_8_BITS = ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", *_ALPHA_MODES)

Source = Union[str, Path, BinaryIO]


class BadPicture(BadInput):
    """A file that is no picture to be used; ``reason`` says why, without the file's name."""

    def __init__(self, name: object, reason: str) -> None:
        super().__init__(f"{name}: not a readable image ({reason}); remove or replace it")
        self.reason = reason


def open_picture(source: Source, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Return a picture in mode RGB, decoded whole, as this module's docstring says.

    ``info["bits"]`` of the result is there if its grey has been scaled, and says from how many bits.

    Raises:
        BadPicture: The file is missing, no regular file, none of FORMATS, damaged, or beyond a limit.
        DualGANError: This Pillow cannot decode it, or there is no memory for it.
    """
    with _decoding(source, max_pixels) as image:
        image.load()
        bits = _bits_of(image)
        colours, alpha = image, None
        if bits > 8:
            colours, alpha = _scaled(image, bits)
        elif image.mode in _ALPHA_MODES or "transparency" in image.info:
            alpha = image.convert("RGBA").getchannel("A")
        picture = _in_srgb(colours, image.info.get("icc_profile"))
        if alpha is not None:
            white = Image.new("RGB", picture.size, "white")
            white.paste(picture, mask=alpha)
            picture = white
        picture = _upright(picture, image)
        picture.info = {"bits": bits} if bits > 8 else {}
        return picture


class PictureFacts(NamedTuple):
    """The size of a picture in pixels, and how many bits a value has in its file."""

    width: int
    height: int
    bits: int


def check_picture(source: Source, max_pixels: int = MAX_PIXELS) -> PictureFacts:
    """Return what a picture is if ``open_picture`` can open it, else raise as it does.

    All of a JPEG is read, but only an eighth of the pixels a side is computed.
    """
    with _decoding(source, max_pixels) as image:
        facts = PictureFacts(image.width, image.height, _bits_of(image))
        image.draft(None, (1, 1))
        image.load()
        return facts


@contextlib.contextmanager
def _decoding(source: Source, max_pixels: int) -> Iterator[Any]:
    """Yield the Pillow image of ``source``, not yet decoded; errors in the block become those of open_picture."""
    require_libraries([PILLOW])
    name = source if isinstance(source, (str, Path)) else getattr(source, "name", "picture")
    try:
        if not isinstance(source, (str, Path)):
            yield _header(source, max_pixels)
        # Asked before it is opened: opening a fifo would wait for its writer.
        elif not stat.S_ISREG(os.stat(str(source)).st_mode):
            raise ValueError("not a regular file")
        else:
            with open(str(source), "rb") as file:
                yield _header(file, max_pixels)
    except DualGANError:
        raise
    except MemoryError:
        raise DualGANError(f"{name}: not enough memory to decode it") from None
    except (FileNotFoundError, PermissionError) as error:
        raise BadPicture(name, str(error.strerror)) from None
    # Pillow's decoders raise errors of many kinds for a damaged file; one with a number is the disk's.
    except Exception as error:
        if isinstance(error, ImportError) or re.search(r"decoder \S+ not available", str(error)):
            raise DualGANError(f"{name}: this Pillow cannot decode it ({first_line(error)})") from None
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise BadPicture(name, first_line(error)) from None


def _header(file: BinaryIO, max_pixels: int) -> Any:
    """The Pillow image of ``file``, whose pixels are not read yet."""
    start = file.read(12)
    file.seek(0)
    if not start:
        raise ValueError("empty file")
    found = [name for name, (signature, _, _) in FORMATS.items() if re.match(signature, start, re.DOTALL)]
    if not found:
        raise ValueError(f"none of {', '.join(FORMATS)}")
    _, feature, reader = FORMATS[found[0]]
    if feature and not features.check(feature):
        raise DualGANError(f"this Pillow was built without {found[0]}; install Pillow from its wheel")
    image = reader(_bounded_jpeg(file) if found[0] == "JPEG" else file)
    # A run of a few bytes may claim any number of pixels, which Pillow counts out one by one.
    if any(tile[0] == "bmp_rle" for tile in image.tile):
        raise ValueError("a BMP with run-length compression")
    width, height = image.size
    if width * height > max_pixels:
        fault = "a decompression bomb, unless --max-pixels is too low"
        raise ValueError(f"{width}x{height} pixels, more than {max_pixels}: {fault}")
    return image


def _bounded_jpeg(file: BinaryIO) -> BinaryIO:
    """A JPEG's content, refused if decoding it would take minutes."""
    content = file.read(MAX_JPEG_BYTES + 1)
    if len(content) > MAX_JPEG_BYTES:
        raise ValueError(f"a JPEG of more than {MAX_JPEG_BYTES} bytes")
    scans, marker = 0, _MARKER.search(content, 2)
    while marker is not None and marker.group(1) not in (_SOI, _EOI):
        scans += marker.group(1) == _SOS
        if scans > MAX_SCANS:
            raise ValueError(f"a JPEG of more than {MAX_SCANS} scans")
        # The two bytes of a length count themselves.
        length = int.from_bytes(content[marker.end() : marker.end() + 2], "big")
        marker = _MARKER.search(content, marker.end() + max(2, length))
    return io.BytesIO(content)


def _bits_of(image: Any) -> int:
    """How many bits a value of ``image`` has, 8 for all that Pillow decodes into bytes."""
    if image.mode in _MODES_OF_8_BITS:
        return 8
    if isinstance(image, PngImagePlugin.PngImageFile) and image.mode in ("I", "I;16"):
        return 16
    tags = getattr(image, "tag_v2", {})
    if image.mode.startswith("I") and tuple(tags.get(_SAMPLE_FORMAT, _UNSIGNED)) == _UNSIGNED:
        return int(tags[_BITS_PER_SAMPLE][0])
    raise ValueError(f"pixels of Pillow's mode {image.mode}: no range to scale them to 8 bits by")


def _scaled(image: Any, bits: int) -> Tuple[Any, Any]:
    """Grey of 8 bits from grey of more, and its mask of what is opaque, None if all is."""
    # Not above: what sends pictures to MLflow beside a training does without NumPy.
    import numpy as np

    values = np.asarray(image)
    # Pillow holds unsigned numbers of 32 bits in signed ones.
    values = values.view(np.uint32) if values.dtype == np.int32 else values
    shift = max(0, bits - _TABLE_BITS)
    table = np.rint(np.linspace(0, 255, 2 ** (bits - shift))).astype(np.uint8)
    grey = table[values >> shift]
    if getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        grey = 255 - grey
    transparent = image.info.get("transparency")
    mask = None if transparent is None else Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8))
    return Image.fromarray(grey), mask


def _in_srgb(image: Image.Image, profile: Any) -> Image.Image:
    """``image`` in mode RGB, its colours converted from the ICC profile ``profile`` (bytes) to sRGB."""
    if profile:
        # A damaged profile, or one of another kind of colour than the picture's, is passed over, as browsers do.
        with contextlib.suppress(ImageCms.PyCMSError, ValueError):
            opened = ImageCms.getOpenProfile(io.BytesIO(profile))
            mode = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}.get(opened.profile.xcolor_space.strip())
            of_picture = {"1": "L", "L": "L", "LA": "L", "La": "L", "CMYK": "CMYK"}.get(image.mode, "RGB")
            # Colours of a grey picture's profile may be RGB's as well.
            fits = mode == of_picture or (mode == "RGB" and of_picture == "L")
            if mode and fits and "sRGB" not in ImageCms.getProfileDescription(opened):
                srgb = ImageCms.createProfile("sRGB")
                converted = ImageCms.profileToProfile(image.convert(mode), opened, srgb, outputMode="RGB")
                assert converted is not None
                return converted
    return image.convert("RGB")


def _upright(picture: Image.Image, image: Any) -> Image.Image:
    """``picture`` turned as the EXIF data of ``image`` say."""
    # Pillow itself turns a TIFF when it decodes it.
    if isinstance(image, TiffImagePlugin.TiffImageFile) or not image.info.get("exif"):
        return picture
    exif = Image.Exif()
    # Damaged data say nothing, as in browsers; reading them raises errors of many kinds.
    with contextlib.suppress(Exception):
        exif.load(image.info["exif"])
    turn = dict(enumerate(_TURNS, 2)).get(exif.get(_ORIENTATION, 1))
    return picture if turn is None else picture.transpose(Image.Transpose[turn])
