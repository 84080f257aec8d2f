"""HTML pages: one base template, one style sheet, filters for numbers, pictures as data inside the page."""

import base64
import html
import io
from pathlib import Path

import jinja2
from PIL import Image

from dualgan.errors import BadInput
from dualgan.pictures import MAX_SAMPLE_PIXELS, BadPicture, open_picture

TEMPLATES = Path(__file__).parent / "templates"
# Pictures up to so many pixels a side keep their pixels when they are enlarged.
SMALL = 128


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
    """The picture as RGB. Raises BadInput if the file is missing or no whole picture."""
    try:
        return open_picture(path, MAX_SAMPLE_PIXELS)
    except BadPicture as error:
        raise BadInput(f"{path}: not a readable picture ({error.reason}); draw the samples anew") from None


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
