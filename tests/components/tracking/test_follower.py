"""Following a run folder while the training process writes it, with a server that answers, goes away, or refuses."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from mlflow.tracking import MlflowClient

from components.tracking.follower import NICENESS, follow_in_background
from components.tracking.runs import PARENT_TAG
from components.tracking.store import connect, store_uri
from components.tracking.target import SYSTEM_METRICS, TARGET, TrackingTarget, neighbour
from parity.cli import main
from tests.components.tracking.folders import append, begin, finish, finished_run, sample, timing, train
from tests.components.tracking.observed import following, history, images, legs, only_leg
from tests.components.tracking.servers import AWAY, NO_HOST, NO_LOGIN, Guard, Refusal
from tests.services import free_port

SECONDS = 120.0


def place(uri: str, pipeline_run_id: str) -> TrackingTarget:
    return TrackingTarget(uri, pipeline_run_id=pipeline_run_id, leg="cpu-tf2", role="candidate")


def said(text: str) -> None:
    raise AssertionError(text)


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def follower_of(run_folder: Path, parent: int) -> psutil.Process:
    (found,) = [
        child
        for child in psutil.Process(parent).children(recursive=True)
        if "components.tracking.follower" in child.cmdline() and str(run_folder) in child.cmdline()
    ]
    return found


def wait_until_ended(process: psutil.Process) -> None:
    """Without taking the exit code from the process that waits for it as its parent."""
    wait_for(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, "the follower did not end")


def wait_until_tracked(client: MlflowClient, pipeline_run_id: str, step: int, experiment: str = "shapes") -> None:
    def is_there() -> bool:
        found = legs(client, pipeline_run_id, experiment)
        return bool(found) and [point[0] for point in history(client, found[0], "loss/A_loss")][-1:] == [step]

    wait_for(is_there, f"step {step} of {pipeline_run_id} did not reach MLflow")


def test_what_a_training_writes_arrives_while_it_runs_and_is_there_once_afterwards(
    tmp_path: Path, server: str, client: MlflowClient, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    with follow_in_background(folder, place(server, "background"), "train cpu-tf2", said, interval=0.1):
        follower = follower_of(folder, os.getpid())
        begin(folder)
        for last in (5, 10, 15):
            train(folder, last - 4, last)
            wait_until_tracked(client, "background", last)
        assert follower.nice() == NICENESS
        append(folder, timing(15))
        sample(folder, 15)
        finish(folder, 15)

    assert not follower.is_running()
    assert capfd.readouterr().out == ""
    run = only_leg(client, "background")
    assert [point[0] for point in history(client, run, "loss/A_loss")] == list(range(1, 16))
    assert [point[0] for point in history(client, run, "time/sec_per_step")] == [15]
    assert len(images(client, run)) == 12
    samples = len(neighbour(folder, SYSTEM_METRICS).read_text().splitlines())
    assert len(history(client, run, "system/cpu_utilization_percentage")) == samples >= 1
    assert run.info.status == "FINISHED"


def test_a_server_that_is_down_is_said_once_on_a_line_of_its_own(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    folder = tmp_path / "run"
    with follow_in_background(folder, place(uri, "down"), "train cpu-tf2", said, interval=0.1):
        finished_run(folder)

    reason, end = capfd.readouterr().out.splitlines()
    assert reason.startswith(f"train cpu-tf2: MLflow tracking: {uri}: no answer (Connection refused); ")
    assert f"`parity sync {folder}` sends it" in end


def test_a_follower_that_is_killed_is_reported_with_the_way_to_make_up_for_it(tmp_path: Path) -> None:
    uri = f"http://me:secret@127.0.0.1:{free_port()}"
    folder, reports = tmp_path / "run", list[str]()
    with follow_in_background(folder, place(uri, "killed"), "train cpu-tf2", reports.append):
        follower = follower_of(folder, os.getpid())
        # An address with a password is in its environment alone.
        assert follower.environ()["MLFLOW_TRACKING_URI"] == uri
        assert "secret" not in " ".join(follower.cmdline()) + neighbour(folder, TARGET).read_text()
        follower.kill()
        wait_until_ended(follower)

    (report,) = reports
    assert report.startswith("train cpu-tf2: live tracking ended early (exit code -9); ")
    assert f"parity sync {folder}" in report


PARENT = """
import pathlib, sys, time
from components.tracking.follower import follow_in_background
from components.tracking.target import TrackingTarget
with follow_in_background(pathlib.Path(sys.argv[1]), TrackingTarget(sys.argv[2], leg="cpu"), "train", print):
    print("following", flush=True)
    time.sleep(600)
