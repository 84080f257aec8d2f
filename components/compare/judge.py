"""Hold trained legs against a reference leg, or a recorded reference, and write down the verdict."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from components.compare.axes.arithmetic import judge_arithmetic
from components.compare.axes.function import dataset_mismatch, judge_function
from components.compare.axes.images import judge_images
from components.compare.axes.performance import judge_performance
from components.compare.axes.training import judge_training
from components.compare.bounds import Bounds
from components.compare.leg import Leg, LegRuns, check_legs, differing_options, read_leg
from components.compare.measure import Measured, measure
from components.compare.references import Recorded
from components.compare.report import write_report
from components.compare.result import Comparison, caveats_of, leg_result, notes_on, recorded_result
from components.compare.verdict import AxisName, AxisResult, combine, headline, not_measured, overall
from dualgan.errors import BadInput, DualGANError
from dualgan.run_folder import write_json

DEFAULT = Bounds()


def compare(
    legs: Sequence[Leg],
    reference: str | None,
    output: Path,
    bounds: Bounds = DEFAULT,
    recorded: Recorded | None = None,
) -> Comparison:
    """Judge every other leg against the one called ``reference``, or every leg against ``recorded``; write the result.

    Args:
        legs: What to compare.
        reference: The name of one of them; unused with ``recorded``.
        output: The folder to write comparison.json, report.html, report.md, report.zh.md into, and of each leg's first
            validation image ``{leg}_{realA,A2B,A2B2A,realB,B2A,B2A2B}.jpg``.
        bounds: What verdicts rest on.
        recorded: A reference that is no leg.

    Raises:
        BadInput: Legs cannot be compared, and nothing is written: too few, names that are not unique, an unknown
            reference, a run folder that is missing, damaged or truncated, two runs of one seed.
        DualGANError: The result cannot be written.
    """
    check_legs(legs, None if recorded else reference, recorded.name if recorded else None)
    if output.exists() and not output.is_dir():
        raise BadInput(f"{output}: not a folder; name one that the comparison can write into")
    runs = [read_leg(leg) for leg in sorted(legs, key=lambda leg: bool(recorded) or leg.name != reference)]
    comparison = judge(recorded, runs, bounds) if recorded else judge(runs[0], runs[1:], bounds)
    try:
        _write(comparison, runs, output)
    except OSError as error:
        raise DualGANError(f"{output}: the comparison cannot be written ({error})") from error
    return comparison


def judge(reference: LegRuns | Recorded, candidates: Sequence[LegRuns], bounds: Bounds) -> Comparison:
    """Compare ``candidates`` with a reference of either kind, without writing anything."""
    recorded = reference if isinstance(reference, Recorded) else None
    legs = [*([] if isinstance(reference, Recorded) else [reference]), *candidates]
    measured = reference.measured() if isinstance(reference, Recorded) else measure(reference)
    results = {candidate.name: _judge_axes(reference, measured, candidate, bounds) for candidate in candidates}
    axes = {axis: combine({name: of[axis] for name, of in results.items()}, bounds.of_axis(axis)) for axis in AxisName}
    verdict = overall(axes)
    return Comparison(
        reference=reference.name,
        candidates=tuple(results),
        verdict=verdict,
        reason=headline(verdict, axes, reference.name, list(results)),
        caveats=caveats_of(legs, axes),
        axes=axes,
        legs={leg.name: leg_result(leg) for leg in legs},
        recorded=recorded_result(recorded) if recorded else None,
        differing_options=differing_options(legs),
        notes=tuple(note for leg in legs for note in notes_on(leg)),
        bounds=bounds,
    )


def _judge_axes(
    reference: LegRuns | Recorded, measured: Measured, leg: LegRuns, bounds: Bounds
) -> dict[AxisName, AxisResult]:
    """Judge one candidate; on no axis but function and arithmetic, and speed, if it did another job."""
    candidate = measure(leg)
    function, arithmetic = judge_function(measured.leg, leg, bounds), judge_arithmetic(measured.leg, leg, bounds)
    if isinstance(reference, Recorded):
        mismatch, has_comparable_speed = reference.job_mismatch(leg), False
        reason = f"{reference.name} is no reference for {leg.name}: {mismatch}."
    else:
        mismatch, has_comparable_speed = dataset_mismatch([*reference.runs, *leg.runs]), True
        reason = f"Losses and pictures of {leg.name} cannot be compared: {mismatch}."
    results = {axis: not_measured(reason) for axis in (AxisName.TRAINING, AxisName.IMAGES, AxisName.PERFORMANCE)}
    if not mismatch:
        results[AxisName.TRAINING] = judge_training(measured, candidate, bounds)
        results[AxisName.IMAGES] = judge_images(measured, candidate, bounds)
    if not mismatch or has_comparable_speed:
        results[AxisName.PERFORMANCE] = judge_performance(measured, candidate, bounds)
    return {AxisName.FUNCTION: function, AxisName.ARITHMETIC: arithmetic, **results}


def _write(comparison: Comparison, legs: Sequence[LegRuns], output: Path) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=output.parent, prefix=f".{output.name}."))
    try:
        write_report(comparison, legs, staging)
        write_json(staging / "comparison.json", comparison.to_json())
        output.mkdir(exist_ok=True)
        for path in sorted(staging.iterdir()):
            path.replace(output / path.name)
    finally:
        shutil.rmtree(staging)
