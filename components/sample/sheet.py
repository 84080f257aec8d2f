"""The contact sheet: all pictures of a sample folder on one HTML page that needs no other file."""

import os
import tempfile
from pathlib import Path

from components.common.html import environment, picture_tag
from dualgan.errors import BadInput
from dualgan.pictures import MAX_SAMPLE_PIXELS, open_picture
from dualgan.run_folder import SAMPLE_KINDS, read_samples

TEMPLATES = Path(__file__).parent / "templates"

CAPTIONS = {
    "real_A": "A as it is",
    "A2B": "A drawn as B",
    "A2B2A": "and back to A",
    "real_B": "B as it is",
    "B2A": "B drawn as A",
    "B2A2B": "and back to B",
}


def write_sheet(samples: Path, title: str, html: Path) -> None:
    """Write the contact sheet of the sample folder ``samples`` to ``html``, whole or not at all.

    Rows are validation images, columns the kinds of dualgan.run_folder.SAMPLE_KINDS. Raises BadInput where
    the folder is missing or holds no sample picture, or where a picture cannot be read.
    """
    if not samples.is_dir():
        raise BadInput(f"{samples}: no such folder; name a folder of sample pictures, such as RUN/samples/step-000100")
    rows: dict[str, dict[str, str]] = {}
    for image, kind, path in read_samples(samples):
        tag = picture_tag(open_picture(path, MAX_SAMPLE_PIXELS), f"{image}: {kind}")
        rows.setdefault(image, {})[kind] = tag
    if not rows:
        raise BadInput(f"{samples}: no picture named {{image}}-{{kind}}.png, kind one of {', '.join(SAMPLE_KINDS)}")
    page = environment(TEMPLATES).get_template("sheet.html.j2")
    text = page.render(title=title, folder=samples.name, kinds=SAMPLE_KINDS, captions=CAPTIONS, rows=rows)
    _write_whole(html, text)


def _write_whole(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name + ".")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
