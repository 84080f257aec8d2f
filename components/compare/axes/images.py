"""The axis images: are the pictures of the trained legs as good? Equal losses do not show that."""

from collections.abc import Iterable, Sequence

from components.compare.bounds import Bounds
from components.compare.leg import LegRuns, pairs
from components.compare.measure import DISTANCES, ERRORS, IMAGES, REBUILT, SHARPNESS, Measured, Rule, judge_ratios
from components.compare.pictures import (
    Picture,
    input_mismatch,
    mean_square,
    missing_pictures,
    pictures_of,
    psnr,
    read_pixels,
    similarity,
)
from components.compare.statistics import RatioEstimate, mean
from components.compare.verdict import AxisResult, Number, not_measured

DRAWN = ("A2B", "A2B2A", "B2A", "B2A2B")


def judge_images(reference: Measured, candidate: Measured, bounds: Bounds) -> AxisResult:
    """Hold the measures of the candidate's samples against the reference's.

    Judged are, each over all validation images of all runs: the reconstruction errors, how much fine detail the drawn
    pictures have of what the real ones of their domain have, and their distance from those. A measure passes if its
    ratio lies within its bound, and fails if its interval lies outside, with one run a leg if the ratio does; a
    reconstruction error of one run if it is above ``gross_loss_ratio``, for seeds differ in it as losses do. SSIM and
    PSNR, against the input and between legs, are informational: two seeds of one leg draw different pictures.
    """
    legs = [side.leg for side in (reference, candidate) if side.leg]
    runs = [run for leg in legs for run in leg.runs]
    problems = [run.unfinished for run in runs]
    problems += [input_mismatch(runs, bounds.max_input_difference), *map(missing_pictures, runs)]
    for problem in filter(None, problems):
        return not_measured(f"{problem}.")
    lacking = reference.lacks(IMAGES, "measure of pictures")
    if lacking:
        return not_measured(lacking)

    def rule(name: str, found: RatioEstimate) -> Rule:
        low, high = 0.0, bounds.max_reconstruction_ratio
        if name in SHARPNESS:
            low, high = bounds.min_sharpness_ratio, 1 / bounds.min_sharpness_ratio
        elif name in DISTANCES:
            high = bounds.max_distance_ratio
        gross = max(bounds.gross_loss_ratio, high)
        return Rule((low, high), (low, gross if name in ERRORS and not found.interval else high), by_interval=False)

    result = judge_ratios("pictures", reference, candidate, IMAGES, rule, bounds.significance)
    return AxisResult(result.verdict, result.reason, {**result.numbers, **_informational(legs)})


def _informational(legs: Sequence[LegRuns]) -> dict[str, Number]:
    """Return SSIM and PSNR of rebuilt pictures against their inputs, and of a leg's pictures against the other's."""
    if len(legs) < 2:
        return {}
    reference, candidate = legs
    numbers: dict[str, Number] = {}
    for side, leg in (("reference", reference), ("candidate", candidate)):
        for kind, source in REBUILT.items():
            rebuilt = (both for run in leg.runs for both in pictures_of(run, kind, source))
            ssim, psnr_db = _likeness(rebuilt)
            numbers |= {f"{kind}_input_ssim_{side}": ssim, f"{kind}_input_psnr_db_{side}": psnr_db}
    runs = pairs(reference, candidate) or [(reference.first, candidate.first)]
    for kind in DRAWN:
        paths = ((one.picture(image, kind), other.picture(image, kind)) for one, other in runs for image in one.samples)
        ssim, psnr_db = _likeness((read_pixels(one), read_pixels(other)) for one, other in paths if one and other)
        numbers |= {f"{kind}_psnr_db": psnr_db, f"{kind}_ssim": ssim}
    return numbers


def _likeness(pictures: Iterable[tuple[Picture, ...]]) -> tuple[float | None, float | None]:
    """Return SSIM and PSNR over pairs of pictures; None without any, the PSNR of equal ones is infinite and None."""
    measured = [(similarity(*both), mean_square(*both)) for both in pictures]
    return mean([ssim for ssim, _ in measured]), psnr(mean([square for _, square in measured]))
