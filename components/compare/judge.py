"""Hold trained legs against a reference leg, or against a recorded reference, and write down the verdict."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from components.compare.against_recorded import judge_against_recorded
from components.compare.arithmetic import judge_arithmetic
from components.compare.axes.images import judge_images
from components.compare.axes.performance import judge_performance
from components.compare.axes.training import judge_training
from components.compare.bounds import Bounds
from components.compare.function import dataset_problem, inputs_problem, judge_function
from components.compare.leg import Leg, LegRuns, check_legs, read_leg
from components.compare.named_images import write_named_images
from components.compare.options import differing_options
from components.compare.references import Recorded
from components.compare.report import MARKDOWN, render_html, render_markdown
from components.compare.result import (
    Comparison,
    RecordedResult,
    finite,
    leg_result,
    notes_on,
    weaknesses_of,
)
from components.compare.verdict import Axis, AxisName, Finding, combine, headline, not_measured, overall
from dualgan.errors import BadInput, DualGANError
from dualgan.run_folder import write_json

BOUNDS_OF: dict[AxisName, tuple[str, ...]] = {
    AxisName.FUNCTION: ("max_input_difference",),
    AxisName.ARITHMETIC: (),
    AxisName.TRAINING: ("max_loss_ratio", "gross_loss_ratio", "significance"),
    AxisName.IMAGES: (
        "max_reconstruction_ratio",
        "gross_loss_ratio",
        "min_sharpness_ratio",
        "max_distance_ratio",
        "max_input_difference",
        "significance",
    ),
    AxisName.PERFORMANCE: ("perfect_speed_ratio", "par_speed_ratio", "min_speed_ratio", "significance"),
}

DEFAULT = Bounds()


def compare(
    legs: Sequence[Leg],
    reference: str | None,
    output: Path,
    bounds: Bounds = DEFAULT,
    recorded: Recorded | None = None,
) -> Comparison:
    """Judge every other leg against the one called ``reference``, or every leg against ``recorded``; write the result.

    Writes into ``output`` comparison.json, report.html, report.md, report.zh.md and, of each leg's first validation
    image, ``{leg}_{realA,A2B,A2B2A,realB,B2A,B2A2B}.jpg``. Raises BadInput, and writes nothing, where legs cannot be
    compared: too few, names that are not unique, an unknown reference, a run folder that is missing, damaged or
    truncated, two runs of one seed.
    """
    check_legs(legs, None if recorded else reference, recorded.name if recorded else None)
    if output.exists() and not output.is_dir():
        raise BadInput(f"{output}: not a folder; name one that the comparison can write into")
    by_name = {leg.name: leg for leg in legs}
    first = [] if recorded or reference is None else [by_name.pop(reference)]
    runs = [read_leg(leg) for leg in [*first, *by_name.values()]]
    comparison = judge_recorded(recorded, runs, bounds) if recorded else judge(runs[0], runs[1:], bounds)
    try:
        _write(comparison, runs, output)
    except OSError as error:
        raise DualGANError(f"{output}: the comparison cannot be written ({error})") from error
    return comparison


def judge(reference: LegRuns, candidates: Sequence[LegRuns], bounds: Bounds) -> Comparison:
    """The comparison of ``candidates`` with ``reference``, without writing anything."""
    found = {candidate.name: _findings(reference, candidate, bounds) for candidate in candidates}
    return _comparison(reference.name, None, [reference, *candidates], found, bounds)


def judge_recorded(recorded: Recorded, candidates: Sequence[LegRuns], bounds: Bounds) -> Comparison:
    """The comparison of ``candidates`` with a recorded reference, without writing anything."""
    found = {candidate.name: judge_against_recorded(recorded, candidate, bounds) for candidate in candidates}
    return _comparison(recorded.name, recorded, candidates, found, bounds)


def _findings(reference: LegRuns, candidate: LegRuns, bounds: Bounds) -> dict[AxisName, Finding]:
    unlike_samples = inputs_problem(reference, candidate, bounds)
    unlike_data = dataset_problem([*reference.runs, *candidate.runs])
    other_data = not_measured(f"Losses and pictures of {candidate.name} cannot be compared: {unlike_data}.")
    return {
        AxisName.FUNCTION: judge_function(reference, candidate, bounds),
        AxisName.ARITHMETIC: judge_arithmetic(candidate.replay, reference, candidate, bounds),
        AxisName.TRAINING: other_data if unlike_data else judge_training(reference, candidate, bounds),
        AxisName.IMAGES: other_data if unlike_data else judge_images(reference, candidate, bounds, unlike_samples),
        AxisName.PERFORMANCE: judge_performance(reference, candidate, bounds),
    }


def _comparison(
    reference: str,
    recorded: Recorded | None,
    legs: Sequence[LegRuns],
    found: Mapping[str, Mapping[AxisName, Finding]],
    bounds: Bounds,
) -> Comparison:
    axes = {axis: _axis(axis, found, bounds) for axis in AxisName}
    verdict = overall(axes)
    weaknesses = weaknesses_of(legs, axes)
    return Comparison(
        reference=reference,
        candidates=tuple(found),
        verdict=verdict,
        reason=headline(verdict, axes, reference, list(found)),
        weaknesses=weaknesses,
        axes=axes,
        legs={leg.name: leg_result(leg) for leg in legs},
        recorded=_recorded_result(recorded) if recorded else None,
        differing_options=differing_options(legs),
        notes=tuple(note for leg in legs for note in notes_on(leg)),
        bounds=bounds,
    )


def _axis(axis: AxisName, found: Mapping[str, Mapping[AxisName, Finding]], bounds: Bounds) -> Axis:
    findings = {
        name: Finding(of[axis].verdict, of[axis].reason, finite(of[axis].numbers)) for name, of in found.items()
    }
    return combine(findings, {name: getattr(bounds, name) for name in BOUNDS_OF[axis]})


def _recorded_result(recorded: Recorded) -> RecordedResult:
    return RecordedResult(
        source=recorded.source,
        date=recorded.date.isoformat() if recorded.date else None,
        hardware=recorded.hardware,
        values={name: measurement.value for name, measurement in recorded.measurements.items()},
    )


def _write(comparison: Comparison, legs: Sequence[LegRuns], output: Path) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=output.parent, prefix=f".{output.name}."))
    try:
        write_named_images([leg.first for leg in legs], [leg.name for leg in legs], staging)
        (staging / "report.html").write_text(render_html(comparison, legs), encoding="utf-8")
        for name, language in MARKDOWN.items():
            (staging / name).write_text(render_markdown(comparison, legs, language), encoding="utf-8")
        write_json(staging / "comparison.json", comparison.to_json())
        output.mkdir(exist_ok=True)
        for path in sorted(staging.iterdir()):
            path.replace(output / path.name)
    finally:
        shutil.rmtree(staging)
