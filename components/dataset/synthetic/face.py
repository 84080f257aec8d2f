"""The parametric face that both synthetic domains draw.

A curve is an array of points [n, 2] as (x, y) in units of the picture's side, y pointing down.
"""

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

Points = NDArray[np.float64]
# The curves of a face by what they show, one for each that there is of it.
Shapes = dict[str, list[Points]]

HAIR_STYLES = {"short": 0.35, "parted": 0.3, "long": 0.3, "bald": 0.05}
# What does not roll with the head.
BODY = ("shoulders", "collar", "neck")


def _between(low: float, high: float) -> Any:
    return field(metadata={"range": (low, high)})


@dataclass(frozen=True)
class Face:
    """The parameters of one face: lengths in units of the picture's side, angles in radians."""

    half_width: float = _between(0.215, 0.25)
    half_height: float = _between(0.295, 0.325)
    jaw: float = _between(2.1, 3.3)  # exponent of the lower outline: 2 is an oval chin, 3.4 a square one
    roll: float = _between(-0.06, 0.06)
    turn: float = _between(-0.022, 0.022)  # how far the features are shifted sideways
    hair_volume: float = _between(0.03, 0.065)
    hair_length: float = _between(0.2, 0.46)
    parting: float = _between(-0.7, 0.7)
    eye_distance: float = _between(0.098, 0.115)
    eye_opening: float = _between(0.019, 0.028)
    brow_height: float = _between(0.075, 0.1)
    nose_width: float = _between(0.032, 0.045)
    mouth_width: float = _between(0.065, 0.09)
    smile: float = _between(0.002, 0.024)
    lip: float = _between(0.014, 0.024)
    neck_width: float = _between(0.105, 0.135)
    hair: str = "bald"
    glasses: bool = False
    light: int = 1  # the side that the light comes from: -1 left, 1 right


def draw_face(random: RandomState) -> Face:
    """Return a face with parameters as they vary between portraits that are cropped alike."""
    values = {one.name: float(random.uniform(*one.metadata["range"])) for one in fields(Face) if one.metadata}
    hair = str(random.choice(list(HAIR_STYLES), p=list(HAIR_STYLES.values())))
    glasses, light = bool(random.uniform() < 0.18), int(random.choice((-1, 1)))
    return Face(**values, hair=hair, glasses=glasses, light=light)


def shapes_of(face: Face) -> Shapes:
    """Return the curves of ``face``, rolled and placed in the picture."""
    cos, sin = np.cos(face.roll), np.sin(face.roll)
    roll, centre = np.array([[cos, sin], [-sin, cos]]), np.array([0.5, 0.49])
    shapes = _features(face) | _body(face) | _hair(face)
    return {name: [centre + (c if name in BODY else c @ roll) for c in curves] for name, curves in shapes.items()}


def ellipse(x: float, y: float, radius_x: float, radius_y: float) -> Points:
    """Return an ellipse around (x, y)."""
    angles = np.linspace(0, 2 * np.pi, 41)
    return _curve(x + radius_x * np.cos(angles), y + radius_y * np.sin(angles))


def _curve(x: Points, y: Points | float) -> Points:
    return np.stack([x, np.broadcast_to(y, x.shape)], axis=1)


def _band(x: Points, top: Points | float, bottom: Points | float) -> Points:
    return np.concatenate([_curve(x, top), _curve(x, bottom)[::-1]])


def _head(face: Face, angles: Points, grow: float = 0.0) -> Points:
    """The head's outline at ``angles`` from its top, clockwise, made ``grow`` larger."""
    height = -np.cos(angles)
    exponent, root = np.where(height > 0, face.jaw, 2.1), np.where(height > 0, 0.58, 0.5)
    width = np.sign(np.sin(angles)) * (1 - np.minimum(np.abs(height), 1) ** exponent) ** root
    return _curve(width * (face.half_width + grow), height * (face.half_height + grow))


