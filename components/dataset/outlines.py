"""The curves of a face, from its parameters.

A curve is an array of points [n, 2], float64, as (x, y) in units of the picture's side, y pointing down.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.dataset.face import Face

Points = NDArray[np.float64]


class Eye(NamedTuple):
    outline: Points
    upper_lid: Points
    crease: Points
    iris: tuple[float, float]
    iris_radius: float


class Outlines(NamedTuple):
    """The closed and open curves of one face, in the order in which a painter covers one with the next."""

    hair_back: Points | None
    shoulders: Points
    collar: Points
    neck: Points
    ears: tuple[Points, Points]
    head: Points
    eyes: tuple[Eye, Eye]
    brows: tuple[Points, Points]
    nose_bridge: Points
    nose_tip: Points
    upper_lip: Points
    lower_lip: Points
    mouth_line: Points
    hair_front: Points | None
    hair_strands: tuple[Points, ...]
    back_strands: tuple[Points, ...]
    glasses: tuple[Points, ...]


def moved(points: Points, x: float, y: float) -> Points:
    return np.asarray(points + np.array([x, y]))


def outline(face: Face) -> Outlines:
    """The curves of ``face``, rolled and placed in the picture."""
    shapes = _upright(face)

    def place(points: Points) -> Points:
        cos, sin = np.cos(face.roll), np.sin(face.roll)
        x, y = points[:, 0], points[:, 1]
        return np.stack([face.centre_x + cos * x - sin * y, face.centre_y + sin * x + cos * y], axis=1)

    def place_eye(eye: Eye) -> Eye:
        ((x, y),) = place(np.array([eye.iris]))
        return Eye(place(eye.outline), place(eye.upper_lid), place(eye.crease), (float(x), float(y)), eye.iris_radius)

    def shift(points: Points) -> Points:
        return moved(points, face.centre_x, face.centre_y)

    return Outlines(
        hair_back=None if shapes.hair_back is None else place(shapes.hair_back),
        shoulders=shift(shapes.shoulders),
        collar=shift(shapes.collar),
        neck=shift(shapes.neck),
        ears=(place(shapes.ears[0]), place(shapes.ears[1])),
        head=place(shapes.head),
        eyes=(place_eye(shapes.eyes[0]), place_eye(shapes.eyes[1])),
        brows=(place(shapes.brows[0]), place(shapes.brows[1])),
        nose_bridge=place(shapes.nose_bridge),
        nose_tip=place(shapes.nose_tip),
        upper_lip=place(shapes.upper_lip),
        lower_lip=place(shapes.lower_lip),
        mouth_line=place(shapes.mouth_line),
        hair_front=None if shapes.hair_front is None else place(shapes.hair_front),
        hair_strands=tuple(place(strand) for strand in shapes.hair_strands),
        back_strands=tuple(place(strand) for strand in shapes.back_strands),
        glasses=tuple(place(part) for part in shapes.glasses),
    )


def _upright(face: Face) -> Outlines:
    """The curves with the head's centre at the origin and no roll."""
    hair_front, hair_strands = _front_hair(face)
    hair_back, back_strands = _back_hair(face)
    upper_lip, lower_lip, mouth_line = _mouth(face)
    nose_bridge, nose_tip = _nose(face)
    return Outlines(
        hair_back=hair_back,
        shoulders=_shoulders(face),
        collar=_collar(face),
        neck=_neck(face),
        ears=(_ear(face, -1), _ear(face, 1)),
        head=_head(face, np.linspace(-np.pi, np.pi, 72, endpoint=False)),
        eyes=(_eye(face, -1), _eye(face, 1)),
        brows=(_brow(face, -1), _brow(face, 1)),
        nose_bridge=nose_bridge,
        nose_tip=nose_tip,
        upper_lip=upper_lip,
        lower_lip=lower_lip,
        mouth_line=mouth_line,
        hair_front=hair_front,
        hair_strands=hair_strands,
        back_strands=back_strands,
        glasses=_glasses(face) if face.glasses else (),
    )


def _curve(x: Points, y: Points | float) -> Points:
    return np.stack([x, np.broadcast_to(y, x.shape)], axis=1)


def _head(face: Face, angles: Points, grow: float = 0.0) -> Points:
    """The head's outline at ``angles`` from its top, clockwise, made ``grow`` larger."""
    height = -np.cos(angles)
    exponent = np.where(height > 0, face.jaw, 2.1)
    root = np.where(height > 0, 0.58, 0.5)
    width = np.sign(np.sin(angles)) * (1 - np.minimum(np.abs(height), 1) ** exponent) ** root
    return _curve(width * (face.half_width + grow), height * (face.half_height + grow))


