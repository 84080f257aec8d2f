"""The synthetic dataset: pencil sketches of faces (domain A) and painted portraits (domain B), unpaired.

Both domains draw the same parametric face, each picture with parameters of its own: nothing is paired.
"""

import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.random import RandomState
from PIL import Image, ImageChops, ImageDraw, ImageFilter
from tqdm import tqdm

from components.dataset.sources import Synthetic
from components.dataset.synthetic.face import Face, Points, Shapes, draw_face, ellipse, shapes_of
from dualgan.dataset_folder import DOMAINS, SPLITS

Colour = tuple[int, int, int]

LIGHT = (255, 248, 236)
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


def generate(options: Synthetic, folder: Path) -> None:
    """Write ``folder``/{train,val}/{A,B}/0000.png and so on; a larger ``n`` changes none of the others."""
    counts = {"train": options.n, "val": options.validation}
    images = [(split, domain, index) for split in SPLITS for domain in DOMAINS for index in range(counts[split])]
    log.info("drawing %d images", len(images))
    for split, domain, index in tqdm(images, desc="drawing", unit="image", disable=None):
        target = folder / split / domain / f"{index:04d}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        # Stored, not deflated: builds of zlib compress differently, and the digest must not tell them apart.
        synthetic_image(options, split, domain, index).save(target, compress_level=0)


def synthetic_image(options: Synthetic, split: str, domain: str, index: int) -> Image.Image:
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
        _mixed(colours[random.randint(len(colours))], tuple(random.randint(0, 256, 3)), 0.06)
        for colours in (SKINS, HAIRS, IRISES, CLOTHES, WALLS)
    )
    y, x = np.mgrid[-0.5 : 0.5 : side * 1j, -0.5 : 0.5 : side * 1j]
    angle, depth = random.uniform(0, 2 * np.pi), random.uniform(0, 0.38)
    # Light that comes from a side, or from around the head.
    shade = 0.5 + x * np.cos(angle) + y * np.sin(angle) if random.uniform() < 0.5 else np.hypot(x, y + 0.05) * 1.5
    background = np.rint(np.array(wall) * (1 - depth * np.clip(shade, 0, 1)[:, :, None])).astype(np.uint8)
    return _paint(face, Palette(skin, hair, iris, clothes), Image.fromarray(background), random)


def _sketch(face: Face, random: RandomState, side: int) -> Image.Image:
    """A portrait in grey tells where the pencil goes: lines where it is darker than around, hatching in its shade."""
    skin, hair, iris, clothes, blush, lips, outline = (
        (grey, grey, grey) for grey in (236, int(random.uniform(60, 170)), 80, 225, 226, 170, 120)
    )
    paper, colours = Image.new("RGB", (side, side), "white"), Palette(skin, hair, iris, clothes, blush, lips, outline)
    picture = _paint(face, colours, paper, random).convert("L")
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


class Palette(NamedTuple):
    """The colours of one portrait; ``outline`` is that of a line around head and neck, None for none."""

    skin: Colour
    hair: Colour
    iris: Colour
    clothes: Colour
    blush: Colour = (206, 84, 80)
    lips: Colour = (176, 52, 60)
    outline: Colour | None = None


class Painting:
    """An RGB picture that is painted over in units of its side, one layer on the other."""

    def __init__(self, image: Image.Image) -> None:
        self.image, self.side = image, image.width

    def mask(self, shape: Points, blur: float = 0.0) -> Image.Image:
        """Return a mask of the polygon ``shape``, its edge blurred by a radius of ``blur``."""
        mask = Image.new("L", (self.side, self.side), 0)
        ImageDraw.Draw(mask).polygon(self._pixels(shape), fill=255)
        # A wide blur looks the same when it is made at a smaller scale, and takes a fraction of the time.
        scale = max(1, int(blur * self.side / 2))
        small = mask.reduce(scale) if scale > 1 else mask
        soft = small.filter(ImageFilter.GaussianBlur(blur * self.side / scale)) if blur else small
        return soft.resize(mask.size, Image.Resampling.BILINEAR) if scale > 1 else soft

    def fill(self, shape: Points, colour: Colour, blur: float = 0.0, region: Image.Image | None = None) -> None:
        """Paint ``shape``, its edge blurred by ``blur``, as far as it lies in ``region``."""
        mask = self.mask(shape, blur)
        self.image.paste(colour, mask=mask if region is None else ImageChops.multiply(mask, region))

    def line(self, points: Points, colour: Colour, width: float) -> None:
        """Paint a line along ``points``."""
        thickness = max(1, round(width * self.side))
        ImageDraw.Draw(self.image).line(self._pixels(points), fill=colour, width=thickness, joint="curve")

    def _pixels(self, points: Points) -> list[tuple[int, int]]:
        """Whole pixels, so that no rounding of a machine's arithmetic moves an edge."""
        return [(int(x), int(y)) for x, y in np.rint(points * self.side).astype(np.int64)]


