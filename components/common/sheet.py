"""The contact sheet: all pictures of a sample folder on one HTML page that needs no other file."""

from pathlib import Path

from components.common.html import TEMPLATES, environment, picture_tag
from dualgan.errors import BadInput
from dualgan.pictures import MAX_SAMPLE_PIXELS, open_picture
from dualgan.run_folder import KINDS_FROM, SAMPLE_KINDS, read_samples, whole_file

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

    Rows are validation images, columns SAMPLE_KINDS; a domain that has no image in a row has no pictures there. Raises
    BadInput if the folder is missing or holds no sample picture, or if a picture cannot be read.
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
    page = environment(TEMPLATES).get_template("sheet.html.j2")
    text = page.render(title=title, folder=samples.name, kinds=SAMPLE_KINDS, captions=CAPTIONS, rows=rows)
    html.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(html) as file:
        file.write(text.encode("utf-8"))
