"""The axis arithmetic: does the candidate compute the same from the same weights and batches?"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.compare.bounds import Bounds
from components.compare.leg import LegRuns
from components.compare.options import OWN_OPTIONS, RUN_OPTIONS
from components.compare.verdict import Finding, Number, Verdict, not_measured
from dualgan.errors import BadInput
from dualgan.options import CHANGEABLE
from dualgan.replay_bounds import (
    FLOAT16_PRODUCTS,
    FLOAT32,
    STEADY_TERMS,
    Check,
    ReplayBounds,
    checks,
    rounds_products,
    worst_checks,
)
from dualgan.run_folder import read_json

HOW = "`python -m dualgan trace` on the reference and `python -m dualgan replay` on the candidate's device measure it"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class ReplayDevice(BaseModel):
    """products: what the device rounds the factors of products to."""

    model_config = ConfigDict(frozen=True, extra="allow")
    kind: Literal["cpu", "gpu", "npu"]
    name: str
    products: str = "float32"


class Origin(_Record):
    tensorflow: str
    device: ReplayDevice
    step_mode: str


class TensorErrors(_Record):
    name: str
    cosine: float
    relative_l2: float
    max_abs: float
    norm: float


class Probe(_Record):
    """Errors of one step from equal weights: of layers in the order of computation, and by variable, network, loss.

    drawn: whether the weights are drawn ones, as late in a training; pictures: errors of what is drawn from them.
    """

    step: int
    drawn: bool
    pictures: list[TensorErrors] = Field(min_length=1)
    layers: list[TensorErrors] = Field(min_length=1)
    gradients: list[TensorErrors] = Field(min_length=1)
    updates: list[TensorErrors] = Field(min_length=1)
    update_sizes: dict[str, float]
    terms: dict[str, float]


class FreeRun(_Record):
    """Errors of steps one after the other, by loss and by network, each step's."""

    terms: dict[str, list[float]]
    update_sizes: dict[str, list[float]]


class Replay(_Record):
    """What replay.json says."""

    schema_version: Literal[2]
    reference: Origin
    candidate: Origin
    options: dict[str, Any]
    dataset_digest: str
    first_step: int
    steps: int = Field(ge=1)
    probes: list[Probe] = Field(min_length=1)
    free_run: FreeRun
    departures: list[dict[str, Any]]


def read_replay(path: Path) -> Replay:
    """Raises BadInput, naming the file and the first wrong thing, where it is no replay.json of this version."""
    try:
        replay = Replay.model_validate(read_json(path))
        complete = all(len(replay.free_run.terms[name]) == replay.steps for name in STEADY_TERMS)
        complete &= all(len(sizes) == replay.steps for sizes in replay.free_run.update_sizes.values())
    except OSError as error:
        raise BadInput(f"{path}: no replay can be read ({error.strerror})") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"{path}: {place}: {first['msg']}; replay the trace anew") from None
    except (ValueError, KeyError) as error:
        raise BadInput(f"{path}: damaged, or no replay ({error}); replay the trace anew") from None
    if not complete:
        raise BadInput(f"{path}: damaged: it has not {replay.steps} steps; replay the trace anew")
    return replay


def judge_arithmetic(replay: Path | None, reference: LegRuns | None, candidate: LegRuns, bounds: Bounds) -> Finding:
    """Hold what replaying the reference's trace on the candidate's device gave against ``bounds``.

    Errors of layers, gradients, updates and losses are from equal weights; the losses and sizes of updates of steps
    that follow one another beside. Not measured where the replay belongs to other legs; reference: None where it is
    known by its trace alone. Raises BadInput for a file that is no replay.
    """
    if replay is None:
        of_whom = f" of {reference.name}" if reference else ""
        return not_measured(f"{candidate.name} replayed no trace{of_whom}: {HOW}.")
    content = read_replay(replay)
    stranger = _stranger(content, reference, candidate)
    if stranger:
        return not_measured(f"{replay} is not of these legs: {stranger}.")
    everything = content.model_dump()
    rounded = rounds_products(everything)
    limits = replay_bounds(bounds, rounded)
    measured = list(checks(everything, limits))
    found = [check for check in measured if not check.holds]
    numbers = _numbers(content, measured, found)
    name = reference.name if reference else "the recorded reference"
    design = (
        f" {candidate.name}'s device says that it rounds the factors of products to "
        f"{content.candidate.device.products}: the bounds are those for such products."
        if rounded
        else ""
    )
    probed = f"{len(content.probes)} of {content.steps} replayed steps from equal weights"
    if not found:
        reason = (
            f"{candidate.name} computes as {name} does: in {probed} layers are at most "
            f"{numbers['layer_error']:.1e} off, pictures {numbers['picture_error']:.1e}, "
            f"gradients {numbers['gradient_error']:.1e}, updates {numbers.get('update_error', 0):.1e}.{design}"
        )
        return Finding(Verdict.PASS, reason, numbers)
    return Finding(Verdict.FAIL, f"{_first(candidate.name, found)}.{design}", numbers)


