"""Decoded images: each domain once as a memory-mapped uint8 array, shared by the runs on a machine.

A file of the cache is named after all that its content depends on: the dataset's digest, split, domain, size, channels
and FILTER. It is made by one run, while others that want it wait, and appears whole.
"""

import contextlib
import fcntl
from pathlib import Path
from typing import Any, Iterator, List, Tuple

import numpy as np
from PIL import Image

from dualgan.dataset_folder import list_images
from dualgan.errors import BadInput
from dualgan.run_folder import whole_file

MODES = {1: "L", 3: "RGB"}
# How images are resized: Pillow's, which averages over all pixels that become one when it makes an image smaller.
FILTER = "bilinear"


def decode(path: Path, size: int, channels: int) -> Any:
    """uint8 [size, size, channels] of an image file, RGB order, resized with Pillow's FILTER.

    Raises BadInput, naming the file, if it is no readable image.
    """
    try:
        with Image.open(str(path)) as image:
            picture = image.convert(MODES[channels])
            if picture.size != (size, size):
                picture = picture.resize((size, size), Image.Resampling.BILINEAR)
            return np.asarray(picture, np.uint8).reshape(size, size, channels)
    except Exception as error:  # Pillow's decoders raise errors of many kinds
        raise BadInput(f"{path}: not a readable image ({error}); remove or replace it") from None


def decoded_images(
    dataset: Path, split: str, domain: str, size: int, channels: int, digest: str, cache: Path
) -> Tuple[Any, List[str]]:
    """All images of one split and domain: a read-only uint8 array [N, size, size, channels], and their names.

    The array is kept in ``cache`` under the dataset's digest. Of runs that start at once one makes it.
    """
    paths = list_images(dataset, split, domain)
    file = cache / f"{digest[:32]}-{split}-{domain}-{size}px-{MODES[channels]}-{FILTER}.npy"
    shape = (len(paths), size, size, channels)
    if not _is_whole(file, shape):
        with _alone(file):
            if not _is_whole(file, shape):
                _write(file, paths, size, channels)
    images = np.load(str(file), mmap_mode="r")
    stems = [path.stem for path in paths]
    return images, [path.name if stems.count(path.stem) > 1 else path.stem for path in paths]


@contextlib.contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Keep other processes from making ``file``; the lock ends with its holder, even one that is killed.

    Where the file system has no locks each process makes the file, and puts its own in place whole.
    """
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


def _write(file: Path, paths: List[Path], size: int, channels: int) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(paths), size, size, channels)}
    with whole_file(file) as output:
        np.lib.format.write_array_header_1_0(output, header)
        for path in paths:
            output.write(decode(path, size, channels).tobytes())
