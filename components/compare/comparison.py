"""The result of a comparison, as comparison.json holds it."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.compare.bounds import Bounds
from components.compare.leg import LegRun
from components.compare.options import OptionDifference
from components.compare.records import Summary
from components.compare.verdict import Axis, AxisName, Verdict

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class LegResult:
    """What a leg was and what it reached; ``result`` is its summary.json less the status, or {}."""

    description: str
    device: Mapping[str, str]
    tensorflow: str
    status: str
    result: Mapping[str, Any]


@dataclass(frozen=True)
class Comparison:
    """``reason`` is the whole verdict in one sentence; ``notes`` are what a reader has to know beside it."""

    reference: str
    candidates: tuple[str, ...]
    verdict: Verdict
    reason: str
    axes: Mapping[AxisName, Axis]
    legs: Mapping[str, LegResult]
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


def leg_result(leg: LegRun) -> LegResult:
    environment = leg.options.environment
    result = leg.summary.model_dump(include=set(Summary.model_fields) - {"status"}) if leg.summary else {}
    return LegResult(
        description=f"{leg.name}: {leg.description}",
        device={"kind": environment.device.kind, "name": environment.device.name},
        tensorflow=environment.tensorflow,
        status=leg.summary.status if leg.summary else "unknown",
        result=result,
    )


def notes_on(leg: LegRun) -> list[str]:
    """What a leg's name might make one believe that is not so."""
    words = leg.name.lower().replace("-", "_").replace(".", "_").split("_")
    claimed = [kind for kind in ("gpu", "npu") if any(word.startswith(kind) for word in words)]
    if leg.device in claimed or not claimed:
        return []
    return [f"The leg {leg.name} is no {claimed[0].upper()}: it ran as {leg.description}."]
