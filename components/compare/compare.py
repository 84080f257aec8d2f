"""Hold trained legs against a reference leg and write down the verdict."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from components.compare.bounds import Bounds
from components.compare.comparison import Comparison, leg_result, notes_on
from components.compare.function import dataset_problem, judge_function
from components.compare.images import judge_images
from components.compare.leg import Leg, LegRun, check_legs, read_leg
from components.compare.named_images import write_named_images
from components.compare.options import differing_options
from components.compare.performance import judge_performance
from components.compare.precision import judge_precision
from components.compare.report import render_html, render_markdown
from components.compare.samples import input_problem
from components.compare.verdict import AxisName, Finding, combine, headline, not_measured, overall
from dualgan.errors import BadInput, DualGANError
from dualgan.run_folder import write_json

BOUNDS_OF = {
    AxisName.FUNCTION: ("max_input_difference",),
    AxisName.PRECISION: ("max_loss_ratio",),
    AxisName.IMAGES: ("max_reconstruction_ratio", "min_sharpness_ratio", "max_input_difference"),
    AxisName.PERFORMANCE: ("perfect_speed_ratio", "par_speed_ratio", "min_speed_ratio"),
}

DEFAULT = Bounds()


def compare(legs: Sequence[Leg], reference: str, output: Path, bounds: Bounds = DEFAULT) -> Comparison:
    """Judge every other leg against the one called ``reference``; write the result into ``output``.

    Writes comparison.json, report.html, report.md and, of each leg's first validation image,
    ``{leg}_{realA,A2B,A2B2A,realB,B2A,B2A2B}.jpg``. Raises BadInput, and writes nothing, where legs cannot be
    compared: fewer than two, names that are not unique, an unknown reference, a run folder that is missing,
    damaged or truncated.
    """
    check_legs(legs, reference)
    if output.exists() and not output.is_dir():
        raise BadInput(f"{output}: not a folder; name one that the comparison can write into")
    by_name = {leg.name: leg for leg in legs}
    ordered = [by_name.pop(reference), *by_name.values()]
    runs = [read_leg(leg) for leg in ordered]
    comparison = judge(runs[0], runs[1:], bounds)
    try:
        _write(comparison, runs, output)
    except OSError as error:
        raise DualGANError(f"{output}: the comparison cannot be written ({error})") from error
    return comparison


def judge(reference: LegRun, candidates: Sequence[LegRun], bounds: Bounds) -> Comparison:
    """The comparison of ``candidates`` with ``reference``, without writing anything."""
    found = {candidate.name: _findings(reference, candidate, bounds) for candidate in candidates}
    axes = {
        axis: combine({name: findings[axis] for name, findings in found.items()}, bounds.values(*BOUNDS_OF[axis]))
        for axis in AxisName
    }
    verdict = overall(axes)
    runs = [reference, *candidates]
    return Comparison(
        reference=reference.name,
        candidates=tuple(found),
        verdict=verdict,
        reason=headline(verdict, axes, reference.name, list(found)),
        axes=axes,
        legs={run.name: leg_result(run) for run in runs},
        differing_options=differing_options(runs),
        notes=tuple(note for run in runs for note in notes_on(run)),
        bounds=bounds,
    )


def _findings(reference: LegRun, candidate: LegRun, bounds: Bounds) -> dict[AxisName, Finding]:
    unlike_samples = input_problem(reference, candidate, bounds)
    unlike_data = dataset_problem(reference, candidate)
    other_data = not_measured(f"Losses and pictures of {candidate.name} cannot be compared: {unlike_data}.")
    return {
        AxisName.FUNCTION: judge_function(reference, candidate, unlike_samples),
        AxisName.PRECISION: other_data if unlike_data else judge_precision(reference, candidate, bounds),
        AxisName.IMAGES: other_data if unlike_data else judge_images(reference, candidate, bounds, unlike_samples),
        AxisName.PERFORMANCE: judge_performance(reference, candidate, bounds),
    }


def _write(comparison: Comparison, runs: Sequence[LegRun], output: Path) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=output.parent, prefix=f".{output.name}."))
    try:
        write_named_images(runs, staging)
        (staging / "report.html").write_text(render_html(comparison, runs), encoding="utf-8")
        (staging / "report.md").write_text(render_markdown(comparison, runs), encoding="utf-8")
        write_json(staging / "comparison.json", comparison.to_json())
        output.mkdir(exist_ok=True)
        for path in sorted(staging.iterdir()):
            path.replace(output / path.name)
    finally:
        shutil.rmtree(staging)
