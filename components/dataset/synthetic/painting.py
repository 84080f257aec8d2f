"""Paint a face in the colours of a palette, softly shaded."""

from typing import NamedTuple

import numpy as np
from numpy.random import RandomState
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from components.dataset.synthetic.face import Face, Points, Shapes, ellipse, shapes_of

Colour = tuple[int, int, int]

LIGHT = (255, 248, 236)


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


def paint(face: Face, colours: Palette, wall: Image.Image, random: RandomState) -> Image.Image:
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
            layer.line(strand[start : start + len(strand) // 3 + 2], mixed(colour, LIGHT, 0.2), 0.008)
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
    painting.fill(ellipse(x + light * 0.07, y - 0.11, 0.1, 0.06), mixed(skin, LIGHT, 0.32), 0.035, head)
    for side in (-1, 1):
        painting.fill(ellipse(x + side * 0.135, y + 0.1, 0.045, 0.03), mixed(skin, colours.blush, 0.24), 0.025, head)
    painting.fill(ellipse(x + light * 0.12, y + 0.065, 0.035, 0.02), mixed(skin, LIGHT, 0.35), 0.018, head)
    if colours.outline:
        painting.line(outline, colours.outline, 0.007)


def _paint_eyes(painting: Painting, face: Face, shapes: Shapes, colours: Palette) -> None:
    skin, radius = colours.skin, face.eye_opening * 0.95
    iris = ((1.0, _dark(colours.iris, 0.8)), (0.7, mixed(colours.iris, LIGHT, 0.18)), (0.45, (16, 12, 12)))
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
        painting.fill(brow, mixed(_dark(colours.hair, 0.7), skin, 0.15), 0.002)


def _paint_nose_and_mouth(painting: Painting, face: Face, shapes: Shapes, colours: Palette) -> None:
    (bridge,), (nose,), (mouth,), (upper, lower) = (shapes[name] for name in ("bridge", "nose", "mouth", "lips"))
    skin, shiny, ridge = colours.skin, mixed(colours.skin, LIGHT, 0.48), face.light * 0.008
    flank = np.concatenate([bridge, np.subtract(bridge, (face.light * 0.025, 0))[::-1]])
    painting.fill(flank, _dark(skin, 0.75), 0.008, painting.mask(shapes["head"][0]))
    x, y = nose.mean(axis=0)
    painting.fill(ellipse(x + ridge, y - 0.055, 0.009, 0.045), shiny, 0.007)
    painting.fill(ellipse(x + ridge, y - 0.016, 0.015, 0.012), shiny, 0.005)
    painting.fill(np.concatenate([nose, np.add(nose[::-1], (0, 0.014))]), _dark(skin, 0.5), 0.004)
    for side in (-0.45, 0.45):
        painting.fill(ellipse(x + side * face.nose_width, y + 0.006, 0.009, 0.006), _dark(skin, 0.32), 0.002)
    lips = mixed(mixed(skin, colours.blush, 0.4), colours.lips, 0.5)
    x, y = mouth.mean(axis=0)
    painting.fill(ellipse(x, y + face.lip + 0.018, face.mouth_width * 0.55, 0.009), _dark(skin, 0.72), 0.008)
    painting.fill(upper, _dark(lips, 0.8), 0.002)
    painting.fill(lower, lips, 0.002)
    painting.fill(ellipse(x, y + face.lip * 0.5, 0.02, 0.005), mixed(lips, LIGHT, 0.4), 0.004, painting.mask(lower))
    painting.line(mouth, _dark(lips, 0.4), 0.007)


def _dark(colour: Colour, factor: float) -> Colour:
    return mixed((0, 0, 0), colour, factor)


def mixed(first: Colour, second: Colour, share: float) -> Colour:
    """Return ``first`` with ``share`` of ``second``."""
    red, green, blue = np.rint(np.array(first) * (1 - share) + np.array(second) * share).clip(0, 255).astype(int)
    return int(red), int(green), int(blue)
