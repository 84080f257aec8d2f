"""The axis images: are the pictures of the trained legs as good? Equal losses do not show that."""

from collections.abc import Iterable, Sequence

import numpy as np

from components.compare.axes.training import estimate_numbers
from components.compare.bounds import Bounds
from components.compare.distribution import sliced_distance
from components.compare.leg import LegRun, LegRuns, pairs, same_seeds
from components.compare.measure import DISTANCES, ERRORS, SHARPNESS, Values, words
from components.compare.pictures import (
    LEVELS_PER_UNIT,
    Picture,
    fine_energy,
    mean_difference,
    mean_square,
    psnr,
    read_pixels,
    similarity,
)
from components.compare.samples import picture_problem
from components.compare.statistics import RatioEstimate, estimate_ratio
from components.compare.verdict import Finding, Number, Verdict, join, not_measured

DRAWN = ("A2B", "A2B2A", "B2A", "B2A2B")
REBUILT = {"A2B2A": "real_A", "B2A2B": "real_B"}
TARGETS = {"A2B": "real_B", "B2A": "real_A"}


def judge_images(reference: LegRuns, candidate: LegRuns, bounds: Bounds, unlike: str | None) -> Finding:
    """Hold the candidate's samples against the reference's.

    Judged are, each over all validation images of all runs: the reconstruction errors, how much fine detail the drawn
    pictures have of what the real ones of their domain have, and their distance from those. SSIM and PSNR, against the
    input and between legs, are told but not judged: two seeds of one leg draw different pictures. ``unlike`` says why
    the legs' samples cannot be held against each other.
    """
    runs = [*reference.runs, *candidate.runs]
    for problem in (*(run.unfinished for run in runs), unlike, *(picture_problem(run) for run in runs)):
        if problem:
            return not_measured(f"{problem}.")
    measured = [image_values(leg) for leg in (reference, candidate)]
    told = [_told(leg) for leg in (reference, candidate)]
    numbers: dict[str, Number] = {}
    for side, found in zip(("reference", "candidate"), told, strict=True):
        numbers |= {f"{name}_{side}": value for name, value in found.items()}
    numbers |= _between(pairs(reference, candidate) or [(reference.first, candidate.first)])
    finding = judge_image_values(
        reference.name, measured[0], candidate.name, measured[1], same_seeds(reference, candidate), bounds
    )
    return Finding(finding.verdict, finding.reason, {**finding.numbers, **numbers})


def judge_image_values(
    reference: str, of_reference: Values, candidate: str, of_candidate: Values, paired: bool, bounds: Bounds
) -> Finding:
    """Hold measures of pictures against the bounds; only measures that both have are judged.

    A measure fails where its interval lies outside of its bound, with one run a leg where the value does; a
    reconstruction error of one run where it is above ``gross_loss_ratio``, for seeds differ in it as losses do.
    """
    numbers: dict[str, Number] = {}
    wrong: list[str] = []
    open_: list[str] = []
    within: list[str] = []
    unknown: list[str] = []
    for name in (*ERRORS, *SHARPNESS, *DISTANCES):
        if name not in of_reference or name not in of_candidate:
            continue
        for side, values in (("reference", of_reference[name]), ("candidate", of_candidate[name])):
            known = [value for value in values if value is not None]
            numbers[f"{name}_{side}"] = float(np.mean(known)) if known else None
        found = estimate_ratio(of_reference[name], of_candidate[name], paired, bounds.significance)
        if found is None:
            unknown.append(words(name))
            continue
        numbers |= estimate_numbers(name, found)
        verdict = _outside(name, found, bounds)
        shown = f"{words(name)} is {found.ratio:.3g} times as high ({_limits(name, found, bounds)})"
        if verdict is Verdict.PASS:
            within.append(f"{words(name)} {found.ratio:.2f}")
        else:
            (wrong if verdict is Verdict.FAIL else open_).append(shown)
    if wrong:
        return Finding(Verdict.FAIL, f"{candidate}'s pictures are not like {reference}'s: {join(wrong)}.", numbers)
    if unknown:
        reason = f"There is no ratio of {join(unknown)}: it is zero, or was not measured, in the pictures of a leg."
        return Finding(Verdict.INCONCLUSIVE, reason, numbers)
    if open_:
        reason = f"{candidate}'s pictures may not be like {reference}'s: {join(open_)}; more seeds would tell."
        return Finding(Verdict.INCONCLUSIVE, reason, numbers)
    if not within:
        return not_measured(f"{reference} and {candidate} have no measure of pictures in common.")
    reason = f"{candidate}'s pictures over {reference}'s are within the bounds: {join(within)}."
    return Finding(Verdict.PASS, reason, numbers)