def replay_bounds(bounds: Bounds, rounded_products: bool) -> ReplayBounds:
    """The bounds of a replay; rounded_products: on a device that rounds the factors of products by design."""
    free = {"free_term": bounds.max_replay_loss_error, "free_update": bounds.max_replay_update_factor}
    if rounded_products:
        return FLOAT16_PRODUCTS._replace(
            layer=bounds.max_layer_error_rounded,
            gradient=bounds.max_gradient_error_rounded,
            update_size=bounds.max_update_factor_rounded,
            term=bounds.max_loss_error_rounded,
            **free,
        )
    return FLOAT32._replace(
        layer=bounds.max_layer_error,
        gradient=bounds.max_gradient_error,
        small_gradient=bounds.max_gradient_error,
        update_size=bounds.max_update_factor,
        term=bounds.max_loss_error,
        **free,
    )


def _stranger(content: Replay, reference: LegRuns | None, candidate: LegRuns) -> str | None:
    """Why the replay is not of these legs, None where it is. The candidate's run stands for an absent reference's."""
    leg = reference or candidate
    run = leg.first
    if content.dataset_digest != run.options.dataset.digest:
        return f"its trace was recorded on another dataset than {leg.name}'s"
    shared = set(content.options) & set(run.options.options) - OWN_OPTIONS - RUN_OPTIONS - CHANGEABLE
    for name in sorted(shared):
        one, other = (json.dumps(values[name]) for values in (content.options, run.options.options))
        if one != other:
            return f"its trace has {name} {one}, {leg.name} {other}"
    for side, origin in ((reference, content.reference), (candidate, content.candidate)):
        if side is None:
            continue
        environment = side.first.options.environment
        ran = (environment.device.kind, environment.tensorflow)
        if ran != (origin.device.kind, origin.tensorflow):
            return (
                f"it ran with TensorFlow {origin.tensorflow} on {origin.device.kind}, "
                f"{side.name} with {environment.tensorflow} on {environment.device.kind}"
            )
    return None


KINDS = {
    "picture": "picture_error",
    "forward": "layer_error",
    "gradient": "gradient_error",
    "update": "update_error",
    "update size": "update_factor",
    "term": "loss_error",
    "median gradient": "median_gradient_error",
    "median update": "median_update_error",
    "free-running term": "replay_loss_error",
    "free-running update": "replay_update_factor",
}


def _numbers(content: Replay, measured: Sequence[Check], found: Sequence[Check]) -> dict[str, Number]:
    probes = content.probes
    numbers: dict[str, Number] = {"replayed_steps": content.steps, "probed_steps": len(probes)}
    for check in worst_checks(measured):
        numbers[("late_" if check.drawn else "") + KINDS[check.what]] = check.error
    numbers |= {
        "layer_cosine": min(item.cosine for probe in probes for item in probe.layers),
        "layer_max_abs": max(item.max_abs for probe in probes for item in probe.layers),
        "gradient_cosine": min(item.cosine for probe in probes for item in probe.gradients),
        "departures": len(found),
    }
    if found:
        numbers["first_departure_step"] = min(departure.step for departure in found)
    for what in ("forward", "gradient"):
        first = next((departure for departure in found if departure.what == what), None)
        if first:
            numbers |= {f"first_{what}_departure": first.name, f"first_{what}_departure_step": first.step}
    return numbers


WORDS = {
    "picture": "pictures drawn from equal weights differ: {name} leaves the bound",
    "forward": "the forward pass leaves the bound at step {step}, layer {name}",
    "gradient": "the gradient of {name} leaves the bound at step {step}",
    "update": "what step {step} adds to {name} leaves the bound",
    "median gradient": "the gradients of {name} leave the bound, as a whole, at step {step}",
    "median update": "what step {step} adds to {name} leaves the bound as a whole",
    "update size": "step {step} updates {name} by more or less than the reference",
    "term": "the loss {name} leaves the bound at step {step}",
    "free-running term": "the loss {name} has left the bound by step {step}",
    "free-running update": "step {step} hardly updates {name}, or far too much",
}


def _first(leg: str, found: Sequence[Check]) -> str:
    """The first departure of each kind, in words; those that follow from an earlier one are no news."""
    # From given weights pictures follow from layers: they are news only if no layer differs.
    pictures, others = ([check for check in found if (check.what == "picture") == drawn] for drawn in (True, False))
    first = others[0] if others and (others[0].what == "forward" or not pictures) else pictures[0]
    words = [_in_words(first)]
    later = next((departure for departure in found if departure.what == "gradient"), None)
    if later and first.what == "forward":
        words.append(_in_words(later))
    return f"{leg} computes otherwise: {'; '.join(words)}; {len(found)} bounds in all are exceeded"


def _in_words(departure: Check) -> str:
    place = WORDS[departure.what].format(step=departure.step, name=departure.name)
    state = ", from a state as late in a training" if departure.drawn else ""
    return f"{place}{state} ({departure.error:.2g}, bound {departure.bound:.2g})"
