"""Pages in HTML and Markdown: templates, filters for numbers, pictures as data inside the page, the contact sheet.

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

from dualgan.errors import BadInput, printable
from dualgan.pictures import MAX_SAMPLE_PIXELS, open_picture
from dualgan.run_folder import KINDS_FROM, SAMPLE_KINDS, read_samples, whole_file

TEMPLATES = Path(__file__).parent / "templates"
# Pictures up to so many pixels a side keep their pixels when they are enlarged.
SMALL = 128
CAPTIONS = {
    "real_A": "A as it is",
    "A2B": "A drawn as B",
    "A2B2A": "and back to A",
    "real_B": "B as it is",
    "B2A": "B drawn as A",
    "B2A2B": "and back to B",
}


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
    return made


def number(value: float | int | str | None) -> str:
    """Four significant digits; a dash for what was not measured."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"
    return str(value)


def picture_tag(image: Image.Image, description: str) -> str:
    """An ``<img>`` that carries ``image``; up to SMALL pixels a side it keeps its pixels when enlarged."""
    buffer, text = io.BytesIO(), html.escape(printable(description))
    if max(image.size) <= SMALL:
        kind, mime = "small", "image/png"
        image.save(buffer, "PNG", optimize=True)
    else:
        kind, mime = "large", "image/jpeg"
        image.save(buffer, "JPEG", quality=90)
    return (
        f'<img class="{kind}" width="{image.width}" height="{image.height}" alt="{text}" title="{text}" '
        f'src="data:{mime};base64,{base64.b64encode(buffer.getvalue()).decode("ascii")}">'
    )


def write_sheet(samples: Path, title: str, page: Path) -> None:
    """Write the contact sheet of the sample folder ``samples`` to ``page``, whole or not at all.

    Rows are validation images, columns SAMPLE_KINDS; a domain that has no image in a row has no pictures there.
    """
    if not samples.is_dir():
        raise BadInput(f"{samples}: no such folder; name a folder of sample pictures, such as RUN/samples/step-000100")
    rows: dict[str, dict[str, str]] = {}
    for image, kind, path in read_samples(samples):
        tag = picture_tag(open_picture(path, MAX_SAMPLE_PIXELS), f"{image}: {kind}")
        rows.setdefault(image, {})[kind] = tag
    if not rows:
        raise BadInput(f"{samples}: no picture named {{image}}-{{kind}}.png, kind one of {', '.join(SAMPLE_KINDS)}")
    for pictures in rows.values():
        for kinds in KINDS_FROM.values():
            if not any(kind in pictures for kind in kinds):
                pictures.update(dict.fromkeys(kinds, ""))
    template = environment(TEMPLATES).get_template("sheet.html.j2")
    text = template.render(title=title, folder=samples.name, kinds=SAMPLE_KINDS, captions=CAPTIONS, rows=rows)
    page.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(page) as file:
        file.write(text.encode("utf-8"))