def _ear(face: Face, side: int) -> Points:
    angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    return _curve(
        side * (face.half_width + 0.006) + 0.026 * np.sin(angles) - face.turn * 0.3,
        0.035 + 0.055 * np.cos(angles) + 0.01 * side * np.sin(angles),
    )


def _neck(face: Face) -> Points:
    top, bottom = face.half_height * 0.55, face.half_height + 0.14
    y = np.linspace(top, bottom, 10)
    half = face.neck_width + 0.02 * ((y - top) / (bottom - top)) ** 3
    return np.concatenate([_curve(-half, y), _curve(half, y)[::-1]])


def _shoulders(face: Face) -> Points:
    x = np.linspace(-0.6, 0.6, 41)
    slope = np.maximum(np.abs(x) - face.neck_width, 0)
    y = face.half_height + 0.075 + 0.16 * (slope / 0.45) ** 1.3
    return np.concatenate([_curve(x, y), np.array([[0.6, 0.8], [-0.6, 0.8]])])


def _collar(face: Face) -> Points:
    """The edge of the clothes below the neck, from shoulder to shoulder."""
    x = np.linspace(-1, 1, 21)
    return _curve(x * (face.neck_width + 0.02), face.half_height + 0.075 + 0.06 * (1 - x**2))


def _eye(face: Face, side: int) -> Eye:
    x = np.linspace(-1, 1, 13)
    centre = side * face.eye_distance + face.turn
    tilt = -0.004 * side * x
    upper = _curve(centre + x * face.eye_width, -face.eye_opening * (1 - x**2) ** 0.7 + tilt)
    lower = _curve(centre + x * face.eye_width, 0.75 * face.eye_opening * (1 - x**2) + tilt)
    crease = _curve(centre + x * face.eye_width * 0.95, -0.012 - face.eye_opening * (1 - 0.7 * x**2) + tilt)
    return Eye(
        np.concatenate([upper, lower[::-1]]),
        upper,
        crease,
        (centre + face.gaze, -0.003),
        face.eye_opening * 0.95,
    )


def _brow(face: Face, side: int) -> Points:
    x = np.linspace(-1, 1, 11)
    outer = x * side
    middle = side * face.eye_distance * 1.03 + face.turn
    line = -face.brow_height - face.brow_arch * (1 - 0.7 * (outer - 0.15) ** 2)
    thickness = face.brow_thickness * (1 - 0.55 * np.maximum(outer, 0)) * (1 - 0.6 * np.abs(x) ** 6)
    across = middle + x * face.eye_width * 1.2
    return np.concatenate([_curve(across, line - thickness / 2), _curve(across, line + thickness / 2)[::-1]])


def _nose(face: Face) -> tuple[Points, Points]:
    y = np.linspace(0, 1, 9)
    shaded = -face.light
    x = face.turn * 1.4 + shaded * (0.014 + face.nose_width * 0.55 * y**2.2)
    bridge = _curve(x, -0.025 + y * (face.nose_length + 0.015))
    t = np.linspace(-1, 1, 15)
    wing = np.where(np.abs(t) > 0.6, -0.018 * (np.abs(t) - 0.6) / 0.4, 0)
    tip = _curve(face.turn * 1.5 + t * face.nose_width, face.nose_length + 0.008 * np.cos(np.pi * t * 1.5) + wing)
    return bridge, tip


def _mouth(face: Face) -> tuple[Points, Points, Points]:
    x = np.linspace(-1, 1, 17)
    across = face.turn * 1.3 + x * face.mouth_width
    height = face.half_height * 0.62
    line = height - face.smile * x**2
    bow = 1 - x**2 - 0.25 * np.exp(-((x / 0.22) ** 2))
    top = line - face.lip_thickness * 0.8 * bow
    bottom = line + face.lip_thickness * (1 - x**2) ** 0.8
    middle = _curve(across, line)
    return (
        np.concatenate([_curve(across, top), middle[::-1]]),
        np.concatenate([middle, _curve(across, bottom)[::-1]]),
        middle,
    )


