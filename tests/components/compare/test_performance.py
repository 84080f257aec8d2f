"""Energy, out of what the machine recorded beside a run."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.compare.axes.performance import energy_joules
from components.compare.leg import read_leg
from tests.components.run_folders import STARTED, write_leg

# write_leg's runs take 60 steps of 0.1 s from STARTED on.
SECONDS = 6.0


def joules(folder: Path, samples: list[tuple[float, dict[str, Any]]], torn: str = "") -> float | None:
    """The energy of a run beside which the samples, (seconds after its start, metrics), lie."""
    leg = write_leg("npu", folder / "npu", seeds=[0])
    file = leg.sources[0].run.with_name("seed-0.system.jsonl")
    lines = [json.dumps({"step": 0, "time": STARTED + after, "metrics": metrics}) for after, metrics in samples]
    file.write_text("\n".join(lines) + "\n" + torn)
    return energy_joules(read_leg(leg).first)


def test_energy_is_power_over_time_of_all_cards(tmp_path: Path) -> None:
    watts = {"npu_0_power_usage_watts": 200.0, "npu_1_power_usage_watts": 100.0, "cpu_utilization_percentage": 50}
    assert joules(tmp_path, [(0, watts), (3, watts), (6, watts)]) == pytest.approx(300 * SECONDS)


def test_what_was_drawn_before_and_after_the_run_does_not_count(tmp_path: Path) -> None:
    samples = [(-100.0, 900.0), (1, 200.0), (5, 200.0), (100, 900.0)]
    power = [(after, {"gpu_0_power_usage_watts": watts}) for after, watts in samples]
    assert joules(tmp_path, power, torn='{"time": 17') == pytest.approx(200 * SECONDS)


def test_without_power_there_is_no_energy(tmp_path: Path) -> None:
    assert joules(tmp_path, [(1, {"cpu_utilization_percentage": 50}), (2, {})]) is None


def test_one_sample_is_no_energy(tmp_path: Path) -> None:
    assert joules(tmp_path, [(1, {"gpu_0_power_usage_watts": 200.0})]) is None
