"""What can be measured of pictures. Pictures are float64 [height, width, 3] in levels of 0 to 255."""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.look.picture import read_picture

Picture = NDArray[np.float64]

# The networks see pictures in [-1, 1] (x / 127.5 - 1); errors are given in those units, as the losses are.
LEVELS_PER_UNIT = 127.5


def read_pixels(path: Path) -> Picture:
    """Raises BadInput where the file is missing or no whole picture."""
    return np.asarray(read_picture(path), dtype=np.float64)


def mean_difference(one: Picture, other: Picture) -> float:
    """Mean absolute difference, in levels."""
    return float(np.abs(one - other).mean())


def mean_square(one: Picture, other: Picture) -> float:
    return float(np.square(one - other).mean())


def gradient_energy(picture: Picture) -> float:
    """Mean squared difference to the right neighbour plus that to the lower neighbour, in levels squared.

    Blur takes it away, noise adds to it; a shift of brightness leaves it as it is.
    """
    across = np.square(np.diff(picture, axis=1))
    down = np.square(np.diff(picture, axis=0))
    return float(across.mean() + down.mean())


def psnr(mean_squared_error: float) -> float | None:
    """Peak signal-to-noise ratio in dB for a peak of 255; None (infinite) for equal pictures."""
    return 10 * math.log10(255**2 / mean_squared_error) if mean_squared_error > 0 else None
