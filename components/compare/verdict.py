"""Verdicts, and the result of a comparison as comparison.json and its log hold it."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

from pydantic import Field, TypeAdapter

from components.compare.bounds import AxisName, Bounds
from components.compare.records import read_object, validate
from dualgan.errors import BadInput

SCHEMA_VERSION = 2
Finite = Annotated[float, Field(allow_inf_nan=False)]
Number = Finite | int | str | None


class Verdict(StrEnum):
    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NOT_MEASURED = "not_measured"


# Of a program that ends with a comparison's verdict.
EXIT_CODES = {Verdict.PASS: 0, Verdict.FAIL: 3, Verdict.INCONCLUSIVE: 4}
WORST_FIRST = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.NOT_MEASURED, Verdict.PASS)


@dataclass(frozen=True)
class AxisResult:
    """What was found of one candidate on one axis; ``reason`` is one plain sentence."""

    verdict: Verdict
    reason: str
    numbers: Mapping[str, Number]


@dataclass(frozen=True)
class Axis:
    """One axis over all candidates; ``numbers`` by candidate, ``bound`` the bounds it was held against."""

    verdict: Verdict
    reason: str
    bound: Mapping[str, Finite]
    numbers: Mapping[str, Mapping[str, Number]]


@dataclass(frozen=True)
class OptionDifference:
    """An option whose value is not the same in all legs; ``values`` by leg, as JSON."""

    name: str
    values: Mapping[str, str]


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
        reference: A leg's name, or that of the reference in ``recorded``, which is no leg.
        caveats: What makes the evidence weaker than it could be.
        legs: Every leg, the reference first if it is one.
        differing_options: Those that differ and should not.
        notes: What a reader has to know beside the verdict.
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
        label, remedy = f"{path}: no comparison", "; give the output folder of one"
        content = read_object(path, label, remedy)
        if content.get("schema_version") != SCHEMA_VERSION:
            raise BadInput(f"{label} of this version of the software: not of schema_version {SCHEMA_VERSION}{remedy}")
        return validate(content, cls, label, remedy)

    def lines(self) -> list[str]:
        """Say in a line each what was found on the axes, and what a reader has to know beside it."""
        return [
            *(f"{name:<12} {axis.verdict:<13} {axis.reason}" for name, axis in self.axes.items()),
            *(f"{'note':<12} {note}" for note in self.notes),
            *(f"{'weaker for':<12} {caveat}" for caveat in self.caveats),
        ]

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


def not_measured(reason: str) -> AxisResult:
    """Return the result of an axis on which nothing was measured."""
    return AxisResult(Verdict.NOT_MEASURED, reason, {})


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict that decides over several."""
    return min(verdicts, key=WORST_FIRST.index)


def join(words: Sequence[str]) -> str:
    """Join words as ``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else ""


# KFP's API gives no artifact of a run to whoever asks for it, and no figure of one, but the logs of its tasks: whoever
# waits for a run, and finds no verdict in MLflow, reads it there.
LOGGED = re.compile(
    r"compare: the verdict on (?P<candidates>.+) is (?P<verdict>pass|fail|inconclusive); it is kept at (?P<address>\S+)"
)


class LoggedVerdict(NamedTuple):
    """A verdict, and the address of the comparison's artifact."""

    verdict: Verdict
    address: str


def verdict_line(candidates: str, verdict: Verdict, address: str) -> str:
    """Return the line of a comparison's log that holds its verdict. ``candidates`` are names of legs, in words."""
    return f"compare: the verdict on {candidates} is {verdict}; it is kept at {address}"


def verdict_in_log(log: str) -> LoggedVerdict | None:
    """Return what the last such line of a task's log says; None if there is none."""
    found = list(LOGGED.finditer(log))
    return LoggedVerdict(Verdict(found[-1]["verdict"]), found[-1]["address"]) if found else None
