"""The axis arithmetic: does the candidate compute the same from the same weights and batches?"""

import json
from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from components.compare.bounds import Bounds
from components.compare.leg import OWN_OPTIONS, LegRuns
from components.compare.records import Device, Record, read_record
from components.compare.verdict import AxisResult, Number, Verdict, join, not_measured
from dualgan.options import CHANGEABLE
from dualgan.replay_bounds import (
    CRITICS,
    FLOAT16_PRODUCTS,
    FLOAT32,
    GENERATORS,
    STEADY_TERMS,
    Check,
    ReplayBounds,
    checks,
    rounds_products,
    worst_checks,
)
from dualgan.run_folder import NETWORKS

HOW = "`dualgan trace` on the reference and `dualgan replay` on the candidate's device measure it"
# Kinds of checks of a replay: the number of each in comparison.json, and a violation in words.
KINDS = {
    "picture": ("picture_error", "pictures drawn from equal weights differ: {name} leaves the bound"),
    "forward": ("layer_error", "the forward pass leaves the bound at step {step}, layer {name}"),
    "gradient": ("gradient_error", "the gradient of {name} leaves the bound at step {step}"),
    "update": ("update_error", "what step {step} adds to {name} leaves the bound"),
    "median gradient": ("median_gradient_error", "the gradients of {name} leave the bound, as a whole, at step {step}"),
    "median update": ("median_update_error", "what step {step} adds to {name} leaves the bound as a whole"),
    "update size": ("update_factor", "step {step} updates {name} by more or less than the reference"),
    "term": ("loss_error", "the loss {name} leaves the bound at step {step}"),
    "free-running term": ("replay_loss_error", "the loss {name} has left the bound by step {step}"),
    "free-running update": ("replay_update_factor", "step {step} hardly updates {name}, or far too much"),
}


class Origin(Record):
    tensorflow: str
    device: Device
    step_mode: str


class TensorErrors(Record):
    name: str
    cosine: float
    relative_l2: float
    max_abs: float
    norm: float


class Probe(Record):
    """Errors of one step from equal weights: of layers in the order of computation, and by variable, network, loss.

    drawn: whether the weights are drawn ones, as late in a training; pictures: errors of what is drawn from them.
    """

    step: int
    drawn: bool
    pictures: list[TensorErrors] = Field(min_length=1)
    layers: list[TensorErrors] = Field(min_length=1)
    gradients: list[TensorErrors]
    updates: list[TensorErrors]
    update_sizes: dict[str, float]
    terms: dict[str, float]

    @model_validator(mode="after")
    def _has_every_network(self) -> Self:
        for networks in (CRITICS, GENERATORS):
            for errors in (self.gradients, self.updates):
                if not any(error.name.startswith(networks) for error in errors):
                    raise ValueError(f"damaged: it has no variable of {join(networks)}")
        if not set(NETWORKS) <= set(self.update_sizes):
            raise ValueError(f"damaged: it has not the updates of {join(NETWORKS)}")
        return self


class FreeRun(Record):
    """Errors of steps one after the other, by loss and by network, each step's."""

    terms: dict[str, list[float]]
    update_sizes: dict[str, list[float]]


class Replay(Record):
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

    @model_validator(mode="after")
    def _has_every_step(self) -> Self:
        losses = [self.free_run.terms.get(name, []) for name in STEADY_TERMS]
        if any(len(values) != self.steps for values in (*losses, *self.free_run.update_sizes.values())):
            raise ValueError(f"damaged: it has not {self.steps} steps")
        if all(probe.drawn for probe in self.probes):
            raise ValueError("damaged: no step of it is from the trace's own weights")
        return self