def _paint(face: Face, colours: Palette, wall: Image.Image, random: RandomState) -> Image.Image:
    """Return ``wall`` with ``face`` painted on it."""
    painting, shapes = Painting(wall), shapes_of(face)
    for edge in shapes["back"]:
        _paint_hair(painting, edge, shapes["back strands"], _dark(colours.hair, 0.82), random)
    _paint_body(painting, face, shapes, colours)
    _paint_head(painting, face, shapes, colours)
    _paint_eyes(painting, face, shapes, colours)
    _paint_nose_and_mouth(painting, face, shapes, colours)
    for edge in shapes["front"]:
        shade = np.add(edge, (-face.light * 0.008, 0.022))
        painting.fill(shade, _dark(colours.skin, 0.77), 0.01, painting.mask(shapes["head"][0]))
        _paint_hair(painting, edge, shapes["front strands"], colours.hair, random)
    for part in shapes["glasses"]:
        painting.line(part, (40, 32, 30), 0.013)
    return painting.image


def _paint_hair(painting: Painting, edge: Points, strands: list[Points], colour: Colour, random: RandomState) -> None:
    """Paint the hair inside ``edge``, darker at its rim, each strand in a shade of its own."""
    layer = Painting(Image.new("RGB", painting.image.size, _dark(colour, 0.6)))
    layer.fill(edge, colour, 0.022)
    for strand in strands:
        layer.line(strand, _dark(colour, random.uniform(0.75, 1.15)), 0.009)
        start = random.randint(len(strand) // 2 + 1)
        if random.uniform() < 0.65:
            layer.line(strand[start : start + len(strand) // 3 + 2], _mixed(colour, LIGHT, 0.2), 0.008)
    painting.image.paste(layer.image, mask=painting.mask(edge))


def _paint_body(painting: Painting, face: Face, shapes: Shapes, colours: Palette) -> None:
    (shoulders,), (collar,), (neck,), (head,) = (shapes[name] for name in ("shoulders", "collar", "neck", "head"))
    painting.fill(shoulders, _dark(colours.clothes, 0.7))
    lit = np.add(shoulders, (face.light * 0.1, 0.05))
    painting.fill(lit, colours.clothes, 0.03, painting.mask(shoulders))
    above = painting.mask(np.concatenate([collar, np.array([[1.0, 0.3], [0.0, 0.3]])]))
    bare = ImageChops.multiply(ImageChops.lighter(painting.mask(neck), painting.mask(collar)), above)
    painting.image.paste(_dark(colours.skin, 0.9), mask=bare)
    painting.fill(np.add(head, (0, 0.05)), _dark(colours.skin, 0.58), 0.018, bare)
    painting.line(collar, _dark(colours.clothes, 0.55), 0.012)
    if colours.outline:
        for side in (neck[[0, -1]], neck[[20, 21]]):
            painting.line(side, colours.outline, 0.007)


def _paint_head(painting: Painting, face: Face, shapes: Shapes, colours: Palette) -> None:
    skin, (outline,), light = colours.skin, shapes["head"], face.light
    for ear in shapes["ear"]:
        painting.fill(ear, _dark(skin, 0.9))
        painting.fill((ear + ear.mean(axis=0)) / 2, _dark(skin, 0.75), 0.006)
    painting.fill(outline, _dark(skin, 0.56))
    head = painting.mask(outline)
    painting.fill(np.add(outline, (light * 0.07, -0.025)), skin, 0.035, head)
    x, y = np.add(outline.mean(axis=0), (face.turn, 0))
    painting.fill(ellipse(x + light * 0.07, y - 0.11, 0.1, 0.06), _mixed(skin, LIGHT, 0.32), 0.035, head)
    for side in (-1, 1):
        painting.fill(ellipse(x + side * 0.135, y + 0.1, 0.045, 0.03), _mixed(skin, colours.blush, 0.24), 0.025, head)
    painting.fill(ellipse(x + light * 0.12, y + 0.065, 0.035, 0.02), _mixed(skin, LIGHT, 0.35), 0.018, head)
    if colours.outline:
        painting.line(outline, colours.outline, 0.007)


def _paint_eyes(painting: Painting, face: Face, shapes: Shapes, colours: Palette) -> None:
    skin, radius = colours.skin, face.eye_opening * 0.95
    iris = ((1.0, _dark(colours.iris, 0.8)), (0.7, _mixed(colours.iris, LIGHT, 0.18)), (0.45, (16, 12, 12)))
    for eye, lid, brow in zip(shapes["eye"], shapes["lid"], shapes["brow"], strict=True):
        x, y = eye.mean(axis=0)
        painting.fill(ellipse(x, y - 0.018, 0.065, 0.034), _dark(skin, 0.84), 0.014)
        painting.fill(eye, (240, 236, 230))
        opening = painting.mask(eye)
        for share, colour in iris:
            painting.fill(ellipse(x, y, share * radius, share * radius), colour, 0.0, opening)
        painting.line(lid, (38, 26, 24), 0.013)
        painting.line(np.add(lid, (0, -0.013)), _dark(skin, 0.58), 0.006)
        painting.fill(ellipse(x - radius * 0.35, y - radius * 0.35, 0.006, 0.006), (255, 255, 255), 0.0, opening)
        painting.fill(brow, _mixed(_dark(colours.hair, 0.7), skin, 0.15), 0.002)


def _paint_nose_and_mouth(painting: Painting, face: Face, shapes: Shapes, colours: Palette) -> None:
    (bridge,), (nose,), (mouth,), (upper, lower) = (shapes[name] for name in ("bridge", "nose", "mouth", "lips"))
    skin, shiny, ridge = colours.skin, _mixed(colours.skin, LIGHT, 0.48), face.light * 0.008
    flank = np.concatenate([bridge, np.subtract(bridge, (face.light * 0.025, 0))[::-1]])
    painting.fill(flank, _dark(skin, 0.75), 0.008, painting.mask(shapes["head"][0]))
    x, y = nose.mean(axis=0)
    painting.fill(ellipse(x + ridge, y - 0.055, 0.009, 0.045), shiny, 0.007)
    painting.fill(ellipse(x + ridge, y - 0.016, 0.015, 0.012), shiny, 0.005)
    painting.fill(np.concatenate([nose, np.add(nose[::-1], (0, 0.014))]), _dark(skin, 0.5), 0.004)
    for side in (-0.45, 0.45):
        painting.fill(ellipse(x + side * face.nose_width, y + 0.006, 0.009, 0.006), _dark(skin, 0.32), 0.002)
    lips = _mixed(_mixed(skin, colours.blush, 0.4), colours.lips, 0.5)
    x, y = mouth.mean(axis=0)
    painting.fill(ellipse(x, y + face.lip + 0.018, face.mouth_width * 0.55, 0.009), _dark(skin, 0.72), 0.008)
    painting.fill(upper, _dark(lips, 0.8), 0.002)
    painting.fill(lower, lips, 0.002)
    painting.fill(ellipse(x, y + face.lip * 0.5, 0.02, 0.005), _mixed(lips, LIGHT, 0.4), 0.004, painting.mask(lower))
    painting.line(mouth, _dark(lips, 0.4), 0.007)


def _dark(colour: Colour, factor: float) -> Colour:
    return _mixed((0, 0, 0), colour, factor)


def _mixed(first: Colour, second: Colour, share: float) -> Colour:
    """Return ``first`` with ``share`` of ``second``."""
    red, green, blue = np.rint(np.array(first) * (1 - share) + np.array(second) * share).clip(0, 255).astype(int)
    return int(red), int(green), int(blue)
