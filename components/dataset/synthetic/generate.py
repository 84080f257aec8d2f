"""The synthetic dataset: pencil sketches of faces (domain A) and painted portraits (domain B), unpaired.

Both domains draw the same parametric face, each picture with parameters of its own: nothing is paired.
"""

import logging
from pathlib import Path

from numpy.random import RandomState
from PIL import Image
from tqdm import tqdm

from components.dataset.synthetic.face import draw_face
from components.dataset.synthetic.options import SyntheticOptions
from components.dataset.synthetic.portrait import portrait
from components.dataset.synthetic.sketch import sketch
from dualgan.dataset_folder import DOMAINS, SPLITS

PAINTERS = {"A": sketch, "B": portrait}

log = logging.getLogger(__name__)


def generate(options: SyntheticOptions, folder: Path) -> None:
    """Write ``folder``/{train,val}/{A,B}/0000.png and so on, RGB pictures of ``options.size`` pixels a side.

    A picture depends on seed, size, split, domain and number alone: a larger ``n`` changes none of them.
    """
    counts = {"train": options.n, "val": options.validation}
    images = [(split, domain, index) for split in SPLITS for domain in DOMAINS for index in range(counts[split])]
    log.info("drawing %d images", len(images))
    for split, domain, index in tqdm(images, desc="drawing", unit="image", disable=None):
        target = folder / split / domain / f"{index:04d}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        # Stored, not deflated: builds of zlib compress differently, and the digest must not tell them apart.
        synthetic_image(options, split, domain, index).save(target, compress_level=0)


def synthetic_image(options: SyntheticOptions, split: str, domain: str, index: int) -> Image.Image:
    """Return one picture of the synthetic dataset, RGB, ``options.size`` pixels a side."""
    random = RandomState([options.seed, SPLITS.index(split), DOMAINS.index(domain), index])
    return PAINTERS[domain](draw_face(random), random, options.size)
