"""Bounds, each of which names the axes that are held against it."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest

from components.compare.axes.arithmetic import judge_arithmetic
from components.compare.axes.function import judge_function
from components.compare.axes.images import judge_images
from components.compare.axes.performance import judge_performance
from components.compare.axes.training import judge_training
from components.compare.bounds import AxisName, Bounds
from components.compare.judge import judge
from components.compare.leg import LegRuns, read_leg
from components.compare.measure import Measured, measure
from components.compare.verdict import AxisResult
from tests.components.compare.test_arithmetic import replay_content
from tests.components.run_folders import write_leg

NAMES = frozenset(Bounds().values())


class ReadBounds(Bounds):
    """Bounds that note in ``read`` which of them are asked for."""

    read: set[str]

    def __getattribute__(self, name: str) -> Any:
        if name in NAMES:
            self.__dict__.setdefault("read", set()).add(name)
        return super().__getattribute__(name)


def of_measured(judge_axis: Callable[[Measured, Measured, Bounds], AxisResult]) -> Callable[..., AxisResult]:
    return lambda one, other, bounds: judge_axis(measure(one), measure(other), bounds)


JUDGES: dict[AxisName, Callable[[LegRuns, LegRuns, Bounds], AxisResult]] = {
    AxisName.FUNCTION: judge_function,
    AxisName.ARITHMETIC: judge_arithmetic,
    AxisName.TRAINING: of_measured(judge_training),
    AxisName.IMAGES: of_measured(judge_images),
    AxisName.PERFORMANCE: of_measured(judge_performance),
}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[LegRuns, LegRuns]]:
    """Legs that lead through every branch: of several runs and of one, with an exact device and one that rounds."""
    folder = tmp_path_factory.mktemp("pairs")
    content = replay_content()
    made = []
    for seeds, error, products in (([0, 1], 6.0, "float32"), ([0], 12.0, "float16")):
        place = folder / products
        content["candidate"]["device"]["products"] = products
        gpu = write_leg("gpu", place / "gpu", seeds, device="gpu", noise=1, steps=400)
        npu = write_leg(
            "npu", place / "npu", seeds, device="npu", tensorflow="1.15.0", rebuilding_error=error, steps=400
        )
        (place / "replay.json").write_text(json.dumps(content))
        made.append((read_leg(gpu), read_leg(dataclasses.replace(npu, replay=place / "replay.json"))))
    return made


@pytest.mark.parametrize("axis", AxisName)
def test_an_axis_lists_the_bounds_that_it_asks_for_and_no_other(
    axis: AxisName, pairs: list[tuple[LegRuns, LegRuns]]
) -> None:
    bounds = ReadBounds()
    bounds.read.clear()
    for reference, candidate in pairs:
        JUDGES[axis](reference, candidate, bounds)
    assert bounds.read == set(Bounds().of_axis(axis))


def test_every_bound_is_in_the_list_of_an_axis_with_the_value_in_force(pairs: list[tuple[LegRuns, LegRuns]]) -> None:
    content = judge(pairs[1][0], [pairs[1][1]], Bounds(max_layer_error=3e-4)).to_json()
    listed = {name: value for axis in content["axes"].values() for name, value in axis["bound"].items()}
    assert listed == content["bounds"]
    assert content["axes"]["arithmetic"]["bound"]["max_layer_error"] == 3e-4
