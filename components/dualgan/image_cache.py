"""Decoded images: each domain once as a memory-mapped uint8 array, shared by the runs on a machine.

A file of the cache is named after all that its content depends on: the dataset's digest, split, domain, size, channels,
FILTER and DECODER. It is made by one run, while others that want it wait, and appears whole.
"""

import contextlib
import fcntl
from pathlib import Path
from typing import Any, Iterator, List, Tuple

import numpy as np
from PIL import Image

from dualgan.dataset_folder import list_images, picture_names
from dualgan.errors import warn
from dualgan.options import TrainOptions
from dualgan.pictures import DECODER, open_picture
from dualgan.run_folder import whole_file

MODES = {1: "L", 3: "RGB"}
# How images are resized: Pillow's, which averages over all pixels that become one when it makes an image smaller.
FILTER = "bilinear"


def resized(picture: Image.Image, size: int, channels: int) -> Any:
    """uint8 [size, size, channels] of an RGB picture, in RGB order or grey, resized with Pillow's FILTER."""
    picture = picture.convert(MODES[channels])
    if picture.size != (size, size):
        picture = picture.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(picture, np.uint8).reshape(size, size, channels)


def decoded_images(options: TrainOptions, split: str, domain: str, digest: str, cache: Path) -> Tuple[Any, List[str]]:
    """All images of one split and domain: a read-only uint8 array [N, S, S, C], and their names."""
    paths, size = list_images(Path(options.data_dir), split, domain), options.image_size
    channels = options.A_channels if domain == "A" else options.B_channels
    file = cache / f"{digest[:32]}-{split}-{domain}-{size}px-{MODES[channels]}-{FILTER}-{DECODER}.npy"
    shape = (len(paths), size, size, channels)
    if not _is_whole(file, shape):
        with _alone(file):
            if not _is_whole(file, shape):
                _write(file, paths, shape, options.max_pixels)
    return np.load(str(file), mmap_mode="r"), picture_names(paths)


@contextlib.contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Keep other processes from making ``file``; on a file system without locks each makes it, and whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(str(file.with_suffix(".lock")), "w") as lock:
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
            # What a killed run left; whoever holds the lock is the only one who writes.
            for left in file.parent.glob(file.stem + ".*.tmp"):
                left.unlink()
        yield


def _is_whole(file: Path, shape: Tuple[int, ...]) -> bool:
    try:
        images = np.load(str(file), mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return False
    return bool(images.shape == shape and images.dtype == np.uint8)


def _write(file: Path, paths: List[Path], shape: Tuple[int, ...], max_pixels: int) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    scaled = 0
    with whole_file(file) as output:
        np.lib.format.write_array_header_1_0(output, header)
        for path in paths:
            picture = open_picture(path, max_pixels)
            scaled += "bits" in picture.info
            output.write(resized(picture, *shape[2:]).tobytes())
    if scaled:
        deep = f"{scaled} of {len(paths)} images are grey of more than 8 bits"
        warn(f"{paths[0].parent}: {deep}; they were scaled to 8 by their format's range")
