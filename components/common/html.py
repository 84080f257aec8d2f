"""Pages in HTML and Markdown: a base template, a style sheet, filters for numbers, pictures as data inside the page.

Whatever a template shows is text: names and reasons from outside become neither markup nor links.
"""

import base64
import html
import io
import re
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from PIL import Image

from dualgan.errors import printable

TEMPLATES = Path(__file__).parent / "templates"
# Pictures up to so many pixels a side keep their pixels when they are enlarged.
SMALL = 128


def environment(templates: Path) -> jinja2.Environment:
    """Return Jinja2 over ``templates`` and the base for HTML; an unknown name is an error."""
    return _environment(templates, autoescape=True, finalize=_shown)


def markdown_environment(templates: Path) -> jinja2.Environment:
    """Return Jinja2 over ``templates`` for Markdown: all that a template inserts is plain text of one line."""
    return _environment(templates, finalize=markdown_text)


def markdown_text(value: object) -> str:
    """Return ``value`` as it has to stand in Markdown, GitHub's included, to be seen as it is."""
    text = printable(re.sub(r"\s*[\r\n]+\s*", " ", str(value)))
    text = re.sub(r"[\\`*\[\]|~]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", text)
    # Addresses become links by themselves, of web pages and of people.
    return re.sub(r"[&<>@$]|(?<=:)//|(?<=www)\.", lambda found: "".join(f"&#{ord(one)};" for one in found[0]), text)


def _shown(value: object) -> object:
    return value if isinstance(value, Markup) or not isinstance(value, str) else printable(value)


def _environment(templates: Path, **settings: Any) -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader([templates, TEMPLATES]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **settings,
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


def picture_tag(image: Image.Image, description: str) -> str:
    """An ``<img>`` that carries ``image``; up to SMALL pixels a side it keeps its pixels when enlarged."""
    small = max(image.size) <= SMALL
    text = html.escape(printable(description))
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
