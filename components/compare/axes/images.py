"""The axis images: are the pictures of the trained legs as good? Equal losses do not show that."""

from collections.abc import Iterable, Iterator, Sequence

from components.compare.bounds import Bounds
from components.compare.leg import LegRun, LegRuns, pairs
from components.compare.measure import DISTANCES, ERRORS, IMAGES, REBUILT, SHARPNESS, Measured, in_words, is_paired
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
from components.compare.statistics import RatioEstimate, estimate_ratio, further_seeds, mean, more_seeds
from components.compare.verdict import AxisResult, Number, Verdict, join, not_measured

DRAWN = ("A2B", "A2B2A", "B2A", "B2A2B")


def judge_images(reference: Measured, candidate: Measured, bounds: Bounds) -> AxisResult:
    """Hold the measures of the candidate's samples against the reference's.

    Judged are, each over all validation images of all runs: the reconstruction errors, how much fine detail the drawn
    pictures have of what the real ones of their domain have, and their distance from those. SSIM and PSNR, against the
    input and between legs, are informational: two seeds of one leg draw different pictures.
    """
    legs = [side.leg for side in (reference, candidate) if side.leg]
    runs = [run for leg in legs for run in leg.runs]
    for problem in (
        *(run.unfinished for run in runs),
        input_mismatch(runs, bounds.max_input_difference),
        *(missing_pictures(run) for run in runs),
    ):
        if problem:
            return not_measured(f"{problem}.")
    if not reference.known(IMAGES):
        return not_measured(reference.lacking(IMAGES, "measure of pictures"))
    result = _judge_measures(reference, candidate, bounds)
    return AxisResult(result.verdict, result.reason, {**result.numbers, **_informational(legs)})


def _judge_measures(reference: Measured, candidate: Measured, bounds: Bounds) -> AxisResult:
    """Judge each measure that the reference has.

    A measure fails if its interval lies outside of its bound, with one run a leg if the value does; a reconstruction
    error of one run if it is above ``gross_loss_ratio``, for seeds differ in it as losses do.
    """
    numbers: dict[str, Number] = {}
    shown: dict[Verdict, list[str]] = {verdict: [] for verdict in Verdict}
    undecided: list[tuple[RatioEstimate, int | None]] = []
    paired = is_paired(reference, candidate)
    for name, values in reference.known(IMAGES).items():
        own = candidate.values[name]
        numbers[f"{name}_reference"] = mean([value for value in values if value is not None])
        numbers[f"{name}_candidate"] = mean([value for value in own if value is not None])
        found = estimate_ratio(values, own, paired, bounds.significance)
        if found is None:
            shown[Verdict.NOT_MEASURED].append(in_words(name))
            continue
        numbers |= found.numbers(name)
        verdict = _within_bound(name, found, bounds)
        if verdict is Verdict.INCONCLUSIVE:
            limits = _range(name, bounds)
            undecided.append((found, further_seeds(found, limits, paired, bounds.significance, not reference.leg)))
        shown[verdict].append(
            f"{in_words(name)} {found.ratio:.2f}"
            if verdict is Verdict.PASS
            else f"{in_words(name)} is {found.ratio:.3g} times as high ({_limits(name, found, bounds)})"
        )
    both = f"{candidate.name}'s pictures {{}} {reference.name}'s"
    if shown[Verdict.FAIL]:
        return AxisResult(Verdict.FAIL, f"{both.format('are not like')}: {join(shown[Verdict.FAIL])}.", numbers)
    if shown[Verdict.NOT_MEASURED]:
        unknown = join(shown[Verdict.NOT_MEASURED])
        reason = f"There is no ratio of {unknown}: it is zero, or was not measured, in the pictures of a leg."
        return AxisResult(Verdict.INCONCLUSIVE, reason, numbers)
    if shown[Verdict.INCONCLUSIVE]:
        advice = more_seeds(undecided, not reference.leg)
        reason = f"{both.format('may not be like')}: {join(shown[Verdict.INCONCLUSIVE])}: {advice}."
        return AxisResult(Verdict.INCONCLUSIVE, reason, numbers)
    return AxisResult(
        Verdict.PASS, f"{both.format('over')} are within the bounds: {join(shown[Verdict.PASS])}.", numbers
    )


def _range(name: str, bounds: Bounds) -> tuple[float, float]:
    if name in SHARPNESS:
        return bounds.min_sharpness_ratio, 1 / bounds.min_sharpness_ratio
    return 0.0, bounds.max_distance_ratio if name in DISTANCES else bounds.max_reconstruction_ratio


def _within_bound(name: str, found: RatioEstimate, bounds: Bounds) -> Verdict:
    lowest, highest = _range(name, bounds)
    if lowest <= found.ratio <= highest:
        return Verdict.PASS
    if found.interval is None:
        gross = max(bounds.gross_loss_ratio, highest) if name in ERRORS else highest
        return Verdict.FAIL if not lowest <= found.ratio <= gross else Verdict.INCONCLUSIVE
    low, high = found.interval
    return Verdict.FAIL if low > highest or high < lowest else Verdict.INCONCLUSIVE


def _limits(name: str, found: RatioEstimate, bounds: Bounds) -> str:
    lowest, highest = _range(name, bounds)
    interval = "{:.3g} to {:.3g}; ".format(*found.interval) if found.interval else ""
    return f"{interval}bound {lowest:.3g} to {highest:.3g}" if lowest else f"{interval}bound {highest:.3g}"


def _informational(legs: Sequence[LegRuns]) -> dict[str, Number]:
    """Return SSIM and PSNR of rebuilt pictures against their inputs, and of a leg's pictures against the other's."""
    if len(legs) < 2:
        return {}
    reference, candidate = legs
    numbers: dict[str, Number] = {}
    for side, leg in (("reference", reference), ("candidate", candidate)):
        for kind, source in REBUILT.items():
            pictures = (both for run in leg.runs for both in pictures_of(run, kind, source))
            ssim, psnr_db = _likeness(pictures)
            numbers |= {f"{kind}_input_ssim_{side}": ssim, f"{kind}_input_psnr_db_{side}": psnr_db}
    runs = pairs(reference, candidate) or [(reference.first, candidate.first)]
    for kind in DRAWN:
        ssim, psnr_db = _likeness(both for pair in runs for both in _drawn_by_both(*pair, kind))
        numbers |= {f"{kind}_psnr_db": psnr_db, f"{kind}_ssim": ssim}
    return numbers


def _likeness(pictures: Iterable[tuple[Picture, ...]]) -> tuple[float | None, float | None]:
    """Return SSIM and PSNR over pairs of pictures; None without any, the PSNR of equal ones is infinite and None."""
    measured = [(similarity(*both), mean_square(*both)) for both in pictures]
    return mean([ssim for ssim, _ in measured]), psnr(mean([square for _, square in measured]))


def _drawn_by_both(reference: LegRun, candidate: LegRun, kind: str) -> Iterator[tuple[Picture, ...]]:
    for image in reference.samples:
        paths = reference.picture(image, kind), candidate.picture(image, kind)
        if paths[0] and paths[1]:
            yield read_pixels(paths[0]), read_pixels(paths[1])
