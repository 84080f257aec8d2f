"""The result of a comparison, as comparison.json holds it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, TypeAdapter, ValidationError

from components.compare.bounds import Bounds
from components.compare.leg import LegRun, LegRuns, OptionDifference
from components.compare.records import MAX_BYTES, Summary, first_fault
from components.compare.verdict import Axis, AxisName, Verdict
from dualgan.errors import BadInput
from dualgan.json_files import read_json

# Its statistics take a second to import, and whoever reads a comparison needs none.
if TYPE_CHECKING:
    from components.compare.references import Recorded

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
    """The recorded reference if there is one in place of a leg."""

    source: str
    date: str | None
    hardware: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class Comparison:
    """The content of comparison.json.

    Attributes:
        reference: A leg's name, or that of the reference in ``recorded``.
        candidates: The names of the legs that were judged.
        verdict: The whole verdict.
        reason: The whole verdict in one sentence.
        caveats: What makes the evidence weaker than it could be; empty if nothing does.
        axes: What was found on each axis.
        legs: Every leg, the reference first if it is one.
        recorded: The reference if it is no leg.
        differing_options: Those that differ and should not.
        notes: What a reader has to know beside the verdict.
        bounds: All that are in force.
    """

    reference: str
    candidates: tuple[str, ...]
    verdict: Verdict
    reason: str
    caveats: Annotated[tuple[str, ...], Field(alias="weaknesses")]
    axes: Mapping[AxisName, Axis]
    legs: Mapping[str, LegResult]
    recorded: RecordedResult | None
    differing_options: tuple[OptionDifference, ...]
    notes: tuple[str, ...]
    bounds: Bounds
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> dict[str, Any]:
        """Return the content of comparison.json; every number in it is finite or null."""
        content: dict[str, Any] = TypeAdapter(Comparison).dump_python(self, mode="json", by_alias=True)
        return content

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a comparison.json. Raises BadInput, naming the first wrong thing, if it is none."""
        try:
            content = read_json(path, MAX_BYTES)
            if content.get("schema_version") != SCHEMA_VERSION:
                raise BadInput(f"of another version of this software, not of schema_version {SCHEMA_VERSION}")
            return TypeAdapter(cls).validate_python(content)
        except OSError as error:
            reason = str(error.strerror)
        except ValidationError as error:
            reason = first_fault(error)
        except BadInput as error:
            reason = str(error).removeprefix(f"{path}: ")
        raise BadInput(f"{path}: no comparison ({reason}); give the output folder of one")

    def lines(self) -> list[str]:
        """Say in a line each what was found on the axes, and what a reader has to know beside it."""
        axes = [f"{name:<12} {axis.verdict:<13} {axis.reason}" for name, axis in self.axes.items()]
        notes = [f"{'note':<12} {note}" for note in self.notes]
        return [*axes, *notes, *(f"{'weaker for':<12} {caveat}" for caveat in self.caveats)]

    def numbers(self) -> dict[str, float]:
        """Return every finite number of the axes by "axis/name"; with several candidates "candidate/axis/name"."""
        several = len(self.candidates) > 1
        return {
            "/".join([candidate] * several + [str(axis_name), name]): float(value)
            for axis_name, axis in self.axes.items()
            for candidate, values in axis.numbers.items()
            for name, value in values.items()
            if isinstance(value, int | float) and math.isfinite(value)
        }


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of comparison.json. Every bound is in the file, so the schema has no defaults of them."""
    schema = TypeAdapter(Comparison).json_schema()
    bounds = schema["$defs"]["Bounds"]
    bounds["required"] = sorted(bounds["properties"])
    for bound in bounds["properties"].values():
        del bound["default"]
    return schema


def leg_result(leg: LegRuns) -> LegResult:
    """Return what comparison.json says of a leg."""
    device = leg.first.options.environment.device
    return LegResult(
        description=f"{leg.name}: {leg.first.description}",
        device={"kind": device.kind, "name": device.name},
        tensorflow=leg.first.options.environment.tensorflow,
        runs=tuple(_run_result(run) for run in leg.runs),
    )


def _run_result(run: LegRun) -> RunResult:
    if run.summary is None:
        return RunResult(run.seed, "unknown", {})
    result = run.summary.model_dump(include=set(Summary.model_fields) - {"status"})
    return RunResult(run.seed, run.summary.status, result)


def recorded_result(recorded: "Recorded") -> RecordedResult:
    """Return what comparison.json says of a recorded reference."""
    return RecordedResult(
        source=recorded.source,
        date=recorded.date.isoformat() if recorded.date else None,
        hardware=recorded.hardware,
        values={name: measurement.value for name, measurement in recorded.measurements.items()},
    )


def notes_on(leg: LegRuns) -> list[str]:
    """Say what a leg's name might make one believe that is not so, and which runs of it ran on other things."""
    notes = []
    words = leg.name.lower().replace("-", "_").replace(".", "_").split("_")
    claimed = [kind for kind in ("gpu", "npu") if any(word.startswith(kind) for word in words)]
    if claimed and leg.first.device not in claimed:
        notes.append(f"The leg {leg.name} is no {claimed[0].upper()}: it ran as {leg.first.description}.")
    others = [run for run in leg.runs if run.description != leg.first.description]
    if others:
        notes.append(f"{others[0].name} ran as {others[0].description}, {leg.first.name} as {leg.first.description}.")
    return notes


def caveats_of(legs: Sequence[LegRuns], axes: Mapping[AxisName, Axis]) -> tuple[str, ...]:
    """Say what makes the evidence weaker than it could be."""
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
