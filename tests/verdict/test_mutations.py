"""A few of the ways to break a leg, seen by a replay or by what it was fed; `make bench-verdict` has them all."""

from collections.abc import Callable
from pathlib import Path

import pytest

from components.compare.axes.function import first_feed_difference, liveness_difference
from components.compare.bounds import Bounds
from components.compare.leg import Leg, LegRun, Source, read_leg
from dualgan.options import TrainOptions
from dualgan.replay import Leg as ReplayedLeg
from dualgan.replay import replay_trace
from dualgan.trace import Request, record
from dualgan.training import train
from tests.components.dualgan.conftest import dataset
from tests.verdict import mutations
from tests.verdict.mutations import MUTATIONS

__all__ = ["dataset"]

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def options(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainOptions:
    cache = tmp_path_factory.mktemp("cache")
    return TrainOptions(
        data_dir=str(dataset),
        cache_dir=str(cache),
        image_size=32,
        gcn=2,
        dcn=2,
        threads=1,
        max_steps=60,
        sample_images=1,
        flip=True,
    )


@pytest.fixture(scope="module")
def trace(options: TrainOptions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("trace") / "trace.npz"
    record(Request(options), file)
    return file


def test_a_leg_that_is_not_broken_departs_nowhere(trace: Path) -> None:
    assert replay_trace(trace, ReplayedLeg(None, {"threads": 2, "step_mode": "two-run"}))["departures"] == []


@pytest.mark.parametrize(
    ("mutation", "what", "name", "step"),
    [
        ("a generator layer in float16", "forward", "A2B/A_g_d3", 1),
        ("learning rate x1.3", "update size", "A_d", 1),
        ("lambda_A x0.8", "gradient", "A_g_e1_conv/w", 1),
        ("one critic update in ten lost", "free-running update", "A_d", 10),
        ("pictures two pixels aside", "picture", "drawn/0/A2B", 1),
        ("pictures with a colour cast of 0.15", "picture", "drawn/0/A2B", 1),
        ("pictures in float16", "picture", "drawn/0/A2B", 1),
        ("tanh in float16", "forward", "use-1/A_d_h0_conv", 1),
        ("inverse roots in bfloat16", "forward", "A2B/A_g_bn_e2", 1),
        ("gradients clipped", "gradient", "A_d_h0_conv/w", 1),
    ],
)
def test_a_broken_leg_is_found_by_its_replay(trace: Path, mutation: str, what: str, name: str, step: int) -> None:
    with MUTATIONS[mutation]():
        first = replay_trace(trace, ReplayedLeg(None, {}))["departures"][0]
    assert (first["what"], first["name"], first["step"]) == (what, name, step)


def test_another_epsilon_of_the_optimiser_shows_late_in_a_training(trace: Path) -> None:
    with MUTATIONS["epsilon of the optimiser 1e-3"]():
        found = replay_trace(trace, ReplayedLeg(None, {}))["departures"]
    assert found and all(departure["drawn"] for departure in found)
    assert {departure["what"] for departure in found} <= {"update size", "median update"}


@pytest.fixture(scope="module")
def trained(options: TrainOptions, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], LegRun]:
    """trained(mutation): the run of a leg that is broken so, or "none"."""

    def run(mutation: str) -> LegRun:
        folder = tmp_path_factory.mktemp("run") / "run"
        given = TrainOptions(**{**options.as_dict(), "run_dir": str(folder)})
        if mutation == "none":
            train(given)
        else:
            with MUTATIONS[mutation]():
                train(given)
        return read_leg(Leg("leg", (Source(folder),))).first

    return run


def test_a_broken_feed_is_found_by_its_signatures(trained: Callable[[str], LegRun]) -> None:
    honest = trained("none")
    assert first_feed_difference(honest, trained("none"), Bounds()) is None
    assert first_feed_difference(honest, trained("BGR for RGB in the feed"), Bounds()) == 1
    assert first_feed_difference(honest, trained("2% of batches repeated"), Bounds()) == 9


def test_a_network_that_stops_being_updated_is_named_with_its_step(
    trained: Callable[[str], LegRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mutations, "LAST_UPDATE_OF_GENERATORS", 40)
    honest, stopped = trained("none"), trained("generators not updated from step 121 on")
    assert liveness_difference(honest, trained("none")) is None
    problem = liveness_difference(honest, stopped)
    assert problem and "A_g of leg stands still at 20 steps, first at step 41" in problem
