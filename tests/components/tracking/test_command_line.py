import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
import requests

from components.tracking.runs import find_experiment
from components.tracking.store import connect, store_uri
from dualgan.errors import DualGANError
from parity.cli import main
from tests.components.tracking.folders import begin, finished_run
from tests.components.tracking.observed import legs
from tests.services import free_port

COMMAND = [sys.executable, "-m", "parity"]


class Result(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """The command line within this process: to start another takes seconds."""

    def run(*arguments: str | Path) -> Result:
        returncode = main([str(argument) for argument in arguments])
        return Result(returncode, *capsys.readouterr())

    return run


def test_sync_says_what_it_sent_and_the_second_time_that_it_sent_nothing(
    tmp_path: Path, run: Callable[..., Result], store: Path
) -> None:
    folder = finished_run(tmp_path / "run")

    first, second = (run("sync", folder, "--tracking-uri", store_uri(store)) for _ in range(2))

    assert first.stdout.startswith("sent 4 params, 70 metric points, 6 images and 7 files to run ")
    assert second.stdout.startswith("sent 0 params, 0 metric points, 0 images and 0 files to run ")
    assert (first.returncode, second.returncode) == (0, 0)
    assert first.stderr == ""


def test_sync_without_flags_takes_the_dataset_and_the_device_from_the_folder_and_with_them_what_they_say(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store_uri(store))
    folder = str(finished_run(tmp_path / "run"))
    flags = ["--experiment", "faces", "--pipeline-run-id", "p7", "--leg", "gpu", "--role", "reference"]
    for more in ([], [], flags):
        assert main(["sync", folder, *more]) == 0

    client = connect(store_uri(store))
    (plain,) = client.search_runs([find_experiment(client, "shapes")], "tags.leg != ''")
    (flagged,) = legs(client, "p7", "faces")
    found = [(run.data.tags["leg"], run.data.tags["role"]) for run in (plain, flagged)]
    assert found == [("cpu", "candidate"), ("gpu", "reference")]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("options.json", None, "{folder}: no run folder, options.json is missing; "),
        ("events.jsonl", None, "{folder}: no run folder, events.jsonl is missing; "),
        ("options.json", "{", "{folder}/options.json: not JSON "),
        ("events.jsonl", "no event\n", "{folder}/events.jsonl:1: not JSON "),
    ],
)
def test_a_folder_that_no_trainer_wrote_is_refused_in_one_line(
    tmp_path: Path, run: Callable[..., Result], store: Path, name: str, content: str | None, said: str
) -> None:
    folder = begin(tmp_path / "run")
    (folder / name).unlink()
    if content:
        (folder / name).write_text(content)

    result = run("sync", folder, "--tracking-uri", store_uri(store))

    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: {said.format(folder=folder)}")
    assert connect(store_uri(store)).search_runs(["0"]) == []


def test_a_server_that_does_not_answer_is_said_in_one_line(tmp_path: Path, run: Callable[..., Result]) -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    result = run("sync", begin(tmp_path / "run"), "--tracking-uri", uri)
    reason = f"{uri}: no answer (Connection refused); start the server or correct the tracking URI"
    assert (result.returncode, result.stderr) == (1, f"error: {reason}\n")


def test_ui_without_anything_tracked_or_with_a_port_that_is_taken_says_what_to_do(
    tmp_path: Path, run: Callable[..., Result]
) -> None:
    result = run("ui", "--store", tmp_path / "empty")
    assert result.returncode == 2
    assert result.stderr == f"error: {tmp_path / 'empty'}: nothing tracked yet; `make run` first\n"

    (tmp_path / "mlflow.db").touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("ui", "--store", tmp_path, "--port", str(port))
    assert result.returncode == 2 and f"port {port} of 127.0.0.1 is taken" in result.stderr


@pytest.mark.parametrize(
    ("host", "status"), [("localhost:8080", 200), ("127.0.0.1:8080", 200), ("localhost", 200), ("elsewhere:5000", 403)]
)
def test_the_local_server_answers_to_the_names_of_this_machine_and_of_a_tunnel_to_it(
    server: str, host: str, status: int
) -> None:
    url = f"{server}/api/2.0/mlflow/experiments/get?experiment_id=0"
    assert requests.get(url, headers={"Host": host}, timeout=60).status_code == status


@pytest.mark.system
def test_ui_prints_the_page_of_the_newest_pipeline_run_and_stops_with_all_its_processes(
    tmp_path: Path,
    store: Path,
) -> None:
    uri = store_uri(store)
    for identifier in ("older", "newest"):
        folder = finished_run(tmp_path / identifier)
        assert main(["sync", str(folder), "--tracking-uri", uri, "--pipeline-run-id", identifier]) == 0
        time.sleep(0.01)

    command = [*COMMAND, "ui", "--store", str(store), "--port", str(free_port())]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        assert process.stdout
        page = process.stdout.readline()
        children = psutil.Process(process.pid).children(recursive=True)
        assert requests.get(page.partition("#")[0], timeout=30).ok
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)

    assert "tags.pipeline_run_id%20%3D%20%27newest%27" in page
    assert process.returncode == 0
    assert children
    assert not any(child.is_running() for child in children)


def test_a_login_of_the_tracking_uri_is_no_parameter_of_a_task(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, object] = {}

    def no_pipeline(profile: object, parameters: dict[str, object], *_: object) -> None:
        given.update(parameters, username=os.environ["MLFLOW_TRACKING_USERNAME"])
        raise DualGANError("enough")

    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr("pipelines.local_run.run", no_pipeline)

    result = run("run", "--tracking-uri", "http://me:secret@mlflow:5000")

    assert result.stderr == "error: enough\n"
    assert (given["tracking_uri"], given["username"]) == ("http://mlflow:5000", "me")