def _features(face: Face) -> Shapes:
    shapes: Shapes = {name: [] for name in ("ear", "eye", "lid", "brow", "glasses")}
    x, y = np.linspace(-1, 1, 17), np.linspace(0, 1, 9)
    bulge = 1 - x**2
    for side in (-1, 1):
        shapes["ear"].append(ellipse(side * (face.half_width + 0.006) - face.turn * 0.3, 0.035, 0.026, 0.055))
        centre = side * face.eye_distance + face.turn
        across, lid = centre + x * 0.051, -face.eye_opening * bulge**0.7 - 0.004 * side * x
        shapes["lid"].append(_curve(across, lid))
        shapes["eye"].append(_band(across, lid, 0.75 * face.eye_opening * bulge))
        line = 0.01 * (side * x - 0.15) ** 2 - face.brow_height
        half = 0.007 * (1 - 0.55 * np.maximum(side * x, 0)) * (1 - 0.6 * np.abs(x) ** 6)
        shapes["brow"].append(_band(centre + x * 0.061, line - half, line + half))
        if face.glasses:
            shapes["glasses"].append(ellipse(centre, 0.006, 0.077, 0.056))
    if face.glasses:
        shapes["glasses"].append(_curve(face.turn + x * (face.eye_distance - 0.077), -0.01 * bulge))
    flank = face.turn * 1.4 - face.light * (0.014 + face.nose_width * 0.55 * y**2.2)
    wing = np.where(np.abs(x) > 0.6, -0.018 * (np.abs(x) - 0.6) / 0.4, 0) + 0.008 * np.cos(np.pi * x * 1.5)
    across, line = face.turn * 1.3 + x * face.mouth_width, face.half_height * 0.62 - face.smile * x**2
    bow = bulge - 0.25 * np.exp(-((x / 0.22) ** 2))
    return shapes | {
        "head": [_head(face, np.linspace(-np.pi, np.pi, 73))],
        "bridge": [_curve(flank, -0.025 + y * 0.145)],
        "nose": [_curve(face.turn * 1.5 + x * face.nose_width, 0.13 + wing)],
        "lips": [_band(across, line - face.lip * 0.8 * bow, line), _band(across, line, line + face.lip * bulge**0.8)],
        "mouth": [_curve(across, line)],
    }


def _body(face: Face) -> Shapes:
    across, x = np.linspace(-1, 1, 21), np.linspace(-0.6, 0.6, 41)
    base = face.half_height + 0.075
    slope = base + 0.16 * (np.maximum(np.abs(x) - face.neck_width, 0) / 0.45) ** 1.3
    return {
        "neck": [_band(across * face.neck_width, face.half_height * 0.55, base + 0.065)],
        "shoulders": [_band(x, slope, 0.8)],
        "collar": [_curve(across * (face.neck_width + 0.02), base + 0.06 * (1 - across**2))],
    }


def _hair(face: Face) -> Shapes:
    """The hair over the forehead and behind the head, and the strands of each."""
    if face.hair == "bald":
        return {name: [] for name in ("front", "front strands", "back", "back strands")}
    share, is_short = np.linspace(-1, 1, 49), face.hair == "short"
    outer = _head(face, share * (1.55 if is_short else 1.7), face.hair_volume)
    beside = np.minimum(1.2, np.abs(share - face.parting * 0.7))
    forehead = 0.6 * (1 - 0.8 * np.abs(share) ** 5) if is_short else 0.92 - 0.62 * beside**1.4
    inner = _curve(share * face.half_width, np.minimum(-face.half_height * forehead, outer[:, 1].max()))
    inner[[0, -1]] = outer[[0, -1]] * (0.9, 1)
    # Short hair is brushed back from the hairline, any other is combed from the parting down both sides.
    levels = np.array([outer * (1 - depth) + inner * depth for depth in np.linspace(0, 1, 14)])
    middle = 24 + round(16 * face.parting)
    combed = [level[middle::step] for level in levels for step in (-2, 2)]
    shapes = {
        "front": [np.concatenate([outer, inner[::-1]])],
        "front strands": [levels[:, i] for i in range(1, 48)] if is_short else combed,
        "back": [_head(face, np.linspace(-1.5, 1.5, 41), face.hair_volume * 0.9)],
        "back strands": [],
    }
    if face.hair == "long":
        y, top = np.linspace(0, 1, 12), shapes["back"][0]
        half, down = (face.half_width + face.hair_volume) * (1 - 0.16 * y**6), top[-1, 1] + y * face.hair_length
        shapes["back"] = [np.concatenate([top, _curve(half, down), _curve(-half, down)[::-1]])]
        shapes["back strands"] = [_curve(half * place, down) for place in np.linspace(-1, 1, 36)]
    return shapes
