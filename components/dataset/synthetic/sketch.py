"""Domain A of the synthetic dataset: a face in pencil on paper."""

import numpy as np
from numpy.random import RandomState
from PIL import Image, ImageFilter

from components.dataset.synthetic.face import Face
from components.dataset.synthetic.portrait import Palette, canvas_side, paint, reduced

PAPERS = ((252, 251, 248), (250, 246, 236), (246, 240, 226), (248, 248, 248))
GRAPHITE = np.array([52.0, 50.0, 54.0])
HATCH_SPACING = 0.03


def sketch(face: Face, random: RandomState, size: int) -> Image.Image:
    """Return ``face`` in pencil, an RGB picture of ``size`` x ``size`` pixels.

    A portrait in grey tells where the pencil goes: lines where it is darker than around, hatching in its shade.
    """
    skin, hair, iris, clothes, blush, lips, outline = (
        (grey, grey, grey) for grey in (236, int(random.uniform(60, 170)), 80, 225, 226, 170, 120)
    )
    side = canvas_side(size)
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
    return reduced(Image.fromarray(np.clip(np.rint(colour), 0, 255).astype(np.uint8)), size)
