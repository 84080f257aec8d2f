"""Domain B of the synthetic dataset: a face in colour, softly shaded."""

import numpy as np
from numpy.random import RandomState
from PIL import Image, ImageChops, ImageDraw

from components.dataset.canvas import (
    blurred,
    canvas_side,
    ellipse_mask,
    pixels,
    polygon_mask,
    reduced,
    weakened,
    within,
)
from components.dataset.face import Face
from components.dataset.outlines import Eye, Outlines, Points, moved, outline

Colour = tuple[int, int, int]

SKINS: tuple[Colour, ...] = (
    (250, 220, 196),
    (241, 203, 172),
    (229, 184, 148),
    (208, 158, 118),
    (172, 120, 82),
    (128, 84, 58),
)
HAIRS: tuple[Colour, ...] = (
    (34, 27, 26),
    (62, 40, 28),
    (98, 62, 36),
    (140, 88, 46),
    (196, 152, 88),
    (168, 72, 34),
    (150, 146, 142),
)
IRISES: tuple[Colour, ...] = ((70, 44, 26), (96, 64, 34), (58, 98, 140), (72, 112, 82), (88, 96, 104))
CLOTHES: tuple[Colour, ...] = (
    (56, 74, 110),
    (130, 50, 52),
    (64, 96, 80),
    (74, 64, 84),
    (196, 176, 140),
    (44, 44, 50),
    (188, 98, 60),
    (208, 210, 214),
)
BACKGROUNDS: tuple[Colour, ...] = (
    (120, 158, 188),
    (150, 176, 150),
    (206, 178, 128),
    (178, 142, 160),
    (128, 132, 162),
    (196, 206, 212),
    (104, 136, 130),
    (218, 194, 178),
)


def portrait(face: Face, random: RandomState, size: int) -> Image.Image:
    """``face`` painted, an RGB picture of ``size`` x ``size`` pixels."""
    side = canvas_side(size)
    shapes = outline(face)
    skin = _varied(SKINS[random.randint(len(SKINS))], random, 5)
    hair = _varied(HAIRS[random.randint(len(HAIRS))], random, 8)
    clothes = _varied(CLOTHES[random.randint(len(CLOTHES))], random, 12)
    iris = IRISES[random.randint(len(IRISES))]
    image = _background(side, random)

    if shapes.hair_back is not None:
        _paint_hair(image, shapes.hair_back, shapes.back_strands, _scaled(hair, 0.82), random)
    _paint_neck_and_clothes(image, face, shapes, skin, clothes)
    for ear in shapes.ears:
        mask = polygon_mask(ear, side)
        image.paste(_scaled(skin, 0.9), mask=mask)
        inner = polygon_mask((ear - ear.mean(axis=0)) * 0.55 + ear.mean(axis=0), side)
        image.paste(_scaled(skin, 0.72), mask=within(blurred(inner, 0.006), mask, 0.8))
    _paint_head(image, face, shapes, skin, hair)
    for eye in shapes.eyes:
        _paint_eye(image, eye, iris, skin)
    for brow in shapes.brows:
        image.paste(_mixed(_scaled(hair, 0.7), skin, 0.15), mask=blurred(polygon_mask(brow, side), 0.002))
    _paint_nose(image, face, shapes, skin)
    _paint_mouth(image, face, shapes, skin)
    if shapes.hair_front is not None:
        mask = polygon_mask(shapes.hair_front, side)
        head = polygon_mask(shapes.head, side)
        shade = blurred(polygon_mask(moved(shapes.hair_front, -face.light * 0.008, 0.022), side), 0.01)
        image.paste(_scaled(skin, 0.62), mask=within(within(shade, head), ImageChops.invert(mask), 0.6))
        _paint_hair(image, shapes.hair_front, shapes.hair_strands, hair, random)
    _paint_glasses(image, shapes)
    return reduced(image, size)


def _background(side: int, random: RandomState) -> Image.Image:
    """A plain colour, or a gradient along a direction or around the head."""
    first = np.array(_varied(BACKGROUNDS[random.randint(len(BACKGROUNDS))], random, 10), dtype=np.float64)
    second = first * random.uniform(0.62, 0.85)
    y, x = np.mgrid[0 : 1 : side * 1j, 0 : 1 : side * 1j]
    kind = random.randint(3)
    angle = random.uniform(0, 2 * np.pi)
    if kind == 0:
        share = np.full((side, side), 0.2)
    elif kind == 1:
        share = 0.5 + (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle)
    else:
        share = np.hypot(x - 0.5, y - 0.45) * 1.5
    colour = first + (second - first) * np.clip(share, 0, 1)[:, :, None]
    return Image.fromarray(np.rint(colour).astype(np.uint8))


