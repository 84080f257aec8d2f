"""Drawing sample pictures with a pair of generators."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Callable, List, NamedTuple

import numpy as np
from PIL import Image

from dualgan.image_cache import decoded_images
from dualgan.losses import Translations
from dualgan.options import TrainOptions
from dualgan.run_folder import sample_path


class SampleInput(NamedTuple):
    """A pair of validation images, uint8 [S, S, C], and the name that its pictures get."""

    name: str
    A: Any
    B: Any


def sample_inputs(options: TrainOptions, digest: str, cache: Path, count: int) -> List[SampleInput]:
    """The first ``count`` validation pairs (all for 0); of the training images where there are no validation images."""
    domains = []
    for domain, channels in (("A", options.A_channels), ("B", options.B_channels)):
        for split in ("val", "train"):
            images, names = decoded_images(
                Path(options.data_dir), split, domain, options.image_size, channels, digest, cache
            )
            if len(images):
                break
        domains.append((images, names))
    (A, names), (B, _) = domains
    pairs = [SampleInput(name, A[index], B[index]) for index, name in enumerate(names[: len(B)])]
    return pairs[:count] if count else pairs


def to_picture(image: Any) -> Image.Image:
    """A picture of float32 [S, S, C] in [-1, 1]."""
    pixels = np.clip(np.rint((image + 1.0) * 127.5), 0, 255).astype(np.uint8)
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def draw(folder: Path, inputs: List[SampleInput], sample: Callable[[Any, Any], Translations]) -> None:
    """Make ``folder`` with six pictures of each input, whole or not at all; what was there is replaced."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=str(folder.parent), prefix=".unfinished-"))
    try:
        for item in inputs:
            translations = sample(item.A[np.newaxis], item.B[np.newaxis])
            for kind, images in zip(Translations._fields, translations):
                to_picture(images[0]).save(str(sample_path(temporary, item.name, kind)))
        temporary.chmod(0o755)
        if folder.exists():
            shutil.rmtree(str(folder))
        os.replace(str(temporary), str(folder))
    except BaseException:
        shutil.rmtree(str(temporary), ignore_errors=True)
        raise
