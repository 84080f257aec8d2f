"""Datasets that pairs of equal legs train on: the synthetic faces, and some that are drawn here."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import RandomState
from PIL import Image, ImageDraw, ImageFilter
from scipy.ndimage import gaussian_filter
from skimage import data

from components.dataset.fetch import fetch

SIDE = 64
COUNTS = {"train": 160, "val": 40}
Painter = Callable[[RandomState], Image.Image]


def _photograph(random: RandomState) -> Image.Image:
    photographs: tuple[Callable[[], Any], ...] = (data.astronaut, data.chelsea, data.coffee, data.rocket)
    picture = np.asarray(photographs[random.randint(len(photographs))]())
    side = random.randint(2 * SIDE, min(picture.shape[:2]) // 2)
    top, left = (random.randint(length - side) for length in picture.shape[:2])
    return Image.fromarray(picture[top : top + side, left : left + side]).resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def _edges(random: RandomState) -> Image.Image:
    picture = _photograph(random).convert("L").filter(ImageFilter.FIND_EDGES)
    return Image.fromarray(255 - np.asarray(picture)).convert("RGB")


def _shapes(random: RandomState, filled: bool) -> Image.Image:
    picture = Image.new("RGB", (4 * SIDE, 4 * SIDE), "white")
    draw = ImageDraw.Draw(picture)
    for _ in range(random.randint(2, 6)):
        x, y, radius = random.randint(40, 216), random.randint(40, 216), random.randint(20, 70)
        corners = int(random.choice([3, 4, 6, 30]))
        colour = tuple(int(value) for value in random.randint(30, 226, 3))
        look = {"fill": colour} if filled else {"outline": "black", "width": 5}
        draw.regular_polygon((x, y, radius), corners, rotation=int(random.randint(360)), **look)
    return picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def _texture(random: RandomState, tint: tuple[float, float, float], across: float) -> Image.Image:
    """Noise that is smooth along one axis more than along the other, in one colour."""
    grain = gaussian_filter(random.standard_normal((SIDE, SIDE)), (1.0, across))
    light = np.clip(0.5 + 0.2 * grain / grain.std() + random.uniform(-0.1, 0.1), 0, 1)
    return Image.fromarray(np.rint(255 * light[:, :, None] ** np.array(tint)).astype(np.uint8))


OWN: Mapping[str, tuple[Painter, Painter]] = {
    "photographs": (_edges, _photograph),
    "shapes": (lambda random: _shapes(random, filled=False), lambda random: _shapes(random, filled=True)),
    "textures": (
        lambda random: _texture(random, (0.6, 1.0, 1.8), 5),
        lambda random: _texture(random, (1.6, 0.8, 1), 1),
    ),
}


def draw(name: str, folder: Path) -> None:
    """Write the dataset ``name`` of OWN, pictures of 64 pixels a side."""
    for split, count in COUNTS.items():
        for domain, painter in zip("AB", OWN[name], strict=True):
            for number in range(count):
                target = folder / split / domain / f"{number:04d}.png"
                target.parent.mkdir(parents=True, exist_ok=True)
                painter(RandomState([number, "AB".index(domain), len(split)])).save(target)


def make(sources: Mapping[str, str], folder: Path) -> dict[str, Path]:
    """Return dataset folders by name: those of OWN, and what ``sources`` name; those that are there stay."""
    folders = {name: folder / name for name in (*sources, *OWN)}
    for name, target in folders.items():
        if (target / "dataset.json").exists():
            continue
        source = sources.get(name)
        if source is None:
            draw(name, folder / f"{name}-drawn")
            source = str(folder / f"{name}-drawn")
        fetch(source, target)
    return folders