def _paint_neck_and_clothes(image: Image.Image, face: Face, shapes: Outlines, skin: Colour, clothes: Colour) -> None:
    side = image.width
    body = polygon_mask(shapes.shoulders, side)
    image.paste(clothes, mask=body)
    dark = blurred(ImageChops.invert(polygon_mask(moved(shapes.shoulders, face.light * 0.1, 0.05), side)), 0.03)
    image.paste(_scaled(clothes, 0.62), mask=within(dark, body, 0.8))
    skin_below = ImageChops.lighter(polygon_mask(shapes.neck, side), polygon_mask(shapes.collar, side))
    above_collar = polygon_mask(np.concatenate([shapes.collar, np.array([[1.0, 0.3], [0.0, 0.3]])]), side)
    neck = within(skin_below, above_collar)
    image.paste(_scaled(skin, 0.9), mask=neck)
    image.paste(
        _scaled(skin, 0.58),
        mask=within(blurred(polygon_mask(moved(shapes.head, 0.0, 0.05), side), 0.018), neck),
    )
    ImageDraw.Draw(image).line(pixels(shapes.collar, side), fill=_scaled(clothes, 0.55), width=round(0.012 * side))


def _paint_head(image: Image.Image, face: Face, shapes: Outlines, skin: Colour, hair: Colour) -> None:
    side = image.width
    head = polygon_mask(shapes.head, side)
    image.paste(skin, mask=head)
    if face.hair_style == "bald":
        stubble = blurred(polygon_mask(moved(shapes.head, 0.0, -0.2), side), 0.04)
        image.paste(_mixed(skin, hair, 0.25), mask=within(stubble, head, 0.25))
    lit = blurred(polygon_mask(moved(shapes.head, face.light * 0.07, -0.025), side), 0.035)
    image.paste(_scaled(skin, 0.56), mask=within(ImageChops.invert(lit), head))
    x, y = face.centre_x, face.centre_y
    glow = blurred(ellipse_mask(x + face.light * 0.07, y - 0.11, 0.1, 0.06, side), 0.035)
    image.paste(_lightened(skin, 0.45), mask=within(glow, head, 0.7))
    for which in (-1, 1):
        cheek_x, cheek_y = x + which * 0.135 + face.turn, y + 0.1
        blush = blurred(ellipse_mask(cheek_x, cheek_y, 0.045, 0.03, side), 0.025)
        image.paste(_reddened(skin), mask=within(blush, head, 0.6))
    cheek = blurred(ellipse_mask(x + face.light * 0.12 + face.turn, y + 0.065, 0.035, 0.02, side), 0.018)
    image.paste(_lightened(skin, 0.5), mask=within(cheek, head, 0.7))
    chin = blurred(ellipse_mask(x + face.turn, y + face.half_height * 0.85, 0.04, 0.022, side), 0.015)
    image.paste(_lightened(skin, 0.3), mask=within(chin, head, 0.5))


def _paint_eye(image: Image.Image, eye: Eye, iris: Colour, skin: Colour) -> None:
    side = image.width
    x, y = eye.iris
    socket = blurred(ellipse_mask(x, y - 0.018, 0.065, 0.034, side), 0.014)
    image.paste(_scaled(skin, 0.68), mask=within(socket, socket, 0.6))
    opening = polygon_mask(eye.outline, side)
    image.paste((240, 236, 230), mask=opening)
    radius = eye.iris_radius
    image.paste(_scaled(iris, 0.8), mask=within(ellipse_mask(x, y, radius, radius, side), opening))
    image.paste(
        _lightened(iris, 0.18),
        mask=within(ellipse_mask(x, y + radius * 0.25, radius * 0.7, radius * 0.6, side), opening),
    )
    image.paste((16, 12, 12), mask=within(ellipse_mask(x, y, radius * 0.45, radius * 0.45, side), opening))
    draw = ImageDraw.Draw(image)
    draw.line(pixels(eye.upper_lid, side), fill=(38, 26, 24), width=max(1, round(0.013 * side)), joint="curve")
    draw.line(pixels(eye.outline[14:-1], side), fill=_scaled(skin, 0.6), width=max(1, round(0.006 * side)))
    draw.line(pixels(eye.crease, side), fill=_scaled(skin, 0.58), width=max(1, round(0.006 * side)))
    glint = ellipse_mask(x - radius * 0.35, y - radius * 0.35, radius * 0.28, radius * 0.28, side)
    image.paste((255, 255, 255), mask=within(glint, opening))


