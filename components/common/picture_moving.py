"""Pictures inside a page: as data, so that the page needs no other file."""

import base64
import html
import io
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from dualgan.errors import BadInput

SMALL = 128


def read_picture(path: Path) -> Image.Image:
    """The picture as RGB. Raises BadInput where the file is missing or no whole picture."""
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, UnidentifiedImageError, SyntaxError) as error:
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