def _front_hair(face: Face) -> tuple[Points | None, tuple[Points, ...]]:
    """The hair over the forehead, and strands from its outer edge to the hairline."""
    if face.hair_style == "bald":
        return None, ()
    reach = {"short": 1.55, "parted": 1.6, "bob": 1.75, "long": 1.75, "curly": 1.62}[face.hair_style]
    angles = np.linspace(-reach, reach, 49)
    outer = _head(face, angles, face.hair_volume)
    if face.hair_style == "curly":
        outer = outer * (1 + 0.035 * np.abs(np.sin(angles * 5.5)))[:, None]
    share = angles / reach
    if face.hair_style in ("short", "curly"):
        forehead = -face.half_height * face.hairline * (1 - 0.8 * np.abs(share) ** 5)
        forehead = forehead - 0.03 * np.abs(share) * (np.abs(share) < 0.8)
    elif face.hair_style == "bob":
        forehead = -face.half_height * (0.74 - 0.5 * np.minimum(1.2, np.abs(share - face.parting * 0.7)) ** 1.5)
    else:
        forehead = -face.half_height * (0.92 - 0.62 * np.minimum(1.2, np.abs(share - face.parting * 0.7)) ** 1.4)
    forehead = np.maximum(forehead, -face.half_height * 0.95)
    inner_x = share * face.half_width * np.where(np.abs(share) > 0.9, 1.0, 0.97)
    inner = _curve(inner_x, np.minimum(forehead, outer[:, 1].max()))
    inner[0], inner[-1] = outer[0] * (0.9, 1), outer[-1] * (0.9, 1)
    combed = face.hair_style in ("parted", "bob", "long")
    strands = _combed(outer, inner, 24 + round(16 * face.parting)) if combed else _brushed(outer, inner, share)
    return np.concatenate([outer, inner[::-1]]), strands


def _combed(outer: Points, inner: Points, parting: int) -> tuple[Points, ...]:
    """Strands that run from the parting down both sides, along the head."""
    strands = []
    for share in np.linspace(0.06, 0.94, 13):
        level = outer * (1 - share) + inner * share
        strands += [level[parting::-2], level[parting::2]]
    return tuple(strand for strand in strands if len(strand) > 2)


def _brushed(outer: Points, inner: Points, share: Points) -> tuple[Points, ...]:
    """Strands from the hairline up to the outer edge, leaning outwards."""
    t = np.linspace(0, 1, 7)[:, None]
    return tuple(
        outer[i] * (1 - t) + inner[i] * t + np.array([0.03 * share[i], 0.0]) * np.sin(np.pi * t)
        for i in range(1, len(outer) - 1)
    )


def _back_hair(face: Face) -> tuple[Points | None, tuple[Points, ...]]:
    """The hair behind head and neck, and strands that run down it."""
    if face.hair_style == "bald":
        return None, ()
    if face.hair_style not in ("bob", "long"):
        return _head(face, np.linspace(-1.45, 1.45, 41), face.hair_volume * 0.9), ()
    length = face.hair_length if face.hair_style == "long" else 0.19
    top = _head(face, np.linspace(-1.5, 1.5, 31), face.hair_volume)
    y = np.linspace(0, 1, 12)
    half = face.half_width + face.hair_volume + 0.012 * np.sin(y * np.pi) + (0.02 * y if length > 0.2 else -0.05 * y**3)
    right = _curve(half * (1 - 0.16 * y**6), top[-1, 1] + y * length)
    left = right * (-1, 1)
    strands = tuple(
        np.concatenate([right[:, :1] * place + 0.008 * np.sin(6 * y + 9 * place)[:, None], right[:, 1:]], axis=1)
        for place in np.concatenate([np.linspace(-0.98, -0.5, 9), np.linspace(0.5, 0.98, 9)])
    )
    return np.concatenate([top, right, left[::-1]]), strands


def _glasses(face: Face) -> tuple[Points, ...]:
    angles = np.linspace(0, 2 * np.pi, 33)
    round_x = np.sign(np.cos(angles)) * np.abs(np.cos(angles)) ** 0.8
    round_y = np.sign(np.sin(angles)) * np.abs(np.sin(angles)) ** 0.8
    rims = tuple(
        _curve(side * face.eye_distance + face.turn + 0.077 * round_x, 0.006 + 0.056 * round_y) for side in (-1, 1)
    )
    inner, outer = face.eye_distance - 0.077, face.eye_distance + 0.077
    x = np.linspace(-1, 1, 7)
    bridge = _curve(face.turn + x * inner, 0.0 - 0.01 * (1 - x**2))
    temples = tuple(
        np.array([[side * outer + face.turn, -0.008], [side * (face.half_width + 0.004), -0.014]]) for side in (-1, 1)
    )
    return (*rims, bridge, *temples)
