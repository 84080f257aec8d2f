"""Translate pictures of any size, from anywhere, with a trained run or an exported graph.

A picture is squeezed to the model's size as the training images were, translated, and brought back to its own size.
"""

import base64
import html
import io
from pathlib import Path
from typing import Any, Iterable, List, NamedTuple, Optional, Sequence, Tuple
from urllib.parse import quote

from PIL import Image

from dualgan.dataset_folder import IMAGE_ENDINGS, images_in, left_out_reasons, picture_names
from dualgan.devices import Device, open_device, open_recorded_device
from dualgan.errors import BadInput, warn
from dualgan.image_cache import resized
from dualgan.options import recorded_options
from dualgan.pictures import MAX_PIXELS, BadPicture, open_picture
from dualgan.run_folder import RunFolder, whole_folder
from dualgan.sampling import (
    GENERATORS,
    INPUT,
    OUTPUT,
    frozen_generator,
    generator_weights,
    require_empty,
    running,
    to_picture,
)
from dualgan.tensorflow_v1 import tf

SHEET = "sheet.html"
THUMBNAIL_SIDE = 256
SHEET_START = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Translated pictures</title><style>
body { font-family: sans-serif; margin: 2em } td, th { padding: 0.3em 1em }
th { text-align: left; max-width: 16em; overflow-wrap: anywhere }
</style></head><body><h1>Translated pictures</h1>
<table><tr><th>picture</th><th>as it is</th><th>translated</th></tr>
"""


class Generator(NamedTuple):
    """A frozen generator (a GraphDef), what its input is, the device to run it on, and the largest picture."""

    graph: Any
    size: int
    channels: int
    device: Device
    max_pixels: int = MAX_PIXELS


class Outcome(NamedTuple):
    """How many pictures were translated, and why others were not."""

    translated: int
    problems: List[str]


def generator_of_run(run_dir: Path, direction: str, device_name: Optional[str] = None) -> Generator:
    """The generator of a run's newest checkpoint. Raises BadInput if there is none."""
    folder = RunFolder(run_dir)
    options = recorded_options(folder)
    graph = frozen_generator(options, generator_weights(folder, options)[1], direction)
    channels = options.A_channels if direction == "A2B" else options.B_channels
    device = open_recorded_device(options, device_name)
    return Generator(graph, options.image_size, channels, device, options.max_pixels)


def exported_generator(file: Path, direction: Optional[str] = None, device_name: Optional[str] = None) -> Generator:
    """The generator of a graph that `export` has written: ``file``, or that of ``direction`` in the folder ``file``.

    Raises BadInput if the file is missing or no such graph, or of the other direction.
    """
    if file.is_dir():
        if direction is None:
            raise BadInput(f"--direction: {file} is a folder; say A2B or B2A")
        file = file / f"{direction}.pb"
    elif direction and file.stem in GENERATORS and file.stem != direction:
        raise BadInput(f"--direction {direction}: {file} is the graph of the other direction")
    if not file.is_file():
        raise BadInput(f"{file}: no such file; `dualgan export` writes A2B.pb and B2A.pb")
    graph = tf.GraphDef()
    try:
        graph.ParseFromString(file.read_bytes())
        nodes = {node.name: node for node in graph.node}
        _, height, width, channels = (side.size for side in nodes[INPUT].attr["shape"].shape.dim)
    # protobuf's error is of another type in each of its implementations.
    except Exception:
        nodes = {}
    if OUTPUT not in nodes or height != width or channels not in (1, 3):
        raise BadInput(f"{file}: no graph that `dualgan export` has written; export the run anew")
    return Generator(graph, height, channels, open_device(device_name or "cpu"))


def find_pictures(inputs: Iterable[Path]) -> Tuple[List[Path], str]:
    """Return the pictures among ``inputs``, files and flat folders of them, and what of the folders is not taken.

    Raises BadInput for one that is missing, and for a folder without a picture.
    """
    pictures: List[Path] = []
    rest, folders = [], 0
    for path in inputs:
        if not path.is_dir():
            if not path.exists():
                raise BadInput(f"{path}: no such file or folder; name a picture or a folder of pictures")
            pictures.append(path)
            continue
        found = images_in(path)
        if not found:
            raise BadInput(f"{path}: no image in it ({', '.join(IMAGE_ENDINGS)}); folders in it are not looked into")
        pictures += found
        others = [other for other in set(path.iterdir()).difference(found) if not other.name.startswith(".")]
        rest += [(other.name,) for other in others if not other.is_dir()]
        folders += sum(other.is_dir() for other in others)
    of_folders = f"{folders} folder{'s' if folders > 1 else ''}, not looked into" if folders else ""
    return pictures, "; ".join(filter(None, (left_out_reasons(rest), of_folders)))


def translate(
    generator: Generator,
    inputs: Sequence[Path],
    output: Path,
    own_size: bool = True,
    max_pixels: Optional[int] = None,
) -> Outcome:
    """Make the folder ``output`` with the translation of each picture under its name, and SHEET, an HTML page of all.

    Pictures that cannot be read, or have more than ``max_pixels``, are passed over and named in the result. Raises
    BadInput if there is no picture to translate, or if ``output`` is not empty.

    Args:
        generator: Of one direction.
        inputs: Files and flat folders.
        own_size: Bring each translation back to its picture's own size; else it has the model's.
    """
    require_empty(output)
    files, rest = find_pictures(inputs)
    if rest:
        warn(f"not taken: {rest}")
    problems = []
    with whole_folder(output) as unfinished, running(generator.graph, generator.device) as translated:
        with open(str(unfinished / SHEET), "w", encoding="utf-8") as sheet:
            sheet.write(SHEET_START)
            for file, name in zip(files, picture_names(files)):
                try:
                    picture = open_picture(file, max_pixels or generator.max_pixels)
                except BadPicture as error:
                    problems.append(str(error))
                    continue
                translation = to_picture(translated(resized(picture, generator.size, generator.channels)))
                if own_size:
                    translation = translation.resize(picture.size, Image.Resampling.BICUBIC)
                translation.save(str(unfinished / f"{name}.png"))
                link = quote(f"{name}.png", errors="surrogateescape")
                shown = html.escape(f"{name}.png".encode("utf-8", "replace").decode("utf-8"))
                sheet.write(f'<tr><th><a href="{link}">{shown}</a></th>{_cell(picture)}{_cell(translation)}</tr>\n')
            sheet.write("</table></body></html>\n")
        if len(problems) == len(files):
            raise BadInput(f"none of {len(files)} pictures can be read: {problems[0]}")
    return Outcome(len(files) - len(problems), problems)


def _cell(picture: Image.Image) -> str:
    """A cell of the sheet's table with a small JPEG of ``picture``."""
    small = picture.convert("RGB")
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=90)
    content = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<td><img alt="" src="data:image/jpeg;base64,{content}"></td>'
