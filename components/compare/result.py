"""The result of a comparison, as comparison.json holds it."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from components.compare.bounds import Bounds
from components.compare.leg import LegRun, LegRuns
from components.compare.options import OptionDifference
from components.compare.records import Summary
from components.compare.verdict import Axis, AxisName, Number, Verdict

SCHEMA_VERSION = 2


@dataclass(frozen=True)
class RunResult:
    """One run of a leg; ``result`` is its summary.json less the status, or {}."""

    seed: int
    status: str
    result: Mapping[str, Any]


@dataclass(frozen=True)
class LegResult:
    """What a leg was and what its runs reached, by rising seed."""

    description: str
    device: Mapping[str, str]
    tensorflow: str
    runs: tuple[RunResult, ...]


@dataclass(frozen=True)
class RecordedResult:
    """The recorded reference where there is one in place of a leg."""

    source: str
    date: str | None
    hardware: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class Comparison:
    """``reason`` is the whole verdict in one sentence; ``notes`` are what a reader has to know beside it.

    ``weaknesses`` say what makes the evidence weaker than it could be; [] where nothing does. ``reference`` is a leg's
    name, or that of the reference in ``recorded``.
    """

    reference: str
    candidates: tuple[str, ...]
    verdict: Verdict
    reason: str
    weaknesses: tuple[str, ...]
    axes: Mapping[AxisName, Axis]
    legs: Mapping[str, LegResult]
    recorded: RecordedResult | None
    differing_options: tuple[OptionDifference, ...]
    notes: tuple[str, ...]
    bounds: Bounds
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> dict[str, Any]:
        """The content of comparison.json; every number in it is finite or null."""
        return dataclasses.asdict(self)

    def numbers(self) -> dict[str, float]:
        """Every finite number of the axes by "axis/name"; with several candidates "candidate/axis/name"."""
        several = len(self.candidates) > 1
        return {
            "/".join([candidate] * several + [str(axis_name), name]): float(value)
            for axis_name, axis in self.axes.items()
            for candidate, values in axis.numbers.items()
            for name, value in values.items()
            if isinstance(value, int | float) and math.isfinite(value)
        }


def json_schema() -> dict[str, Any]:
    """The JSON schema of comparison.json. Every bound is in the file, so the schema has no defaults of them."""
    schema = TypeAdapter(Comparison).json_schema()
    bounds = schema["$defs"]["Bounds"]
    bounds["required"] = sorted(bounds["properties"])
    for bound in bounds["properties"].values():
        del bound["default"]
    return schema


def leg_result(leg: LegRuns) -> LegResult:
    environment = leg.first.options.environment
    return LegResult(
        description=f"{leg.name}: {leg.first.description}",
        device={"kind": environment.device.kind, "name": environment.device.name},
        tensorflow=environment.tensorflow,
        runs=tuple(_run_result(run) for run in leg.runs),
    )


def _run_result(run: LegRun) -> RunResult:
    result = run.summary.model_dump(include=set(Summary.model_fields) - {"status"}) if run.summary else {}
    return RunResult(run.seed, run.summary.status if run.summary else "unknown", result)


def notes_on(leg: LegRuns) -> list[str]:
    """What a leg's name might make one believe that is not so, and runs of one leg that ran on other things."""
    notes = []
    words = leg.name.lower().replace("-", "_").replace(".", "_").split("_")
    claimed = [kind for kind in ("gpu", "npu") if any(word.startswith(kind) for word in words)]
    if claimed and leg.first.device not in claimed:
        notes.append(f"The leg {leg.name} is no {claimed[0].upper()}: it ran as {leg.first.description}.")
    others = [run for run in leg.runs if run.description != leg.first.description]
    if others:
        notes.append(f"{others[0].name} ran as {others[0].description}, {leg.first.name} as {leg.first.description}.")
    return notes


def weaknesses_of(legs: Sequence[LegRuns], axes: Mapping[AxisName, Axis]) -> tuple[str, ...]:
    """What makes the evidence weaker than it could be."""
    found = []
    single = [leg.name for leg in legs if len(leg.runs) == 1]
    if single:
        found.append(f"one run of {' and of '.join(single)}: how much seeds differ is not known")
    if len({leg.seeds for leg in legs}) > 1:
        found.append("the legs' seeds differ: runs cannot be held against each other in pairs")
    for name in (AxisName.ARITHMETIC, AxisName.IMAGES, AxisName.PERFORMANCE):
        if axes[name].verdict is Verdict.NOT_MEASURED:
            found.append(f"{name} was not measured")
    return tuple(found)


def finite(numbers: Mapping[str, Number]) -> dict[str, Number]:
    """``numbers`` with null for what is not finite: JSON knows no NaN."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in numbers.items()
    }
