"""The axis images: are the pictures of the trained legs as good? Equal losses do not show that."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from components.compare.bounds import Bounds
from components.compare.leg import LegRun
from components.compare.pixels import (
    LEVELS_PER_UNIT,
    Picture,
    gradient_energy,
    mean_difference,
    mean_square,
    psnr,
    read_pixels,
)
from components.compare.ratio import ratio
from components.compare.samples import picture_problem
from components.compare.verdict import Finding, Number, Verdict, join, not_measured

DRAWN = ("A2B", "A2B2A", "B2A", "B2A2B")
REBUILT = {"A2B2A": "real_A", "B2A2B": "real_B"}
TRANSLATED = ("A2B", "B2A")


@dataclass(frozen=True)
class Measured:
    """The mean of one measure over a leg's pictures, of both legs."""

    name: str
    reference: float
    candidate: float

    @property
    def ratio(self) -> float | None:
        return ratio(self.candidate, self.reference)

    def numbers(self) -> dict[str, Number]:
        return {
            f"{self.name}_reference": self.reference,
            f"{self.name}_candidate": self.candidate,
            f"{self.name}_ratio": self.ratio,
        }


def judge_images(reference: LegRun, candidate: LegRun, bounds: Bounds, unlike: str | None) -> Finding:
    """Hold reconstruction errors and sharpness of the candidate's samples against the reference's.

    Reconstruction errors are mean |A2B2A - real_A| and mean |B2A2B - real_B|, pictures in [-1, 1]; sharpness
    is pixels.gradient_energy of A2B and B2A; PSNR between the legs is of the mean square error over all
    pictures. ``unlike`` says why the legs' samples cannot be held against each other.
    """
    pair = (reference, candidate)
    for problem in (*(leg.unfinished for leg in pair), unlike, *(picture_problem(leg) for leg in pair)):
        if problem:
            return not_measured(f"{problem}.")
    errors = [_measure(pair, f"{kind}_error", (kind, REBUILT[kind]), _rebuilding_error) for kind in REBUILT]
    sharpness = [_measure(pair, f"{kind}_sharpness", (kind,), gradient_energy) for kind in TRANSLATED]
    numbers: dict[str, Number] = {}
    for measured in (*errors, *sharpness):
        numbers |= measured.numbers()
    numbers |= {f"{kind}_psnr_db": psnr(_mean_square_between(reference, candidate, kind)) for kind in DRAWN}
    verdict, reason = _verdict(reference.name, candidate.name, errors, sharpness, bounds)
    return Finding(verdict, reason, numbers)


def _verdict(
    reference: str, candidate: str, errors: Sequence[Measured], sharpness: Sequence[Measured], bounds: Bounds
) -> tuple[Verdict, str]:
    largest, smallest = bounds.max_reconstruction_ratio, bounds.min_sharpness_ratio
    worse = [
        f"{_words(error)} is {error.ratio:.3f} times as large (bound {largest:.3f})"
        for error in errors
        if error.ratio is not None and error.ratio > largest
    ]
    worse += [
        f"{_words(sharp)} is only {sharp.ratio:.2f} times as high (bound {smallest:.2f})"
        for sharp in sharpness
        if sharp.ratio is not None and sharp.ratio < smallest
    ]
    if worse:
        return Verdict.FAIL, f"{candidate}'s pictures are worse than {reference}'s: {join(worse)}."
    everything = [*errors, *sharpness]
    unknown = [_words(measured) for measured in everything if measured.ratio is None]
    if unknown:
        return (
            Verdict.INCONCLUSIVE,
            f"There is no ratio of {join(unknown)}: it is zero in {reference}'s pictures.",
        )
    listed = join([f"{_words(measured)} {measured.ratio:.2f}" for measured in everything])
    return Verdict.PASS, f"{candidate}'s pictures over {reference}'s are within the bounds: {listed}."


def _words(measured: Measured) -> str:
    return measured.name.replace("_", " ")


def _measure(pair: Sequence[LegRun], name: str, kinds: Sequence[str], measure: Callable[..., float]) -> Measured:
    """Means over the images that have all ``kinds``; one image is in memory at a time."""
    means = []
    for leg in pair:
        found = [pictures for pictures in leg.samples.values() if all(kind in pictures for kind in kinds)]
        means.append(np.mean([measure(*(read_pixels(pictures[kind]) for kind in kinds)) for pictures in found]))
    return Measured(name, *map(float, means))


def _mean_square_between(reference: LegRun, candidate: LegRun, kind: str) -> float:
    images = [image for image, kinds in reference.samples.items() if kind in kinds and candidate.picture(image, kind)]
    pairs = ((read_pixels(leg.samples[image][kind]) for leg in (reference, candidate)) for image in images)
    return float(np.mean([mean_square(*pair) for pair in pairs]))


def _rebuilding_error(rebuilt: Picture, original: Picture) -> float:
    return mean_difference(rebuilt, original) / LEVELS_PER_UNIT
