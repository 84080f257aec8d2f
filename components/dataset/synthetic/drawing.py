"""Pillow drawing in units of the picture's side, larger than the picture and reduced at the end."""

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from components.dataset.outlines import Points

# Left, top, right and bottom of what stays of a drawing: the head fills it as in a portrait dataset.
CROP = (0.055, 0.04, 0.945, 0.93)


def canvas_side(size: int) -> int:
    """The side in pixels to draw a picture of ``size`` pixels at: three times as large, large ones less."""
    return max(2 * size, min(3 * size, 512))


def pixels(points: Points, side: int) -> list[tuple[int, int]]:
    """Whole pixels, so that no rounding of a machine's arithmetic moves an edge."""
    return [(int(x), int(y)) for x, y in np.rint(points * side).astype(np.int64)]


def polygon_mask(points: Points, side: int) -> Image.Image:
    mask = Image.new("L", (side, side), 0)
    ImageDraw.Draw(mask).polygon(pixels(points, side), fill=255)
    return mask


def ellipse_mask(x: float, y: float, radius_x: float, radius_y: float, side: int) -> Image.Image:
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    return polygon_mask(np.stack([x + radius_x * np.cos(angles), y + radius_y * np.sin(angles)], axis=1), side)


def blurred(mask: Image.Image, radius: float) -> Image.Image:
    """``mask`` blurred by ``radius``, in units of the picture's side."""
    # A wide blur looks the same when it is made at a smaller scale, and takes a fraction of the time.
    scale = max(1, int(radius * mask.width / 2))
    small = mask.reduce(scale) if scale > 1 else mask
    soft = small.filter(ImageFilter.GaussianBlur(radius * mask.width / scale))
    return soft if scale == 1 else soft.resize(mask.size, Image.Resampling.BILINEAR)


def within(mask: Image.Image, region: Image.Image, strength: float = 1.0) -> Image.Image:
    """``mask`` where ``region`` is, weakened to ``strength``."""
    both = ImageChops.multiply(mask, region)
    return both if strength == 1.0 else weakened(both, strength)


def weakened(mask: Image.Image, strength: float) -> Image.Image:
    return mask.point([round(value * strength) for value in range(256)])


def reduced(image: Image.Image, size: int) -> Image.Image:
    """``image`` without its margin, ``size`` x ``size`` pixels."""
    side = image.width
    left, top, right, bottom = CROP
    box = (left * side, top * side, right * side, bottom * side)
    return image.resize((size, size), Image.Resampling.LANCZOS, box=box)
