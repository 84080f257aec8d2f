"""The parameters of a face, which both synthetic domains draw."""

from dataclasses import dataclass

from numpy.random import RandomState

HAIR_STYLES = ("short", "parted", "bob", "long", "curly", "bald")
HAIR_STYLE_ODDS = (0.25, 0.2, 0.19, 0.21, 0.1, 0.05)


@dataclass(frozen=True)
class Face:
    """The parameters of one face. Lengths are in units of the picture's side, angles in radians."""

    centre_x: float
    centre_y: float
    half_width: float
    half_height: float
    jaw: float  # exponent of the lower outline: 2 is an oval chin, 3.4 a square one
    roll: float
    turn: float  # how far the features are shifted sideways
    hair_style: str
    hair_volume: float
    hair_length: float
    hairline: float  # its height above the eyes as a share of half_height
    parting: float  # -1 left .. 1 right
    eye_distance: float
    eye_width: float
    eye_opening: float
    gaze: float
    brow_height: float
    brow_arch: float
    brow_thickness: float
    nose_length: float
    nose_width: float
    mouth_width: float
    smile: float
    lip_thickness: float
    neck_width: float
    glasses: bool
    light: int  # the side that the light comes from: -1 left, 1 right


def draw_face(random: RandomState) -> Face:
    """A face with parameters as they vary between portraits that are cropped alike."""

    def between(low: float, high: float) -> float:
        return float(random.uniform(low, high))

    return Face(
        centre_x=0.5 + between(-0.015, 0.015),
        centre_y=0.49 + between(-0.012, 0.012),
        half_width=between(0.215, 0.25),
        half_height=between(0.295, 0.325),
        jaw=between(2.1, 3.3),
        roll=between(-0.06, 0.06),
        turn=between(-0.022, 0.022),
        hair_style=str(random.choice(HAIR_STYLES, p=HAIR_STYLE_ODDS)),
        hair_volume=between(0.03, 0.065),
        hair_length=between(0.3, 0.46),
        hairline=between(0.5, 0.68),
        parting=between(-0.7, 0.7),
        eye_distance=between(0.098, 0.115),
        eye_width=between(0.046, 0.056),
        eye_opening=between(0.019, 0.028),
        gaze=between(-0.008, 0.008),
        brow_height=between(0.062, 0.08),
        brow_arch=between(0.006, 0.022),
        brow_thickness=between(0.009, 0.018),
        nose_length=between(0.115, 0.145),
        nose_width=between(0.032, 0.045),
        mouth_width=between(0.065, 0.09),
        smile=between(0.002, 0.024),
        lip_thickness=between(0.014, 0.024),
        neck_width=between(0.105, 0.135),
        glasses=bool(random.uniform() < 0.18),
        light=int(random.choice((-1, 1))),
    )
