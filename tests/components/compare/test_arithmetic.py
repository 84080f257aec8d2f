"""What the comparison makes of a replay, of the signatures of what legs were fed, and of norms of updates."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.compare.axes.arithmetic import judge_arithmetic
from components.compare.axes.function import feed_difference, first_feed_difference, liveness_difference, split_feed
from components.compare.bounds import Bounds
from components.compare.leg import Leg, LegRun, LegRuns, Source, read_leg
from components.compare.verdict import AxisResult, Verdict
from dualgan.errors import BadInput
from tests.components.run_folders import DIGEST, OPTIONS, write_run

BOUNDS = Bounds()
STEPS = 3


@pytest.fixture(scope="module")
def legs(tmp_path_factory: pytest.TempPathFactory) -> tuple[LegRuns, LegRuns]:
    """A GPU's run and an NPU's."""
    folder = tmp_path_factory.mktemp("runs")
    gpu = write_run(folder / "gpu", device="gpu", noise=1)
    npu = write_run(folder / "npu", device="npu", tensorflow="1.15.0", noise=2)
    return read_leg(Leg("gpu", (Source(gpu),))), read_leg(Leg("npu", (Source(npu),)))


def errors(name: str, relative: float = 1e-6) -> dict[str, Any]:
    return {"name": name, "cosine": 1.0, "relative_l2": relative, "max_abs": relative, "norm": relative}


def replay_content() -> dict[str, Any]:
    """A replay.json of two legs that compute the same."""

    def origin(kind: str, tensorflow: str) -> dict[str, Any]:
        return {"tensorflow": tensorflow, "device": {"kind": kind, "name": "a device"}, "step_mode": "one-run"}

    networks = ("A_g", "B_g", "A_d", "B_d")
    probe = {
        "step": 1,
        "drawn": False,
        "pictures": [errors("drawn/1/A2B"), errors("file/1/A2B")],
        "layers": [errors("A2B/A_g_e1_conv"), errors("A2B/A_g_bn_e2"), errors("updated/A_d_bn1")],
        "gradients": [errors("A_g_e1_conv/w"), errors("A_d_h0_conv/w")],
        "updates": [errors("A_g_e1_conv/w"), errors("A_d_h0_conv/w")],
        "update_sizes": dict.fromkeys(networks, 1.0),
        "terms": {"A_loss": 1e-7, "B_loss": 1e-7, "Ad_loss": 1e-5},
    }
    return {
        "schema_version": 2,
        "reference": origin("gpu", "2.21.0"),
        "candidate": origin("npu", "1.15.0"),
        "options": {**OPTIONS, "device": "gpu"},
        "dataset_digest": DIGEST,
        "first_step": 1,
        "steps": STEPS,
        "probes": [probe],
        "free_run": {
            "terms": {"A_loss": [1e-7] * STEPS, "B_loss": [1e-7] * STEPS, "Ad_loss": [1e-5, 1e-2, 1.0]},
            "update_sizes": {network: [1.0] * STEPS for network in networks},
        },
        "departures": [],
    }


@pytest.fixture
def judged(legs: tuple[LegRuns, LegRuns], tmp_path: Path) -> Callable[..., AxisResult]:
    """judged(content): the result on a replay.json of that content."""

    def judge(content: Any, reference: LegRuns | None = legs[0]) -> AxisResult:
        path = tmp_path / "replay.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return judge_arithmetic(reference, dataclasses.replace(legs[1], replay=path), BOUNDS)

    return judge


def test_legs_that_compute_the_same_pass(judged: Callable[..., AxisResult]) -> None:
    result = judged(replay_content())
    assert result.verdict is Verdict.PASS
    assert "npu computes as gpu does" in result.reason
    assert result.numbers["layer_error"] == 1e-6 and result.numbers["departures"] == 0
    assert judged(replay_content(), None).verdict is Verdict.PASS, "a recorded trace is a reference without a leg"


def test_without_a_replay_it_is_not_measured_and_says_how_to_get_one(legs: tuple[LegRuns, LegRuns]) -> None:
    result = judge_arithmetic(*legs, BOUNDS)
    assert result.verdict is Verdict.NOT_MEASURED
    assert "dualgan trace" in result.reason and "dualgan replay" in result.reason


Change = Callable[[dict[str, Any]], None]
DRAWN_OTHERWISE = [errors("drawn/1/A2B", 0.1), errors("file/1/A2B", 0.1)]


def of_probe(**changes: Any) -> Change:
    return lambda content: content["probes"][0].update(changes)


def late(**changes: Any) -> Change:
    """A second probe, from drawn weights."""
    return lambda content: content["probes"].append({**content["probes"][0], "drawn": True, **changes})


def of_free_run(kind: str, name: str, step: int, value: float) -> Change:
    return lambda content: content["free_run"][kind][name].__setitem__(step - 1, value)


# The critics' update comes before the generators' gradients.
FASTER_CRITIC = of_probe(
    update_sizes={"A_g": 1.0, "B_g": 1.0, "A_d": 1.3, "B_d": 1.0},
    layers=[errors("updated/A_d_bn1", 0.1)],
    gradients=[errors("A_g_e1_conv/w", 0.3), errors("A_d_h0_conv/w")],
)
ONE_GRADIENT = [errors(f"A_g_e{n}_conv/w", 2.0 if n == 1 else 1e-3) for n in (1, 2, 3)] + [errors("A_d_h0_conv/w")]
ALL_UPDATES = [errors("A_g_e1_conv/w"), errors("A_d_h0_conv/w", 0.9)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (FASTER_CRITIC, "computes differently: step 1 updates A_d by more or less"),
        (of_probe(pictures=DRAWN_OTHERWISE), "pictures drawn from equal weights differ: drawn/1/A2B"),
        (
            of_probe(pictures=DRAWN_OTHERWISE, layers=[errors("A2B/A_g_bn_e2", 0.1)]),
            "computes differently: the forward pass",
        ),
        (
            of_probe(
                layers=[errors("A2B/A_g_e1_conv"), errors("A2B/A_g_bn_e2", 3e-4)],
                gradients=[errors("A_g_e1_conv/w"), errors("A_d_h0_conv/w", 0.2)],
            ),
            "layer A2B/A_g_bn_e2 (0.0003, bound 0.0001); the gradient of A_d_h0_conv/w",
        ),
        # From drawn weights a single gradient decides nothing, all together do.
        (late(gradients=ONE_GRADIENT), None),
        (late(updates=ALL_UPDATES), "leaves the bound as a whole, from a state as late in a training"),
        (of_free_run("update_sizes", "B_d", 3, 1e30), "step 3 hardly updates B_d"),
        # Critics' losses of later steps decide nothing.
        (of_free_run("terms", "Ad_loss", 3, 5.0), None),
        (of_probe(layers=[errors("A2B/A_g_e1_conv", 5e-3)]), "the forward pass leaves the bound"),
    ],
)
def test_the_first_cause_out_of_bounds_is_named(
    judged: Callable[..., AxisResult], change: Change, words: str | None
) -> None:
    content = replay_content()
    change(content)
    result = judged(content)
    assert result.verdict is (Verdict.FAIL if words else Verdict.PASS)
    assert (words or "npu computes as gpu does") in result.reason
    assert ("first_departure_step" in result.numbers) is bool(words)


def test_rounded_products_have_bounds_of_their_own_if_the_device_declares_them(
    judged: Callable[..., AxisResult],
) -> None:
    content = replay_content()
    content["probes"][0]["layers"] = [errors("A2B/A_g_e1_conv", 5e-3)]
    content["candidate"]["device"]["products"] = "float16"
    result = judged(content)
    assert result.verdict is Verdict.PASS and "rounds the factors of products to float16" in result.reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda content: content.update(dataset_digest="b" * 64), "another dataset"),
        (lambda content: content["options"].update(lr=1e-3), "lr 0.001, gpu 5e-05"),
        (lambda content: content["candidate"]["device"].update(kind="cpu"), "on cpu, npu with 1.15.0 on npu"),
        (lambda content: content["reference"].update(tensorflow="2.9.0"), "TensorFlow 2.9.0 on gpu"),
    ],
)
def test_a_replay_of_other_legs_measures_nothing(
    judged: Callable[..., AxisResult], change: Callable[[dict[str, Any]], None], reason: str
) -> None:
    content = replay_content()
    change(content)
    result = judged(content)
    assert result.verdict is Verdict.NOT_MEASURED and reason in result.reason


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "truncated or damaged, not a JSON object"),
        ("{}", "schema_version: Field required"),
        ({**replay_content(), "schema_version": 1}, "schema_version"),
        ({**replay_content(), "steps": 9}, "it has not 9 steps"),
        ({**replay_content(), "probes": []}, "probes"),
    ],
)
def test_what_is_no_replay_is_refused_in_a_line(
    judged: Callable[..., AxisResult], content: object, complaint: str
) -> None:
    with pytest.raises(BadInput, match=complaint) as refusal:
        judged(content)
    assert len(str(refusal.value).splitlines()) == 1


def fed(run: LegRun, *rows: tuple[float, ...]) -> LegRun:
    """``run`` with these signatures at its first steps, and none at the others."""
    feed = np.full((len(run.history.steps), len(rows[0])), np.nan, np.float32)
    feed[: len(rows)] = rows
    return dataclasses.replace(run, history=dataclasses.replace(run.history, feed=feed))


def test_the_first_step_at_which_legs_were_fed_otherwise_is_named(legs: tuple[LegRuns, LegRuns]) -> None:
    one = fed(legs[0].first, (1.0, 2.0, 1.0, 2.0), (3.0, 4.0, 3.0, 4.0))
    rounded = fed(legs[1].first, (1.01, 2.0, 1.01, 2.0), (3.0, 3.98, 3.0, 3.98))
    other = fed(legs[1].first, (1.0, 2.0, 1.0, 2.0), (3.0, 4.5, 3.0, 4.5))
    assert feed_difference(one, rounded, BOUNDS) is None
    assert first_feed_difference(one, other, BOUNDS) == 2
    assert "other batches at 1 steps, first at step 2" in (feed_difference(one, other, BOUNDS) or "")
    assert feed_difference(legs[0].first, other, BOUNDS) is None, "a run without signatures"


def test_critics_that_were_fed_otherwise_than_the_generators_are_a_problem_of_one_run(
    legs: tuple[LegRuns, LegRuns],
) -> None:
    problem = split_feed(fed(legs[0].first, (1.0, 2.0, 1.0, 2.0), (3.0, 4.0, 3.0, 9.0)))
    assert problem and "fed its critics other batches than its generators at 1 steps, first at step 2" in problem
    assert split_feed(fed(legs[0].first, (1.0, 2.0, 1.0, 2.0))) is None
    assert split_feed(legs[0].first) is None, "a run without signatures"


def moved(run: LegRun, still_from: int | None = None, **options: object) -> LegRun:
    """``run`` with all networks updated in all steps, but B_g from step ``still_from`` on."""
    norms = np.full((len(run.history.steps), 4), 0.1)
    if still_from:
        norms[still_from - 1 :, 1] = 0
    recorded = run.options.model_copy(update={"options": {**run.options.options, **options}})
    history = dataclasses.replace(run.history, update_norms=norms)
    return dataclasses.replace(run, options=recorded, history=history)


@pytest.mark.parametrize(
    ("candidate", "problem"),
    [
        ({}, None),
        ({"still_from": 41}, "B_g of npu stands still at 20 steps, first at step 41, while the other leg's is updated"),
        ({"still_from": 60}, "B_g of npu stands still at 1 steps, first at step 60, while the other leg's is updated"),
        # With a loss scale, a step whose gradient overflows is left out.
        ({"still_from": 60, "loss_scale": "dynamic"}, None),
        ({"still_from": 41, "loss_scale": "dynamic"}, "B_g of npu stands still at 20 steps, first at step 41, while"),
    ],
)
def test_a_network_that_stands_still_in_one_leg_is_named_with_its_step(
    legs: tuple[LegRuns, LegRuns], candidate: dict[str, Any], problem: str | None
) -> None:
    one, other = legs[0].first, legs[1].first
    assert (liveness_difference(moved(one), moved(other, **candidate)) or "").startswith(problem or "")
    assert bool(liveness_difference(moved(one), moved(other, **candidate))) is bool(problem)
    assert liveness_difference(moved(one, still_from=3), moved(other, still_from=3)) is None, "as n_critic may have it"
    not_logged = dataclasses.replace(one.history, update_norms=np.full((len(one.history.steps), 4), np.nan))
    silent = dataclasses.replace(one, history=not_logged)
    assert liveness_difference(silent, moved(other, **candidate)) is None, "a run without norms"