def _bounds_of(name: str, bounds: Bounds) -> tuple[float, float]:
    if name in SHARPNESS:
        return bounds.min_sharpness_ratio, 1 / bounds.min_sharpness_ratio
    return 0.0, bounds.max_distance_ratio if name in DISTANCES else bounds.max_reconstruction_ratio


def _outside(name: str, found: RatioEstimate, bounds: Bounds) -> Verdict:
    lowest, highest = _bounds_of(name, bounds)
    if lowest <= found.ratio <= highest:
        return Verdict.PASS
    if found.low is None or found.high is None:
        gross = max(bounds.gross_loss_ratio, highest) if name in ERRORS else highest
        return Verdict.FAIL if not lowest <= found.ratio <= gross else Verdict.INCONCLUSIVE
    return Verdict.FAIL if found.low > highest or found.high < lowest else Verdict.INCONCLUSIVE


def _limits(name: str, found: RatioEstimate, bounds: Bounds) -> str:
    lowest, highest = _bounds_of(name, bounds)
    interval = "" if found.low is None or found.high is None else f"{found.low:.3g} to {found.high:.3g}; "
    return f"{interval}bound {lowest:.3g} to {highest:.3g}" if lowest else f"{interval}bound {highest:.3g}"


def image_values(leg: LegRuns) -> Values:
    """The judged measures of a leg's samples, one value a run."""
    found = [_judged(run) for run in leg.runs]
    return {name: tuple(values[name] for values in found) for name in (*ERRORS, *SHARPNESS, *DISTANCES)}


def _judged(run: LegRun) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    for kind, source in REBUILT.items():
        errors = [mean_difference(drawn, real) / LEVELS_PER_UNIT for drawn, real in _pictures(run, kind, source)]
        values[f"{kind}_error"] = _mean(errors)
    for kind, target in TARGETS.items():
        drawn, real = ([one for (one,) in _pictures(run, wanted)] for wanted in (kind, target))
        detail = _mean([fine_energy(picture) for picture in real])
        own = _mean([fine_energy(picture) for picture in drawn])
        values[f"{kind}_sharpness"] = own / detail if own is not None and detail else None
        values[f"{kind}_distance"] = sliced_distance(drawn, real) if drawn and real else None
    return values


def _told(leg: LegRuns) -> dict[str, Number]:
    """SSIM and PSNR of the rebuilt pictures against their inputs, over all runs."""
    numbers: dict[str, Number] = {}
    for kind, source in REBUILT.items():
        both = [pair for run in leg.runs for pair in _pictures(run, kind, source)]
        numbers[f"{kind}_input_ssim"] = _mean([similarity(drawn, real) for drawn, real in both])
        squares = _mean([mean_square(drawn, real) for drawn, real in both])
        numbers[f"{kind}_input_psnr_db"] = None if squares is None else psnr(squares)
    return numbers


def _between(runs: Sequence[tuple[LegRun, LegRun]]) -> dict[str, Number]:
    """SSIM and PSNR of the candidate's pictures against the reference's, over the pairs of runs."""
    numbers: dict[str, Number] = {}
    for kind in DRAWN:
        squares, similarities = [], []
        for reference, candidate in runs:
            for image, pictures in reference.samples.items():
                other = candidate.picture(image, kind)
                if kind in pictures and other:
                    one, two = read_pixels(pictures[kind]), read_pixels(other)
                    squares.append(mean_square(one, two))
                    similarities.append(similarity(one, two))
        square = _mean(squares)
        numbers[f"{kind}_psnr_db"] = None if square is None else psnr(square)
        numbers[f"{kind}_ssim"] = _mean(similarities)
    return numbers


def _pictures(run: LegRun, *kinds: str) -> Iterable[tuple[Picture, ...]]:
    """The pictures of each image that has all ``kinds``; one image is in memory at a time."""
    for pictures in run.samples.values():
        if all(kind in pictures for kind in kinds):
            yield tuple(read_pixels(pictures[kind]) for kind in kinds)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None
