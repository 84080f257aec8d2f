"""What MLflow is asked and what is read of a run folder grows with its events: counted, not timed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlflow.tracking import MlflowClient

from components.tracking.store import store_uri
from components.tracking.sync import METRICS_PER_BATCH, RunFolderSync
from components.tracking.target import TrackingTarget
from dualgan import run_folder
from tests.components.tracking.folders import METRICS, begin, train

STEPS = 1000


def test_points_are_sent_in_full_batches_and_once_and_each_event_is_read_once(
    store: Path, tmp_path: Path, counted: Callable[[Any, str], list[object]]
) -> None:
    run = begin(tmp_path / "run")
    train(run, 1, STEPS)
    target = TrackingTarget(store_uri(store), pipeline_run_id="run", leg="gpu", role="reference")
    batches, lines = counted(MlflowClient, "log_batch"), counted(run_folder, "parse_object")

    sync = RunFolderSync(run, target)
    assert sync.step().metrics == STEPS * len(METRICS)
    # One more is for the params.
    assert len(batches) == STEPS * len(METRICS) // METRICS_PER_BATCH + 1
    # The first of them, of the start, is read twice: its time is when the run began.
    assert len(lines) == STEPS + 2

    batches.clear()
    assert not RunFolderSync(run, target).step()
    assert not batches and len(lines) == 2 * (STEPS + 2)

    train(run, STEPS + 1, STEPS + 3)
    sync.step()
    assert len(batches) == 1 and len(lines) == 2 * (STEPS + 2) + 3
