"""How far a set of pictures is from another as a distribution, without any network's features.

The sliced Wasserstein distance of patches in octaves, as Karras et al. (arXiv 1710.10196, section 5) judge GANs, but of
all patches on a grid, so that it is the same number in every process.
"""

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from components.compare.pictures import LEVELS_PER_UNIT, Picture

Singles = NDArray[np.float32]

PATCH = 7
STRIDE = 4
OCTAVES = 3
DIRECTIONS = 64
# Patches beyond that make the distance no surer, only slower.
MOST_PATCHES = 8192


def sliced_distance(pictures: Sequence[Picture], real: Sequence[Picture]) -> float:
    """Mean over octaves of the sliced Wasserstein-1 distance, pictures in [-1, 1].

    Both sets have one or more pictures of one size, at least PATCH * 2 ** (OCTAVES - 1) pixels a side for all octaves;
    smaller ones are judged in fewer.
    """
    ours, theirs = ([picture / LEVELS_PER_UNIT - 1 for picture in group] for group in (pictures, real))
    random = np.random.RandomState(0)
    distances = []
    for octave in range(OCTAVES):
        last = octave == OCTAVES - 1 or min(*ours[0].shape[:2], *theirs[0].shape[:2]) < 2 * PATCH
        directions = random.normal(size=(PATCH * PATCH * ours[0].shape[2], DIRECTIONS))
        directions = (directions / np.linalg.norm(directions, axis=0)).astype(np.float32)
        details = [_details(group, last) for group in (ours, theirs)]
        distances.append(_distance(*(_patches(group) @ directions for group in details)))
        if last:
            break
        ours, theirs = ([_blurred(picture)[::2, ::2] for picture in group] for group in (ours, theirs))
    return float(np.mean(distances))


def _distance(one: Singles, other: Singles) -> float:
    """Wasserstein-1 of each column's two samples, mean over the columns."""
    levels = np.linspace(0, 1, max(len(one), len(other)))
    ordered = [np.sort(group, axis=0) for group in (one, other)]
    same = [
        group
        if len(group) == len(levels)
        else np.stack([np.interp(levels, np.linspace(0, 1, len(group)), column) for column in group.T], axis=1)
        for group in ordered
    ]
    return float(np.abs(same[0] - same[1]).mean())


def _details(pictures: Sequence[Picture], last: bool) -> list[Picture]:
    return list(pictures) if last else [picture - _blurred(picture) for picture in pictures]


def _blurred(picture: Picture) -> Picture:
    blurred: Picture = gaussian_filter(picture, (1, 1, 0))
    return blurred


def _patches(pictures: Sequence[Picture]) -> Singles:
    """[patches, PATCH * PATCH * channels]"""
    found = []
    for picture in pictures:
        views = sliding_window_view(picture, (PATCH, PATCH), axis=(0, 1))[::STRIDE, ::STRIDE]
        found.append(views.reshape(-1, views.shape[2] * PATCH * PATCH))
    every = np.concatenate(found)
    return every[:: -(-len(every) // MOST_PATCHES)].astype(np.float32)