def judge_arithmetic(reference: LegRuns | None, candidate: LegRuns, bounds: Bounds) -> AxisResult:
    """Hold what replaying the reference's trace on the candidate's device gave against ``bounds``.

    ``reference`` is None if it is recorded, and known by its trace alone. Not measured if the candidate has no replay,
    or one of other legs. Raises BadInput if the file is no replay.
    """
    if candidate.replay is None:
        of_reference = f" of {reference.name}" if reference else ""
        return not_measured(f"{candidate.name} replayed no trace{of_reference}: {HOW}.")
    replay = read_record(candidate.replay, Replay, str(candidate.replay), "; replay the trace anew")
    problem = _wrong_trace(replay, reference, candidate)
    if problem:
        return not_measured(f"{candidate.replay} is not of these legs: {problem}.")
    content = replay.model_dump(exclude_none=True)
    is_rounded = rounds_products(content)
    measured = list(checks(content, replay_bounds(bounds, is_rounded)))
    violations = [check for check in measured if not check.holds]
    numbers = _numbers(replay, measured, violations)
    if violations:
        first, *others = violations
        words = _in_words(first)
        # What follows from an earlier violation is no news.
        gradient = next((check for check in others if check.what == "gradient"), None)
        if gradient and first.what == "forward":
            words += f"; {_in_words(gradient)}"
        reason = f"{candidate.name} computes differently: {words}; {len(violations)} bounds in all are exceeded."
    else:
        reason = (
            f"{candidate.name} computes as {reference.name if reference else 'the recorded reference'} does: in "
            f"{len(replay.probes)} of {replay.steps} replayed steps from equal weights layers are at most "
            f"{numbers['layer_error']:.1e} off, pictures {numbers['picture_error']:.1e}, "
            f"gradients {numbers['gradient_error']:.1e}, updates {numbers.get('update_error', 0):.1e}."
        )
    if is_rounded:
        products = replay.candidate.device.products
        reason += (
            f" {candidate.name}'s device says that it rounds the factors of products to {products}: the bounds are "
            "those for such products."
        )
    return AxisResult(Verdict.FAIL if violations else Verdict.PASS, reason, numbers)


def replay_bounds(bounds: Bounds, rounded_products: bool) -> ReplayBounds:
    """Return the bounds of a replay, ``rounded_products`` if the device rounds the factors of products by design."""
    suffix = "_rounded" if rounded_products else ""
    gradient = getattr(bounds, f"max_gradient_error{suffix}")
    defaults = FLOAT16_PRODUCTS if rounded_products else FLOAT32._replace(small_gradient=gradient)
    return defaults._replace(
        layer=getattr(bounds, f"max_layer_error{suffix}"),
        gradient=gradient,
        update_size=getattr(bounds, f"max_update_factor{suffix}"),
        term=getattr(bounds, f"max_loss_error{suffix}"),
        free_term=bounds.max_replay_loss_error,
        free_update=bounds.max_replay_update_factor,
    )


def _wrong_trace(replay: Replay, reference: LegRuns | None, candidate: LegRuns) -> str | None:
    """Say why the replay is not of these legs, None if it is. The candidate stands for a reference that is no leg."""
    leg = reference or candidate
    recorded, own = replay.options, leg.first.options
    if replay.dataset_digest != own.dataset.digest:
        return f"its trace was recorded on another dataset than {leg.name}'s"
    for name in sorted(set(recorded) & set(own.options) - OWN_OPTIONS - CHANGEABLE):
        values = json.dumps(recorded[name]), json.dumps(own.options[name])
        if values[0] != values[1]:
            return f"its trace has {name} {values[0]}, {leg.name} {values[1]}"
    sides = [(candidate, replay.candidate), *([(reference, replay.reference)] if reference else [])]
    for side, origin in sides:
        ran, own_ran = (f"{one.tensorflow} on {one.device.kind}" for one in (origin, side.first.options.environment))
        if ran != own_ran:
            return f"it ran with TensorFlow {ran}, {side.name} with {own_ran}"
    return None


def _numbers(replay: Replay, measured: Sequence[Check], violations: Sequence[Check]) -> dict[str, Number]:
    probes = replay.probes
    numbers: dict[str, Number] = {"replayed_steps": replay.steps, "probed_steps": len(probes)}
    for check in worst_checks(measured):
        numbers[("late_" if check.drawn else "") + KINDS[check.what][0]] = check.error
    numbers |= {
        "layer_cosine": min(item.cosine for probe in probes for item in probe.layers),
        "layer_max_abs": max(item.max_abs for probe in probes for item in probe.layers),
        "gradient_cosine": min(item.cosine for probe in probes for item in probe.gradients),
        "departures": len(violations),
    }
    if violations:
        numbers["first_departure_step"] = min(check.step for check in violations)
    for what in ("forward", "gradient"):
        first = next((check for check in violations if check.what == what), None)
        if first:
            numbers |= {f"first_{what}_departure": first.name, f"first_{what}_departure_step": first.step}
    return numbers


def _in_words(violation: Check) -> str:
    place = KINDS[violation.what][1].format(step=violation.step, name=violation.name)
    state = ", from a state as late in a training" if violation.drawn else ""
    return f"{place}{state} ({violation.error:.2g}, bound {violation.bound:.2g})"
