"""What a leg's run folders hold: losses, and what the machine recorded beside."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.compare.axes.performance import energy_joules
from components.compare.charts import MAX_POINTS, curve_of_runs
from components.compare.leg import read_history, read_leg
from dualgan.run_folder import min_loss
from tests.components.run_folders import STARTED, loss_table, write_events, write_leg


def test_losses_are_read_step_by_step(tmp_path: Path) -> None:
    losses = loss_table(20)
    for step in losses:
        del step["gradient_penalty"]
    write_events(tmp_path / "events.jsonl", losses)
    history = read_history(tmp_path / "events.jsonl")
    assert history.steps.tolist() == list(range(1, 21))
    assert history.losses["B_loss"].tolist() == [step["B_loss"] for step in losses]
    assert history.losses["A_loss"].min() == min_loss(row["A_loss"] for row in losses)
    assert "gradient_penalty" not in history.losses and history.non_finite == 0


def test_of_a_step_that_was_repeated_after_resuming_the_later_run_counts(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    write_events(events, loss_table(20))
    lines = events.read_text().splitlines(keepends=True)
    lost = [json.dumps({**json.loads(line), "metrics": {"A_loss": 99.0}}) + "\n" for line in lines[11:16]]
    events.write_text("".join([*lines[:11], *lost, *lines[11:]]))
    history = read_history(events)
    assert history.steps.tolist() == list(range(1, 21))
    assert history.losses["A_loss"].tolist() == [step["A_loss"] for step in loss_table(20)]


def test_losses_that_are_not_finite_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    losses = loss_table(9)
    losses[3]["g_loss"] = losses[6]["A_loss"] = np.inf
    write_events(tmp_path / "events.jsonl", losses)
    history = read_history(tmp_path / "events.jsonl")
    assert (history.non_finite, history.first_non_finite) == (2, (4, "g_loss"))


def power(*samples: tuple[float, float], **others: float) -> list[tuple[float, dict[str, Any]]]:
    return [(after, {"gpu_0_power_usage_watts": watts, **others}) for after, watts in samples]


# write_leg's runs take 60 steps of 0.1 s.
@pytest.mark.parametrize(
    ("samples", "joules"),
    [
        (power((0, 200), (3, 200), (6, 200), npu_1_power_usage_watts=100, cpu_utilization_percentage=50), 300 * 6.0),
        (power((-100, 900), (1, 200), (5, 200), (100, 900)), 200 * 6.0),
        ([(1, {"cpu_utilization_percentage": 50}), (2, {})], None),
        (power((1, 200)), None),
    ],
    ids=["of all cards", "during the run alone", "no power", "one sample"],
)
def test_energy_is_power_over_time(
    tmp_path: Path, samples: list[tuple[float, dict[str, Any]]], joules: float | None
) -> None:
    leg = write_leg("npu", tmp_path / "npu", seeds=[0])
    file = tmp_path / "npu" / "seed-0.system.jsonl"
    lines = [json.dumps({"step": 0, "time": STARTED + after, "metrics": metrics}) for after, metrics in samples]
    file.write_text("\n".join(lines) + '\n{"time": 17')
    assert energy_joules(read_leg(leg).first) == (joules and pytest.approx(joules))
    # As a pipeline's artifact has it.
    shutil.move(file, leg.sources[0].run / "system.jsonl")
    assert energy_joules(read_leg(leg).first) == (joules and pytest.approx(joules))


def test_a_curve_of_a_long_run_has_few_points_and_hides_neither_spikes_nor_gaps() -> None:
    steps, values = np.arange(1, 100_001), np.random.default_rng(1).normal(size=100_000)
    values[54_321], values[2000] = 9.0, np.inf
    made = curve_of_runs([(steps, values)])
    assert made.raw is not None
    assert made.raw.shape[1] <= MAX_POINTS and made.smooth.shape[1] <= MAX_POINTS
    assert made.raw[:, np.nanargmax(made.raw[1])].tolist() == [54_322, 9.0]
    assert np.isnan(made.raw[1]).any()
    gap = made.smooth[0][np.isnan(made.smooth[1])]
    assert 0 < gap.min() <= 2001 <= gap.max() < 4000


def test_several_seeds_are_their_mean_in_a_band_from_the_lowest_to_the_highest() -> None:
    steps = np.arange(1, 2001)
    made = curve_of_runs([(steps, np.full(2000, value)) for value in (1.0, 2.0, 6.0)])
    assert made.raw is None and made.band is not None
    assert set(made.smooth[1]) == {3.0}
    assert (set(made.band[1]), set(made.band[2])) == ({1.0}, {6.0})
