"""Hold trained legs against a reference leg, or a recorded reference, and write down the verdict."""

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from components.compare.axes.arithmetic import judge_arithmetic
from components.compare.axes.function import dataset_mismatch, judge_function, steps_mismatch
from components.compare.axes.images import judge_images
from components.compare.axes.performance import judge_performance
from components.compare.axes.training import judge_training
from components.compare.bounds import AxisName, Bounds
from components.compare.leg import Leg, LegRuns, check_name, differing_options, read_leg
from components.compare.measure import Measured, measure
from components.compare.records import Summary, none_unless_finite
from components.compare.references import Recorded
from components.compare.report import write_report
from components.compare.verdict import (
    Axis,
    AxisResult,
    Comparison,
    LegResult,
    RunResult,
    Verdict,
    join,
    not_measured,
    worst,
)
from dualgan.errors import BadInput, DualGANError
from dualgan.run_folder import write_json

DEFAULT = Bounds()
# Without these nothing is shown about the port, whatever else passes.
REQUIRED_AXES = {AxisName.FUNCTION, AxisName.TRAINING}


def compare(
    legs: Sequence[Leg],
    reference: str | None,
    output: Path,
    bounds: Bounds = DEFAULT,
    recorded: Recorded | None = None,
) -> Comparison:
    """Judge every other leg against the one called ``reference``, or every leg against ``recorded``; write the result.

    The folder ``output`` gets comparison.json, report.html, report.md, report.zh.md, and of each leg's first validation
    image ``{leg}_{realA,A2B,A2B2A,realB,B2A,B2A2B}.jpg``.

    Raises:
        BadInput: Legs cannot be compared, and nothing is written: too few, names that are not unique, an unknown
            reference, a run folder that is missing, damaged or truncated, two runs of one seed.
        DualGANError: The result cannot be written.
    """
    _check_names([leg.name for leg in legs], reference, recorded)
    if output.exists() and not output.is_dir():
        raise BadInput(f"{output}: not a folder; name one that the comparison can write into")
    runs = [read_leg(leg) for leg in sorted(legs, key=lambda leg: bool(recorded) or leg.name != reference)]
    comparison = judge(recorded, runs, bounds) if recorded else judge(runs[0], runs[1:], bounds)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as staging:
            write_report(comparison, runs, Path(staging))
            write_json(Path(staging) / "comparison.json", comparison.to_json())
            output.mkdir(exist_ok=True)
            for path in sorted(Path(staging).iterdir()):
                path.replace(output / path.name)
    except OSError as error:
        raise DualGANError(f"{output}: the comparison cannot be written ({error})") from error
    return comparison


def _check_names(names: Sequence[str], reference: str | None, recorded: Recorded | None) -> None:
    if len(names) < (1 if recorded else 2):
        raise BadInput(
            f"a comparison needs two legs or more, got {len(names)} ({', '.join(names) or 'none'}); "
            "one is enough with a recorded reference"
        )
    for name in names:
        check_name(name)
        if names.count(name) > 1:
            raise BadInput(f"leg {name!r}: two legs have this name; name each leg differently")
        if recorded and name == recorded.name:
            raise BadInput(f"leg {name!r}: has the name of the recorded reference; name the leg differently")
    if not recorded and reference not in names:
        raise BadInput(f"reference {reference!r} is not among the legs ({', '.join(names)}); name one of them")


def judge(reference: LegRuns | Recorded, candidates: Sequence[LegRuns], bounds: Bounds) -> Comparison:
    """Compare ``candidates`` with a reference of either kind, without writing anything."""
    recorded = reference if isinstance(reference, Recorded) else None
    legs = [*([] if isinstance(reference, Recorded) else [reference]), *candidates]
    measured = reference.measured() if isinstance(reference, Recorded) else measure(reference)
    results = {leg.name: _judge_axes(measured, recorded, leg, bounds) for leg in candidates}
    axes = {
        axis: _combined({name: of[axis] for name, of in results.items()}, bounds.of_axis(axis)) for axis in AxisName
    }
    verdict = worst(Verdict.PASS if axis.verdict is Verdict.NOT_MEASURED else axis.verdict for axis in axes.values())
    if verdict is Verdict.PASS and any(axes[name].verdict is Verdict.NOT_MEASURED for name in REQUIRED_AXES):
        verdict = Verdict.INCONCLUSIVE
    return Comparison(
        reference=reference.name,
        candidates=tuple(results),
        verdict=verdict,
        reason=_headline(verdict, axes, reference.name, list(results)),
        caveats=tuple(_caveats(legs, axes)),
        axes=axes,
        legs={leg.name: _leg_result(leg) for leg in legs},
        recorded=recorded.result() if recorded else None,
        differing_options=differing_options(legs),
        notes=tuple(note for leg in legs for note in _notes_on(leg)),
        bounds=bounds,
    )


