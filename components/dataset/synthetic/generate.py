"""The synthetic dataset: pencil sketches of faces (domain A) and painted portraits (domain B), unpaired.

Both domains draw the same parametric face, each picture with parameters of its own: nothing is paired.
"""

import logging
from pathlib import Path

import numpy as np
from numpy.random import RandomState
from PIL import Image, ImageFilter
from tqdm import tqdm

from components.dataset.synthetic.face import Face, draw_face
from components.dataset.synthetic.options import SyntheticOptions
from components.dataset.synthetic.painting import Palette, mixed, paint
from dualgan.dataset_folder import DOMAINS, SPLITS

SKINS = ((250, 220, 196), (241, 203, 172), (229, 184, 148), (208, 158, 118), (172, 120, 82), (128, 84, 58))
HAIRS = ((34, 27, 26), (62, 40, 28), (98, 62, 36), (140, 88, 46), (196, 152, 88), (168, 72, 34), (150, 146, 142))
IRISES = ((70, 44, 26), (96, 64, 34), (58, 98, 140), (72, 112, 82), (88, 96, 104))
CLOTHES = ((56, 74, 110), (130, 50, 52), (64, 96, 80), (74, 64, 84), (196, 176, 140), (44, 44, 50), (188, 98, 60))
WALLS = ((120, 158, 188), (150, 176, 150), (206, 178, 128), (178, 142, 160), (128, 132, 162), (196, 206, 212))
PAPERS = ((252, 251, 248), (250, 246, 236), (246, 240, 226), (248, 248, 248))
GRAPHITE = np.array([52.0, 50.0, 54.0])
HATCH_SPACING = 0.03
# Left, top, right and bottom of what stays of a painting: the head fills it as in a portrait dataset.
CROP = np.array([0.055, 0.04, 0.945, 0.93])

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
    # Painted three times as large, large ones less, and then made smaller.
    side = max(2 * options.size, min(3 * options.size, 512))
    picture = {"A": _sketch, "B": _portrait}[domain](draw_face(random), random, side)
    left, top, right, bottom = CROP * side
    size = (options.size, options.size)
    return picture.resize(size, Image.Resampling.LANCZOS, box=(left, top, right, bottom))


def _portrait(face: Face, random: RandomState, side: int) -> Image.Image:
    skin, hair, iris, clothes, wall = (
        mixed(colours[random.randint(len(colours))], tuple(random.randint(0, 256, 3)), 0.06)
        for colours in (SKINS, HAIRS, IRISES, CLOTHES, WALLS)
    )
    y, x = np.mgrid[-0.5 : 0.5 : side * 1j, -0.5 : 0.5 : side * 1j]
    angle, depth = random.uniform(0, 2 * np.pi), random.uniform(0, 0.38)
    # Light that comes from a side, or from around the head.
    shade = 0.5 + x * np.cos(angle) + y * np.sin(angle) if random.uniform() < 0.5 else np.hypot(x, y + 0.05) * 1.5
    background = np.rint(np.array(wall) * (1 - depth * np.clip(shade, 0, 1)[:, :, None])).astype(np.uint8)
    return paint(face, Palette(skin, hair, iris, clothes), Image.fromarray(background), random)


def _sketch(face: Face, random: RandomState, side: int) -> Image.Image:
    """A portrait in grey tells where the pencil goes: lines where it is darker than around, hatching in its shade."""
    skin, hair, iris, clothes, blush, lips, outline = (
        (grey, grey, grey) for grey in (236, int(random.uniform(60, 170)), 80, 225, 226, 170, 120)
    )
    paper, colours = Image.new("RGB", (side, side), "white"), Palette(skin, hair, iris, clothes, blush, lips, outline)
    picture = paint(face, colours, paper, random).convert("L")
    grey = np.asarray(picture, dtype=np.float64)
    around = np.asarray(picture.filter(ImageFilter.GaussianBlur(0.02 * side)), dtype=np.float64)
    y, x = np.mgrid[0:side, 0:side] / side
    stripes = np.sin(2 * np.pi / HATCH_SPACING * (y - face.light * 0.9 * x + 0.002 * np.sin(20 * x))) > 0.1
    shade = np.clip((200 - grey) / 140, 0, 1) ** 1.5
    graphite = 1.5 * np.clip(1 - grey / np.maximum(around, 1), 0, 1) + shade * np.where(stripes, 0.78, 0.27)
    grain = random.uniform(-1, 1, (side, side, 1))
    darkness = np.clip(graphite[:, :, None] * random.uniform(0.85, 1.1) * (1 + 0.22 * grain), 0, 1)
    tint = np.array(PAPERS[random.randint(len(PAPERS))], dtype=np.float64)
    colour = tint + (GRAPHITE - tint) * darkness + 2.5 * grain
    return Image.fromarray(np.clip(np.rint(colour), 0, 255).astype(np.uint8))
