import logging
import socket
import time
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from components.tracking.follower import LiveTracking
from components.tracking.placement import Placement, placement_file
from components.tracking.runs import PARENT_TAG
from parity.cli import main
from tests.components.tracking.folders import append, begin, finish, finished_run, sample, timing, train
from tests.components.tracking.link import Link
from tests.components.tracking.observed import history, images, legs, only_leg
from tests.services import free_port


def place(uri: str, pipeline_run_id: str) -> Placement:
    return Placement(uri, pipeline_run_id=pipeline_run_id, leg="cpu-tf2", role="candidate")


def wait_until_tracked(client: MlflowClient, pipeline_run_id: str, step: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = legs(client, pipeline_run_id)
        if found and [point[0] for point in history(client, found[0], "loss/A_loss")][-1:] == [step]:
            return
        time.sleep(0.1)
    pytest.fail(f"step {step} of {pipeline_run_id} did not reach MLflow")


def test_losses_arrive_while_training_runs_and_everything_is_there_once_afterwards(
    tmp_path: Path, server: str, client: MlflowClient
) -> None:
    folder = tmp_path / "run"
    with LiveTracking(folder, place(server, "live"), interval=0.1) as tracking:
        begin(folder)
        for last in (5, 10, 15):
            train(folder, last - 4, last)
            wait_until_tracked(client, "live", last)
        append(folder, timing(15))
        sample(folder, 15)
        finish(folder, 15)

    run = only_leg(client, "live")
    assert (tracking.complete, tracking.failures, tracking.run_id) == (True, 0, run.info.run_id)
    assert [point[0] for point in history(client, run, "loss/A_loss")] == list(range(1, 16))
    assert [point[0] for point in history(client, run, "time/sec_per_step")] == [15]
    assert len(images(client, run)) == 12
    assert run.info.status == "FINISHED"


def test_a_server_that_is_down_costs_training_nothing_and_is_reported_once(
    tmp_path: Path, server: str, client: MlflowClient, caplog: pytest.LogCaptureFixture
) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    folder = tmp_path / "run"
    with (
        caplog.at_level(logging.WARNING, logger="components.tracking"),
        LiveTracking(folder, place(dead, "down"), interval=0.05, patience=20) as tracking,
    ):
        began = time.monotonic()
        finished_run(folder)
        assert time.monotonic() - began < 2
        while tracking.failures < 3:
            time.sleep(0.05)

    assert not tracking.complete
    reasons = [record.getMessage() for record in caplog.records if "training goes on" in record.getMessage()]
    assert reasons == [
        f"MLflow tracking: {dead}: no answer (Connection refused); "
        "start the server or correct the tracking URI; training goes on"
    ]
    assert any(f"parity sync {folder}" in record.getMessage() for record in caplog.records)

    for _ in range(2):
        assert main(["sync", str(folder), "--tracking-uri", server]) == 0
    run = only_leg(client, "down")
    assert run.data.tags["leg"] == "cpu-tf2"
    assert [point[0] for point in history(client, run, "loss/A_loss")] == list(range(1, 21))
    assert len(images(client, run)) == 12


def test_a_server_that_goes_away_and_comes_back_misses_and_doubles_nothing(
    tmp_path: Path, server: str, client: MlflowClient
) -> None:
    folder = tmp_path / "run"
    with (
        Link(server) as link,
        LiveTracking(folder, place(link.address, "outage"), interval=0.1) as tracking,
    ):
        begin(folder)
        train(folder, 1, 5)
        for first in (6, 11, 16):
            link.mend()
            wait_until_tracked(client, "outage", first - 1)
            link.cut()
            train(folder, first, first + 4)
            seen = tracking.failures
            while tracking.failures == seen:
                time.sleep(0.05)
        sample(folder, 20)
        finish(folder, 20)
        link.mend()

    assert tracking.complete
    run = only_leg(client, "outage")
    for metric in ("A_loss", "B_loss", "d_loss"):
        assert [point[0] for point in history(client, run, f"loss/{metric}")] == list(range(1, 21))
    assert len(images(client, run)) == 12


def test_a_trainer_that_dies_leaves_a_failed_run(tmp_path: Path, server: str, client: MlflowClient) -> None:
    folder = tmp_path / "run"
    with LiveTracking(folder, place(server, "killed"), interval=0.1) as tracking:
        begin(folder)
        train(folder, 1, 3)

    assert tracking.complete
    assert only_leg(client, "killed").info.status == "FAILED"


def test_the_last_sync_takes_no_longer_than_it_may(tmp_path: Path) -> None:
    folder = finished_run(tmp_path / "run")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        with LiveTracking(folder, place(uri, "silent"), interval=60, patience=0.5) as tracking:
            pass
        assert time.monotonic() - began < 3
    assert not tracking.complete


def test_a_run_that_the_platform_names_for_one_leg_leaves_the_legs_side_by_side(
    tmp_path: Path, server: str, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    injected = client.create_run(client.create_experiment("of-the-platform")).info.run_id
    for leg in ("gpu", "npu"):
        with LiveTracking(tmp_path / leg, Placement(server, pipeline_run_id="injected", leg=leg), interval=0.1):
            finished_run(tmp_path / leg)
        # From here on, as KFP's MLflow plugin does for one task and not for another.
        monkeypatch.setenv("MLFLOW_RUN_ID", injected)

    runs = legs(client, "injected")
    assert sorted(run.data.tags["leg"] for run in runs) == ["gpu", "npu"]
    assert len({(run.info.experiment_id, run.data.tags[PARENT_TAG]) for run in runs}) == 1
    assert client.get_run(injected).data.metrics == {}


def test_a_password_in_the_tracking_uri_is_written_nowhere(tmp_path: Path) -> None:
    uri = f"http://me:secret@127.0.0.1:{free_port()}"
    with LiveTracking(tmp_path / "run", place(uri, "secret"), interval=60, patience=5):
        pass

    assert "secret@" not in placement_file(tmp_path / "run").read_text()