def _paint_nose(image: Image.Image, face: Face, shapes: Outlines, skin: Colour) -> None:
    side = image.width
    bridge = shapes.nose_bridge
    away = np.array([-face.light * 0.03, 0.0])
    flank = np.concatenate([bridge, (bridge + away * np.linspace(0.5, 1, len(bridge))[:, None])[::-1]])
    image.paste(
        _scaled(skin, 0.66),
        mask=within(blurred(polygon_mask(flank, side), 0.008), polygon_mask(shapes.head, side), 0.75),
    )
    x, y = shapes.nose_tip.mean(axis=0)
    ridge = blurred(ellipse_mask(x + face.light * 0.008, y - 0.055, 0.009, 0.045, side), 0.007)
    image.paste(_lightened(skin, 0.6), mask=weakened(ridge, 0.8))
    tip = blurred(ellipse_mask(x + face.light * 0.008, y - 0.016, 0.015, 0.012, side), 0.005)
    image.paste(_lightened(skin, 0.6), mask=weakened(tip, 0.8))
    under = blurred(
        polygon_mask(np.concatenate([shapes.nose_tip, moved(shapes.nose_tip[::-1], 0.0, 0.014)]), side), 0.004
    )
    image.paste(_scaled(skin, 0.5), mask=under)
    for which in (-0.45, 0.45):
        nostril = ellipse_mask(x + which * face.nose_width, y + 0.006, 0.009, 0.006, side)
        image.paste(_scaled(skin, 0.32), mask=blurred(nostril, 0.002))


def _paint_mouth(image: Image.Image, face: Face, shapes: Outlines, skin: Colour) -> None:
    side = image.width
    lips = _mixed(_reddened(skin), (176, 52, 60), 0.5)
    x, y = shapes.mouth_line.mean(axis=0)
    below = blurred(ellipse_mask(x, y + face.lip_thickness + 0.018, face.mouth_width * 0.55, 0.009, side), 0.008)
    image.paste(_scaled(skin, 0.66), mask=weakened(below, 0.8))
    image.paste(_scaled(lips, 0.8), mask=blurred(polygon_mask(shapes.upper_lip, side), 0.002))
    image.paste(lips, mask=blurred(polygon_mask(shapes.lower_lip, side), 0.002))
    shine = blurred(ellipse_mask(x + face.light * 0.012, y + face.lip_thickness * 0.5, 0.02, 0.005, side), 0.004)
    image.paste(_lightened(lips, 0.5), mask=within(shine, polygon_mask(shapes.lower_lip, side), 0.8))
    ImageDraw.Draw(image).line(
        pixels(shapes.mouth_line, side), fill=_scaled(lips, 0.4), width=max(1, round(0.007 * side))
    )


def _paint_hair(
    image: Image.Image, edge: Points, strands: tuple[Points, ...], hair: Colour, random: RandomState
) -> None:
    side = image.width
    mask = polygon_mask(edge, side)
    painted = Image.new("RGB", image.size, hair)
    rim = blurred(mask, 0.022)
    painted.paste(_scaled(hair, 0.6), mask=ImageChops.invert(rim))
    draw = ImageDraw.Draw(painted)
    for strand in strands:
        shade = random.uniform(0.75, 1.15)
        draw.line(pixels(strand, side), fill=_scaled(hair, shade), width=max(1, round(0.009 * side)))
        if random.uniform() < 0.65:
            start = random.randint(len(strand) // 2 + 1)
            glossy = strand[start : start + len(strand) // 3 + 2]
            draw.line(pixels(glossy, side), fill=_lightened(hair, 0.2), width=max(1, round(0.008 * side)))
    image.paste(painted, mask=mask)


def _paint_glasses(image: Image.Image, shapes: Outlines) -> None:
    side = image.width
    for lens in shapes.glasses[:2]:
        glass = polygon_mask(lens, side)
        image.paste((225, 235, 245), mask=weakened(glass, 0.12))
    draw = ImageDraw.Draw(image)
    for part in shapes.glasses:
        draw.line(pixels(part, side), fill=(40, 32, 30), width=max(1, round(0.013 * side)), joint="curve")


def _varied(colour: Colour, random: RandomState, amount: float) -> Colour:
    shift = random.uniform(-amount, amount, 3)
    return _clipped(np.array(colour) + shift)


def _scaled(colour: Colour, factor: float) -> Colour:
    return _clipped(np.array(colour) * factor)


def _mixed(first: Colour, second: Colour, share: float) -> Colour:
    """``first`` with ``share`` of ``second``."""
    return _clipped(np.array(first) * (1 - share) + np.array(second) * share)


def _lightened(colour: Colour, share: float) -> Colour:
    return _mixed(colour, (255, 248, 236), share)


def _reddened(colour: Colour) -> Colour:
    return _mixed(colour, (206, 84, 80), 0.4)


def _clipped(values: Points) -> Colour:
    red, green, blue = np.clip(np.rint(values), 0, 255).astype(int)
    return int(red), int(green), int(blue)
