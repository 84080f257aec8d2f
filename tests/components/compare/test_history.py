"""Losses as they are read from events.jsonl."""

import json
from pathlib import Path

import numpy as np

from components.compare.leg import read_history
from dualgan.run_folder import min_loss, read_events
from tests.components.run_folders import loss_table, write_events


def test_losses_are_read_step_by_step(tmp_path: Path) -> None:
    losses = loss_table(20)
    write_events(tmp_path / "events.jsonl", losses)
    history = read_history(tmp_path / "events.jsonl")
    assert history.steps.tolist() == list(range(1, 21))
    assert history.losses["B_loss"].tolist() == [step["B_loss"] for step in losses]
    assert history.losses["A_loss"].min() == min_loss(read_events(tmp_path / "events.jsonl"))


def test_of_a_step_that_was_repeated_after_resuming_the_later_run_counts(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    write_events(events, loss_table(20))
    lines = events.read_text().splitlines(keepends=True)
    lost = [json.dumps({**json.loads(line), "metrics": {"A_loss": 99.0}}) + "\n" for line in lines[11:16]]
    events.write_text("".join([*lines[:11], *lost, *lines[11:]]))
    history = read_history(events)
    assert history.steps.tolist() == list(range(1, 21))
    assert history.losses["A_loss"].tolist() == [step["A_loss"] for step in loss_table(20)]


def test_a_loss_that_a_run_does_not_have_is_left_out_and_is_no_failure(tmp_path: Path) -> None:
    losses = loss_table(5)
    for step in losses:
        del step["gradient_penalty"]
    write_events(tmp_path / "events.jsonl", losses)
    history = read_history(tmp_path / "events.jsonl")
    assert "gradient_penalty" not in history.losses
    assert history.non_finite == 0


def test_losses_that_are_not_finite_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    losses = loss_table(9)
    losses[3]["g_loss"] = losses[6]["A_loss"] = np.inf
    write_events(tmp_path / "events.jsonl", losses)
    history = read_history(tmp_path / "events.jsonl")
    assert (history.non_finite, history.first_non_finite) == (2, (4, "g_loss"))