"""


def test_a_follower_ends_with_a_parent_that_is_killed_and_sends_what_there_is(tmp_path: Path, store: Path) -> None:
    folder = finished_run(tmp_path / "run")
    command = [sys.executable, "-c", PARENT, str(folder), store_uri(store)]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert parent.stdout and parent.stdout.readline() == "following\n"
    follower = follower_of(folder, parent.pid)

    parent.send_signal(signal.SIGKILL)
    parent.wait(SECONDS)
    parent.stdout.close()

    wait_until_ended(follower)
    runs = connect(store_uri(store)).search_runs(["1"], "tags.leg = 'cpu'")
    assert [run.info.status for run in runs] == ["FINISHED"]


def test_the_data_libraries_are_not_needed_to_follow() -> None:
    code = (
        "import json, sys\n"
        "from components.tracking.store import leave_out_data_libraries\n"
        "leave_out_data_libraries()\n"
        "import components.tracking.follower, components.tracking.sync, components.tracking.system_metrics\n"
        "components.tracking.system_metrics.sources()\n"
        "print(json.dumps(sorted(name for name, module in sys.modules.items() if module)))"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True)
    loaded = set(json.loads(answer.stdout))
    assert "mlflow" in loaded
    assert not loaded & {"numpy", "pandas", "pyarrow", "scipy", "tensorflow", "kfp"}


def test_a_server_that_goes_away_and_comes_back_misses_and_doubles_nothing(
    tmp_path: Path, server: str, client: MlflowClient
) -> None:
    folder, reports = tmp_path / "run", list[str]()
    with (
        Guard(server) as guard,
        following(folder, place(guard.address, "outage"), reports.append) as complete,
    ):
        guard.refusal = AWAY
        begin(folder)
        train(folder, 1, 5)
        for first in (6, 11, 16):
            guard.refusal = None
            wait_until_tracked(client, "outage", first - 1)
            guard.refusal = AWAY
            train(folder, first, first + 4)
            seen = guard.refused
            wait_for(lambda seen=seen: guard.refused > seen, "no attempt failed")  # type: ignore[misc]
        sample(folder, 20)
        finish(folder, 20)
        guard.refusal = None

    assert complete == [True]
    run = only_leg(client, "outage")
    for metric in ("A_loss", "B_loss", "d_loss"):
        assert [point[0] for point in history(client, run, f"loss/{metric}")] == list(range(1, 21))
    assert len(images(client, run)) == 12


def test_the_last_sync_takes_no_longer_than_it_may(tmp_path: Path) -> None:
    folder, reports = finished_run(tmp_path / "run"), list[str]()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with follow_in_background(folder, place(uri, "silent"), "train", reports.append, interval=60, patience=5):
            began = time.monotonic()
        assert time.monotonic() - began < 10
    (report,) = reports
    assert report.startswith(f"train: MLflow lacks a part of this run: {uri}: no answer (no whole answer within 5 s); ")
    assert f"parity sync {folder}" in report and "exit code" not in report


def test_a_run_that_the_platform_names_for_one_leg_leaves_the_legs_side_by_side(
    tmp_path: Path, server: str, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    injected = client.create_run(client.create_experiment("of-the-platform")).info.run_id
    for leg in ("gpu", "npu"):
        with following(tmp_path / leg, TrackingTarget(server, pipeline_run_id="injected", leg=leg), said):
            finished_run(tmp_path / leg)
        # From here on, as KFP's MLflow plugin does for one task and not for another.
        monkeypatch.setenv("MLFLOW_RUN_ID", injected)

    runs = legs(client, "injected")
    assert sorted(run.data.tags["leg"] for run in runs) == ["gpu", "npu"]
    assert len({(run.info.experiment_id, run.data.tags[PARENT_TAG]) for run in runs}) == 1
    assert client.get_run(injected).data.metrics == {}


@pytest.mark.parametrize(
    ("refusal", "advice"),
    [
        (NO_LOGIN, "MLFLOW_TRACKING_TOKEN"),
        (NO_HOST, "--allowed-hosts"),
        (Refusal(403, '{"error_code": "PERMISSION_DENIED", "message": "Permission denied"}'), "write access"),
    ],
)
def test_a_refusal_in_the_middle_is_said_once_then_counted_and_a_sync_completes_the_run(
    tmp_path: Path, server: str, client: MlflowClient, refusal: Refusal, advice: str
) -> None:
    name = f"refused-{refusal.status}-{len(refusal.body)}"
    folder, reports = begin(tmp_path / "run"), list[str]()
    with Guard(server) as guard:
        with following(folder, place(guard.address, name), reports.append, interval=0.02) as complete:
            train(folder, 1, 10)
            wait_until_tracked(client, name, 10)
            guard.refusal = refusal
            train(folder, 11, 20)
            wait_for(lambda: guard.refused >= 3, "no attempt failed")
            sample(folder, 20)
            finish(folder, 20)

        reason, end = reports
        assert reason.startswith(f"MLflow tracking: {guard.address}: ") and reason.endswith("; training goes on")
        assert advice in reason and "\n" not in reason
        assert "(failed attempts: " in end and f"parity sync {folder}" in end
        assert complete == [False]

        guard.refusal = None
        assert main(["sync", str(folder)]) == 0
    run = only_leg(client, name)
    assert [point[0] for point in history(client, run, "loss/A_loss")] == list(range(1, 21))
    assert len(images(client, run)) == 12
    assert run.info.status == "FINISHED"


def test_an_experiment_that_is_deleted_while_training_is_said_once_with_the_way_to_restore_it(
    tmp_path: Path, server: str, client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, reports = begin(tmp_path / "run"), list[str]()
    deleted = TrackingTarget(server, experiment="deleted-meanwhile", pipeline_run_id="deleted-meanwhile", leg="cpu")
    with following(folder, deleted, reports.append, interval=0.02):
        train(folder, 1, 10)
        wait_until_tracked(client, "deleted-meanwhile", 10, "deleted-meanwhile")
        experiment_id = client.get_experiment_by_name("deleted-meanwhile").experiment_id
        client.delete_experiment(experiment_id)
        train(folder, 11, 20)
        wait_for(lambda: reports, "no attempt failed")
        time.sleep(0.5)
        finish(folder, 20)

    reason, _ = reports
    assert f"`mlflow experiments restore --experiment-id {experiment_id}`" in reason
    assert main(["sync", str(folder)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "restore" in line

    client.restore_experiment(experiment_id)
    assert main(["sync", str(folder)]) == 0
    (run,) = client.search_runs([experiment_id], "tags.leg = 'cpu'")
    assert [point[0] for point in history(client, run, "loss/A_loss")] == list(range(1, 21))
