"""HTML pages: one base template, one style sheet, filters for numbers, pictures as data inside the page."""

import base64
import html
import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jinja2
from PIL import Image

from dualgan.errors import BadInput

TEMPLATES = Path(__file__).parent / "templates"
# Pictures up to so many pixels a side keep their pixels when they are enlarged.
SMALL = 128
MAX_PICTURE_BYTES = 64 << 20
MAX_PIXELS = 4096 * 4096


def environment(templates: Path) -> jinja2.Environment:
    """Jinja2 over ``templates`` and the base; ``*.html.j2`` is escaped, an unknown name is an error."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader([templates, TEMPLATES]),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["number"] = number
    made.filters["memory"] = memory
    return made


def number(value: float | int | str | None) -> str:
    """Four significant digits; a dash for what was not measured."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"
    return str(value)


def memory(size: int | None) -> str:
    """A size in bytes with the unit in which it is short."""
    if size is None:
        return "–"
    return f"{size / 2**30:.2f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"


def read_picture(path: Path) -> Image.Image:
    """Return a picture as RGB. Raises BadInput if the file is missing, too large or no whole PNG or JPEG."""
    with _opened(path) as image:
        return image.convert("RGB")


def picture_size(path: Path) -> tuple[int, int]:
    """Return width and height, of which only the file's head is read. Raises BadInput as read_picture does."""
    with _opened(path) as image:
        return image.size


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    # A pipe would be waited for, other formats start programs, and a small file may unpack to more than memory holds.
    try:
        if not path.is_file() or path.stat().st_size > MAX_PICTURE_BYTES:
            raise ValueError(f"no file of at most {MAX_PICTURE_BYTES >> 20} MiB")
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"more than {MAX_PIXELS} pixels")
            yield image
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, struct.error, zlib.error) as error:
        raise BadInput(f"{path}: not a readable picture ({error}); draw the samples anew") from None


def picture_tag(image: Image.Image, description: str) -> str:
    """An ``<img>`` that carries ``image``; up to SMALL pixels a side it keeps its pixels when enlarged."""
    small = max(image.size) <= SMALL
    text = html.escape(description)
    kind = "small" if small else "large"
    return (
        f'<img class="{kind}" width="{image.width}" height="{image.height}" '
        f'alt="{text}" title="{text}" src="{_data_uri(image, small)}">'
    )


def _data_uri(image: Image.Image, lossless: bool) -> str:
    buffer = io.BytesIO()
    if lossless:
        image.save(buffer, "PNG", optimize=True)
    else:
        image.save(buffer, "JPEG", quality=90)
    encoded = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f"data:image/{'png' if lossless else 'jpeg'};base64,{encoded}"
