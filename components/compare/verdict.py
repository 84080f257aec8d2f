"""Verdicts: of a candidate on an axis, of an axis, and of the whole comparison."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import Field

Finite = Annotated[float, Field(allow_inf_nan=False)]
Number = Finite | int | str | None


class Verdict(StrEnum):
    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NOT_MEASURED = "not_measured"


# Of a program that ends with a comparison's verdict.
EXIT_CODES = {Verdict.PASS: 0, Verdict.FAIL: 3, Verdict.INCONCLUSIVE: 4}


class AxisName(StrEnum):
    FUNCTION = "function"
    ARITHMETIC = "arithmetic"
    TRAINING = "training"
    IMAGES = "images"
    PERFORMANCE = "performance"


# Without these nothing is shown about the port, whatever else passes.
REQUIRED_AXES = (AxisName.FUNCTION, AxisName.TRAINING)
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


def not_measured(reason: str) -> AxisResult:
    """Return the result of an axis on which nothing was measured."""
    return AxisResult(Verdict.NOT_MEASURED, reason, {})


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict that decides over several."""
    return min(verdicts, key=WORST_FIRST.index)


def combine(results: Mapping[str, AxisResult], bound: Mapping[str, float]) -> Axis:
    """Combine all candidates' results on an axis: the worst verdict, and every reason once."""
    every_reason = dict.fromkeys(result.reason for result in results.values())
    return Axis(
        verdict=worst(result.verdict for result in results.values()),
        reason=" ".join(every_reason),
        bound=bound,
        numbers={candidate: _finite(result.numbers) for candidate, result in results.items()},
    )


def _finite(numbers: Mapping[str, Number]) -> dict[str, Number]:
    # JSON knows no NaN.
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in numbers.items()
    }


def overall(axes: Mapping[AxisName, Axis]) -> Verdict:
    """Return fail if any axis fails; inconclusive if any is, or if a required one was not measured; else pass."""
    verdicts = {name: axis.verdict for name, axis in axes.items()}
    if Verdict.FAIL in verdicts.values():
        return Verdict.FAIL
    unmeasured = any(verdicts[name] is Verdict.NOT_MEASURED for name in REQUIRED_AXES)
    if unmeasured or Verdict.INCONCLUSIVE in verdicts.values():
        return Verdict.INCONCLUSIVE
    return Verdict.PASS


def headline(verdict: Verdict, axes: Mapping[AxisName, Axis], reference: str, candidates: Sequence[str]) -> str:
    """Say the whole comparison in one sentence."""
    several = len(candidates) > 1
    subject = join(candidates) + (" are" if several else " is")
    if verdict is Verdict.PASS:
        measured = [name for name, axis in axes.items() if axis.verdict is Verdict.PASS]
        passes = "pass" if several else "passes"
        return f"{join(candidates)} {passes} against {reference}: {join(measured)} lie within the bounds."
    if verdict is Verdict.FAIL:
        failed = [name for name, axis in axes.items() if axis.verdict is Verdict.FAIL]
        return f"{subject} not as good as {reference}: {join(failed)} failed."
    open_axes = [name for name, axis in axes.items() if axis.verdict in (Verdict.INCONCLUSIVE, Verdict.NOT_MEASURED)]
    return f"Whether {subject} as good as {reference} is not decided: {join(open_axes)} gave no answer."


def join(words: Sequence[str]) -> str:
    """Join words as ``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else ""