def _judge_axes(
    reference: Measured, recorded: Recorded | None, leg: LegRuns, bounds: Bounds
) -> dict[AxisName, AxisResult]:
    """Judge one candidate; if it did another job, on function, arithmetic and against a leg's speed alone."""
    candidate = measure(leg)
    if recorded:
        mismatch = recorded.job_mismatch(leg)
        reason = f"{reference.name} is no reference for {leg.name}: {mismatch}."
    else:
        runs = [*(reference.leg.runs if reference.leg else ()), *leg.runs]
        mismatch = dataset_mismatch(runs) or steps_mismatch(runs)
        reason = f"Losses and pictures of {leg.name} cannot be compared: {mismatch}."
    other_job = not_measured(reason)
    return {
        AxisName.FUNCTION: judge_function(reference.leg, leg, bounds),
        AxisName.ARITHMETIC: judge_arithmetic(reference.leg, leg, bounds),
        AxisName.TRAINING: other_job if mismatch else judge_training(reference, candidate, bounds),
        AxisName.IMAGES: other_job if mismatch else judge_images(reference, candidate, bounds),
        AxisName.PERFORMANCE: other_job if mismatch and recorded else judge_performance(reference, candidate, bounds),
    }


def _combined(results: Mapping[str, AxisResult], bound: Mapping[str, float]) -> Axis:
    """Combine all candidates' results on an axis: the worst verdict, and every reason once."""
    return Axis(
        verdict=worst(result.verdict for result in results.values()),
        reason=" ".join(dict.fromkeys(result.reason for result in results.values())),
        bound=bound,
        numbers={
            candidate: {name: none_unless_finite(value) for name, value in result.numbers.items()}
            for candidate, result in results.items()
        },
    )


def _headline(verdict: Verdict, axes: Mapping[AxisName, Axis], reference: str, candidates: Sequence[str]) -> str:
    """Say the whole comparison in one sentence."""
    several = len(candidates) > 1
    subject = join(candidates) + (" are" if several else " is")

    def named(*verdicts: Verdict) -> str:
        return join([name for name, axis in axes.items() if axis.verdict in verdicts])

    if verdict is Verdict.PASS:
        passes = "pass" if several else "passes"
        return f"{join(candidates)} {passes} against {reference}: {named(Verdict.PASS)} lie within the bounds."
    if verdict is Verdict.FAIL:
        return f"{subject} not as good as {reference}: {named(Verdict.FAIL)} failed."
    unanswered = named(Verdict.INCONCLUSIVE, Verdict.NOT_MEASURED)
    return f"Whether {subject} as good as {reference} is not decided: {unanswered} gave no answer."


def _leg_result(leg: LegRuns) -> LegResult:
    environment = leg.first.options.environment
    shown = set(Summary.model_fields) - {"status"}
    return LegResult(
        description=f"{leg.name}: {leg.first.description}",
        device={"kind": environment.device.kind, "name": environment.device.name},
        tensorflow=environment.tensorflow,
        runs=tuple(
            RunResult(run.options.seed, run.summary.status, run.summary.model_dump(include=shown))
            if run.summary
            else RunResult(run.options.seed, "unknown", {})
            for run in leg.runs
        ),
    )


def _notes_on(leg: LegRuns) -> list[str]:
    """Say what a leg's name might make one believe that is not so, and which runs of it ran on other things."""
    notes = []
    claimed = [kind for kind in ("gpu", "npu") if re.search(rf"(^|[-._]){kind}", leg.name.lower())]
    if claimed and leg.first.options.environment.device.kind not in claimed:
        notes.append(f"The leg {leg.name} is no {claimed[0].upper()}: it ran as {leg.first.description}.")
    others = [run for run in leg.runs if run.description != leg.first.description]
    if others:
        notes.append(f"{others[0].name} ran as {others[0].description}, {leg.first.name} as {leg.first.description}.")
    return notes


def _caveats(legs: Sequence[LegRuns], axes: Mapping[AxisName, Axis]) -> list[str]:
    """Say what makes the evidence weaker than it could be."""
    found = []
    single = [leg.name for leg in legs if len(leg.runs) == 1]
    if single:
        found.append(f"one run of {' and of '.join(single)}: how much seeds differ is not known")
    if len({leg.seeds for leg in legs}) > 1:
        found.append("the legs' seeds differ: runs cannot be held against each other in pairs")
    optional = [name for name in axes if name not in REQUIRED_AXES]
    return found + [f"{name} was not measured" for name in optional if axes[name].verdict is Verdict.NOT_MEASURED]
