"""What can be measured of pictures. Pictures are float64 [height, width, 3] in levels of 0 to 255."""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from components.common.html import read_picture

Picture = NDArray[np.float64]

# The networks see pictures in [-1, 1] (x / 127.5 - 1); errors are given in those units, as the losses are.
LEVELS_PER_UNIT = 127.5
# Cycles a pixel; a Gaussian blur of sigma 1 takes 91% of the energy at this frequency, and more above it.
FINE = 0.25
SMALLEST_FOR_SSIM = 7


def read_pixels(path: Path) -> Picture:
    """Raises BadInput where the file is missing or no whole picture."""
    return np.asarray(read_picture(path), dtype=np.float64)


def mean_difference(one: Picture, other: Picture) -> float:
    """Mean absolute difference, in levels."""
    return float(np.abs(one - other).mean())


def mean_square(one: Picture, other: Picture) -> float:
    return float(np.square(one - other).mean())


def fine_energy(picture: Picture) -> float:
    """Energy of a picture's spatial frequencies from FINE cycles a pixel up, in levels squared a pixel and channel.

    Blur takes it away, noise adds to it; a shift of brightness or a wrong large shape leaves it as it is. A Hann window
    keeps the picture's borders from counting as edges.
    """
    height, width, channels = picture.shape
    window = np.hanning(height)[:, None, None] * np.hanning(width)[None, :, None]
    spectrum = np.abs(np.fft.fft2((picture - picture.mean(axis=(0, 1))) * window, axes=(0, 1))) ** 2
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :])
    # Parseval, and the energy that the window takes on average.
    weight = (height * width) ** 2 * channels * float(np.mean(window**2))
    return float(np.sum(spectrum[frequency >= FINE]) / weight)


def similarity(one: Picture, other: Picture) -> float | None:
    """Mean structural similarity (SSIM, Wang et al. 2004; 1: equal); None where pictures are too small for it."""
    if min(one.shape[:2]) < SMALLEST_FOR_SSIM:
        return None
    measured: float = structural_similarity(one, other, channel_axis=2, data_range=255)  # type: ignore[no-untyped-call]
    return float(measured)


def psnr(mean_squared_error: float) -> float | None:
    """Peak signal-to-noise ratio in dB for a peak of 255; None (infinite) for equal pictures."""
    return 10 * math.log10(255**2 / mean_squared_error) if mean_squared_error > 0 else None
