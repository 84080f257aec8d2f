"""The files beside a run folder, and the copies inside that are all there is once a pipeline has handed it on."""

import json
import shutil
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from components.tracking.sync import RunFolderSync
from components.tracking.target import (
    SYSTEM_METRICS,
    TARGET,
    TrackingTarget,
    neighbour,
    read_target,
    take_along,
    write_target,
)
from dualgan.errors import BadInput
from tests.components.tracking.folders import event_time, finished_run
from tests.components.tracking.observed import history, only_leg


def test_a_folder_that_was_handed_on_has_its_place_and_its_system_metrics(
    tmp_path: Path, server: str, client: MlflowClient
) -> None:
    trained = finished_run(tmp_path / "pod" / "records")
    place = TrackingTarget(server, pipeline_run_id="handed-on", leg="gpu", role="reference", runtime="tf1")
    write_target(trained, place)
    samples = [{"type": "system", "step": n, "time": event_time(n), "metrics": {"load": n / 10}} for n in range(3)]
    neighbour(trained, SYSTEM_METRICS).write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    take_along(trained)
    handed_on = Path(shutil.copytree(trained, tmp_path / "another-pod" / "records"))

    assert read_target(handed_on) == place
    RunFolderSync(handed_on, read_target(handed_on)).step(ended=True)

    run = only_leg(client, "handed-on")
    assert (run.data.tags["leg"], run.data.tags["role"]) == ("gpu", "reference")
    assert [point[2] for point in history(client, run, "system/load")] == [0.0, 0.1, 0.2]


@pytest.mark.parametrize(
    ("uri", "kept"),
    [
        ("http://me:secret@mlflow:5000", "http://mlflow:5000"),
        ("postgresql+psycopg2://me:secret@db/mlflow", "postgresql+psycopg2://db/mlflow"),
        ("postgresql+psycopg2://db/mlflow?password=secret", None),
        ("sqlite:////data/mlflow.db", "sqlite:////data/mlflow.db"),
    ],
)
def test_a_login_is_written_nowhere(tmp_path: Path, uri: str, kept: str | None) -> None:
    write_target(tmp_path / "run", TrackingTarget(uri, leg="gpu"))
    assert "secret" not in neighbour(tmp_path / "run", TARGET).read_text()
    assert read_target(tmp_path / "run") == TrackingTarget(kept, leg="gpu")


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"leg": 1}', '{"unknown": "x"}', '{"role": "both"}', '{"leg": ' + "[" * 10_000]
)
def test_a_file_that_tracking_did_not_write_is_named(tmp_path: Path, content: str) -> None:
    neighbour(tmp_path / "run", TARGET).write_text(content)
    with pytest.raises(BadInput, match=r"run\.tracking\.json: .*delete it and give the flags of sync"):
        read_target(tmp_path / "run")
