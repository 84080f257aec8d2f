"""Decoded images: each domain once as a memory-mapped uint8 array, shared by the runs on a machine."""

import os
import tempfile
from pathlib import Path
from typing import Any, List, Tuple

import numpy as np
from PIL import Image

from dualgan.dataset_folder import list_images
from dualgan.errors import BadInput

MODES = {1: "L", 3: "RGB"}


def default_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    return Path(base) / "dualgan"


def decode(path: Path, size: int, channels: int) -> Any:
    """uint8 [size, size, channels] of an image file, RGB order, resized with Pillow's bilinear filter.

    Raises BadInput, naming the file, where it is no readable image.
    """
    try:
        with Image.open(str(path)) as image:
            picture = image.convert(MODES[channels])
            if picture.size != (size, size):
                picture = picture.resize((size, size), Image.Resampling.BILINEAR)
            return np.asarray(picture, np.uint8).reshape(size, size, channels)
    except Exception as error:  # Pillow's decoders raise errors of many kinds
        raise BadInput("{}: not a readable image ({}); remove or replace it".format(path, error)) from None


def decoded_images(
    dataset: Path, split: str, domain: str, size: int, channels: int, digest: str, cache: Path
) -> Tuple[Any, List[str]]:
    """All images of one split and domain: a read-only uint8 array [N, size, size, channels], and their names.

    The array is kept in ``cache`` under the dataset's digest. Two runs that start at once may both make it; each
    puts its own in place whole, and both are the same.
    """
    paths = list_images(dataset, split, domain)
    file = cache / "{}-{}-{}-{}px-{}.npy".format(digest[:32], split, domain, size, MODES[channels])
    shape = (len(paths), size, size, channels)
    images = _read(file, shape)
    if images is None:
        _write(file, paths, size, channels)
        images = np.load(str(file), mmap_mode="r")
    stems = [path.stem for path in paths]
    return images, [path.name if stems.count(path.stem) > 1 else path.stem for path in paths]


def _read(file: Path, shape: Tuple[int, ...]) -> Any:
    try:
        images = np.load(str(file), mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    return images if images.shape == shape and images.dtype == np.uint8 else None


def _write(file: Path, paths: List[Path], size: int, channels: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=str(file.parent), suffix=".tmp")
    os.close(handle)
    try:
        shape = (len(paths), size, size, channels)
        images = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        for index, path in enumerate(paths):
            images[index] = decode(path, size, channels)
        images.flush()
        del images
        os.replace(temporary, str(file))
    except BaseException:
        os.unlink(temporary)
        raise
