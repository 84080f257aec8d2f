"""Measures of pictures and of sets of pictures, and whether the sample pictures of runs can be measured.

Pictures are float64 [height, width, 3] in levels of 0 to 255.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

from components.compare.leg import LegRun
from dualgan.pictures import open_picture
from dualgan.run_folder import KINDS_FROM, SAMPLE_KINDS

Picture = NDArray[np.float64]

# The networks see pictures in [-1, 1] (x / 127.5 - 1); errors are given in those units, as the losses are.
LEVELS_PER_UNIT = 127.5
# Cycles a pixel; a Gaussian blur of sigma 1 takes 91% of the energy at this frequency, and more above it.
FINE = 0.25
MIN_SSIM_PIXELS = 7
# Of the sliced Wasserstein distance.
PATCH, STRIDE, OCTAVES, DIRECTIONS = 7, 4, 3, 64
# Patches beyond that make the distance no surer, only slower.
MAX_PATCHES = 8192


def read_pixels(path: Path) -> Picture:
    """Read a picture. Raises BadInput as open_picture does."""
    return np.asarray(open_picture(path), dtype=np.float64)


def pictures_of(run: LegRun, *kinds: str) -> Iterator[tuple[Picture, ...]]:
    """Read the pictures of each image that has all ``kinds``; one image is in memory at a time."""
    for pictures in run.samples.values():
        if all(kind in pictures for kind in kinds):
            yield tuple(read_pixels(pictures[kind]) for kind in kinds)


def mean_difference(one: Picture, other: Picture) -> float:
    """Return the mean absolute difference, in levels."""
    return float(np.abs(one - other).mean())


def mean_square(one: Picture, other: Picture) -> float:
    """Return the mean squared difference, in levels squared."""
    return float(np.square(one - other).mean())


def similarity(one: Picture, other: Picture) -> float | None:
    """Return the mean structural similarity (SSIM, Wang et al. 2004; 1: equal); None if pictures are too small."""
    if min(one.shape[:2]) < MIN_SSIM_PIXELS:
        return None
    measured: float = structural_similarity(one, other, channel_axis=2, data_range=255)  # type: ignore[no-untyped-call]
    return float(measured)


def psnr(mean_squared_error: float | None) -> float | None:
    """Return the peak signal-to-noise ratio in dB for a peak of 255; None (infinite) for equal pictures, or none."""
    return 10 * math.log10(255**2 / mean_squared_error) if mean_squared_error else None


def fine_energy(picture: Picture) -> float:
    """Return the energy of spatial frequencies from FINE cycles a pixel up, in levels squared a pixel and channel.

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


def sliced_distance(pictures: Iterable[Picture], real: Iterable[Picture], number: tuple[int, int]) -> float:
    """Return how far a set of pictures is from another as a distribution, without any network's features.

    It is the sliced Wasserstein-1 distance of patches, mean over octaves, as Karras et al. (arXiv 1710.10196, section
    5) judge GANs, but of all patches on a grid, so that it is the same number in every process.

    The pictures of both sets, ``number`` of each, are of one size; below PATCH * 2 ** (OCTAVES - 1) pixels a side they
    are judged in fewer octaves. One is in memory at a time.
    """
    random = np.random.RandomState(0)
    distances = []
    for one, other in zip(*map(_patches, (pictures, real), number), strict=True):
        directions = random.normal(size=(one.shape[1], DIRECTIONS))
        directions = (directions / np.linalg.norm(directions, axis=0)).astype(np.float32)
        distances.append(_distance(one @ directions, other @ directions))
    return float(np.mean(distances))


def missing_pictures(run: LegRun) -> str | None:
    """Say what a run's samples lack: a kind that no image has, or an output of an image whose input is there."""
    kinds = {kind for pictures in run.samples.values() for kind in pictures}
    missing = [kind for kind in SAMPLE_KINDS if kind not in kinds]
    for image, pictures in run.samples.items():
        for source, *outputs in KINDS_FROM.values():
            if source in pictures:
                missing += [f"{image}-{kind}.png" for kind in outputs if kind in kinds and kind not in pictures]
    if not missing:
        return None
    more = f" and {len(missing) - len(SAMPLE_KINDS)} more" if len(missing) > len(SAMPLE_KINDS) else ""
    return f"{run.name} has no sample picture {', '.join(missing[: len(SAMPLE_KINDS)])}{more}"


def input_mismatch(runs: Sequence[LegRun], max_difference: float) -> str | None:
    """Say why samples do not start from the validation images of the first run, None if all do.

    ``max_difference``: how far apart two pictures of one image may be, mean over its pixels, in levels.
    """
    inputs = [kinds[0] for kinds in KINDS_FROM.values()]
    found = (_input_mismatch(runs[0], other, kind, max_difference) for other in runs[1:] for kind in inputs)
    return next(filter(None, found), None)


def _input_mismatch(one: LegRun, other: LegRun, kind: str, max_difference: float) -> str | None:
    images, others = ([image for image, found in run.samples.items() if kind in found] for run in (one, other))
    if not images or not others:
        return None
    if images != others:
        image = min(set(images) ^ set(others))
        return f"{image}-{kind}.png is among the samples of {(one if image in images else other).name} alone"
    for image in images:
        pixels, compared = (read_pixels(run.samples[image][kind]) for run in (one, other))
        if pixels.shape != compared.shape:
            sizes = [f"{width} x {height} pixels" for height, width, _ in (pixels.shape, compared.shape)]
            return f"{image}-{kind}.png has {sizes[0]} in {one.name}, {sizes[1]} in {other.name}"
        difference = mean_difference(pixels, compared)
        if difference > max_difference:
            return (
                f"{image}-{kind}.png, an input, is not the same picture in {one.name} and {other.name} "
                f"({difference:.1f} levels of 255 apart on average)"
            )
    return None


def _patches(pictures: Iterable[Picture], number: int) -> list[NDArray[np.float32]]:
    """Return every n-th of the set's patches of each octave, [patches, PATCH * PATCH * channels]."""
    octaves: list[list[NDArray[np.float32]]] = [[] for _ in range(OCTAVES)]
    for place, picture in enumerate(pictures):
        level = picture / LEVELS_PER_UNIT - 1
        for octave, kept in enumerate(octaves):
            is_last = octave == OCTAVES - 1 or min(level.shape[:2]) < 2 * PATCH
            blurred: Picture = gaussian_filter(level, (1, 1, 0))
            views = sliding_window_view(level if is_last else level - blurred, (PATCH, PATCH), axis=(0, 1))
            every = views[::STRIDE, ::STRIDE].reshape(-1, PATCH * PATCH * level.shape[2])
            step = -(-number * len(every) // MAX_PATCHES)
            kept.append(every[-place * len(every) % step :: step].astype(np.float32))
            if is_last:
                break
            level = blurred[::2, ::2]
    return [np.concatenate(kept) for kept in octaves if kept]


def _distance(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return the Wasserstein-1 distance of each column's two samples, mean over the columns."""
    levels = np.linspace(0, 1, max(len(one), len(other)))
    same = []
    for group in (np.sort(one, axis=0), np.sort(other, axis=0)):
        own = np.linspace(0, 1, len(group))
        is_long = len(group) == len(levels)
        same.append(group if is_long else np.stack([np.interp(levels, own, column) for column in group.T], axis=1))
    return float(np.abs(same[0] - same[1]).mean())
