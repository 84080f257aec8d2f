"""Domain A of the synthetic dataset: a face in pencil on paper."""

import numpy as np
from numpy.random import RandomState
from PIL import Image, ImageChops, ImageDraw

from components.dataset.canvas import (
    canvas_side,
    ellipse_mask,
    pixels,
    polygon_mask,
    reduced,
    weakened,
    within,
)
from components.dataset.face import Face
from components.dataset.outlines import Points, moved, outline

LINE_WIDTH = 0.0125
PAPERS = ((252, 251, 248), (250, 246, 236), (246, 240, 226), (248, 248, 248))
GRAPHITE = (52, 50, 54)


class Pencil:
    """Graphite on a picture of ``side`` pixels: 0 is bare paper, 255 the darkest line."""

    def __init__(self, side: int, random: RandomState) -> None:
        self.side = side
        self.random = random
        self.graphite = Image.new("L", (side, side), 0)
        self.draw = ImageDraw.Draw(self.graphite)

    def erase(self, points: Points) -> None:
        self.draw.polygon(pixels(points, self.side), fill=0)

    def line(self, points: Points, darkness: float, width: float = LINE_WIDTH, closed: bool = False) -> None:
        """A hand-drawn line: slightly off the points, its pressure changing along the way."""
        if closed:
            points = np.concatenate([points, points[:1]])
        wander = _wander(len(points), self.random)
        drawn = pixels(points + 0.0022 * wander[:, :2], self.side)
        pressure = np.clip(255 * darkness * (1 + 0.16 * wander[:, 2]), 0, 255).astype(int).tolist()
        thickness = max(1, round(width * self.side))
        for start, end, dark in zip(drawn, drawn[1:], pressure, strict=False):
            self.draw.line([start, end], fill=dark, width=thickness)

    def tone(self, mask: Image.Image, darkness: float) -> None:
        """A smudge: an even tone where ``mask`` is."""
        self.add(weakened(mask, darkness))

    def hatch(self, mask: Image.Image, darkness: float, spacing: float, slope: float) -> None:
        """Parallel lines across ``mask``, rising by ``slope``."""
        box = mask.getbbox()
        if box is None:
            return
        left, top, right, bottom = (edge / self.side for edge in box)
        layer = Pencil(self.side, self.random)
        x = np.linspace(left, right, 6)
        rise = slope * ((left + right) / 2 - x)
        for offset in np.arange(top - abs(rise[0]), bottom + abs(rise[0]) + spacing, spacing):
            shift = self.random.uniform(-0.3, 0.3) * spacing
            layer.line(np.stack([x, offset + rise + shift], axis=1), darkness, LINE_WIDTH * 0.7)
        self.add(within(layer.graphite, mask))

    def add(self, layer: Image.Image) -> None:
        self.graphite.paste(ImageChops.add(self.graphite, layer))


def sketch(face: Face, random: RandomState, size: int) -> Image.Image:
    """``face`` in pencil, an RGB picture of ``size`` x ``size`` pixels."""
    side = canvas_side(size)
    shapes = outline(face)
    pencil = Pencil(side, random)
    hair_tone = random.uniform(0.25, 0.85)
    hard = random.uniform(0.72, 0.95)

    if shapes.hair_back is not None:
        _hair(pencil, shapes.hair_back, shapes.back_strands, hair_tone, hard)
    pencil.erase(shapes.neck)
    pencil.line(shapes.neck[:10], 0.75 * hard)
    pencil.line(shapes.neck[10:], 0.75 * hard)
    _clothes(pencil, shapes.shoulders, shapes.collar, hard)
    pencil.hatch(_below_chin(shapes.head, shapes.neck, side), 0.45 * hard, 0.03, 0.9)
    for ear in shapes.ears:
        pencil.erase(ear)
        pencil.line(ear, 0.7 * hard, closed=True)
    pencil.erase(shapes.head)
    _shade_head(pencil, face, shapes.head, hard)
    pencil.line(shapes.head, 0.85 * hard, closed=True)

    for eye in shapes.eyes:
        pencil.line(eye.outline[13:], 0.5 * hard, LINE_WIDTH * 0.7)
        x, y = eye.iris
        iris = within(ellipse_mask(x, y, eye.iris_radius, eye.iris_radius, side), polygon_mask(eye.outline, side))
        pencil.tone(iris, 0.8)
        pencil.line(eye.upper_lid, hard, LINE_WIDTH * 1.15)
        pencil.line(eye.crease, 0.3 * hard, LINE_WIDTH * 0.6)
    for brow in shapes.brows:
        pencil.tone(polygon_mask(brow, side), 0.35 + 0.35 * hair_tone)
        pencil.line((brow[:11] + brow[:10:-1]) / 2, 0.8 * hard)
    pencil.line(shapes.nose_bridge, 0.4 * hard, LINE_WIDTH * 0.7)
    pencil.line(shapes.nose_tip, 0.8 * hard)
    pencil.tone(polygon_mask(shapes.upper_lip, side), 0.35)
    pencil.hatch(polygon_mask(shapes.lower_lip, side), 0.3, 0.018, 0.1)
    pencil.line(shapes.mouth_line, 0.9 * hard)
    pencil.line(shapes.lower_lip[22:29], 0.5 * hard, LINE_WIDTH * 0.8)
    if shapes.hair_front is not None:
        _hair(pencil, shapes.hair_front, shapes.hair_strands, hair_tone, hard)
    for part in shapes.glasses:
        pencil.line(part, 0.95 * hard)
    return reduced(_on_paper(pencil.graphite, random), size)


def _hair(pencil: Pencil, edge: Points, strands: tuple[Points, ...], tone: float, hard: float) -> None:
    mask = polygon_mask(edge, pencil.side)
    pencil.erase(edge)
    pencil.tone(mask, 0.3 * tone)
    layer = Pencil(pencil.side, pencil.random)
    for strand in strands:
        if pencil.random.uniform() < 0.35 + 0.6 * tone:
            layer.line(strand, (0.3 + 0.6 * tone) * pencil.random.uniform(0.6, 1.1), LINE_WIDTH * 0.8)
    pencil.add(within(layer.graphite, mask))
    pencil.line(edge, 0.7 * hard, closed=True)


def _clothes(pencil: Pencil, shoulders: Points, collar: Points, hard: float) -> None:
    pencil.line(collar, 0.75 * hard)
    left, right = collar[0], collar[-1]
    top = shoulders[:-2]
    pencil.line(np.concatenate([top[top[:, 0] < left[0]], collar[:1]]), 0.75 * hard)
    pencil.line(np.concatenate([collar[-1:], top[top[:, 0] > right[0]]]), 0.75 * hard)
    clothes = polygon_mask(
        np.concatenate([collar, shoulders[shoulders[:, 0] > right[0]], shoulders[-1:], top[top[:, 0] < left[0]]]),
        pencil.side,
    )
    if pencil.random.uniform() < 0.6:
        pencil.hatch(clothes, 0.5 * hard, 0.045, float(pencil.random.uniform(-1, 1)))


def _below_chin(head: Points, neck: Points, side: int) -> Image.Image:
    return within(polygon_mask(moved(head, 0.0, 0.05), side), polygon_mask(neck, side))


def _shade_head(pencil: Pencil, face: Face, head: Points, hard: float) -> None:
    """Light hatching on the side that the light does not reach."""
    mask = polygon_mask(head, pencil.side)
    lit = polygon_mask(moved(head, face.light * 0.085, -0.03), pencil.side)
    shade = within(ImageChops.invert(lit), mask)
    pencil.tone(shade, 0.07)
    pencil.hatch(shade, 0.38 * hard, 0.032, 1.1 * face.light)


def _on_paper(graphite: Image.Image, random: RandomState) -> Image.Image:
    side = graphite.width
    paper = np.array(PAPERS[random.randint(len(PAPERS))], dtype=np.float64)
    grain = random.uniform(-1, 1, (side, side, 1))
    dark = np.asarray(graphite, dtype=np.float64)[:, :, None] / 255 * (1 + 0.22 * grain)
    colour = paper + (np.array(GRAPHITE) - paper) * np.clip(dark, 0, 1) + 2.5 * grain
    return Image.fromarray(np.clip(np.rint(colour), 0, 255).astype(np.uint8))


def _wander(count: int, random: RandomState) -> Points:
    """Three smooth random courses over ``count`` points, about 1 large: [count, 3]."""
    position = np.arange(count)[:, None] / max(1, count - 1)
    phase, speed = random.uniform(0, 2 * np.pi, (2, 3)), random.uniform(3, 9, (2, 3))
    waves = np.sin(position * speed[0] + phase[0]) + np.sin(2.3 * position * speed[1] + phase[1])
    return np.asarray(waves, dtype=np.float64)
