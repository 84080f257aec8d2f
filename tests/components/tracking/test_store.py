"""Where tracking goes, logins, new stores that are whole or not there, and servers that keep a client waiting."""

import contextlib
import http.server
import multiprocessing
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from mlflow.tracking import MlflowClient

from components.common.address import Address
from components.tracking import store as tracking_store
from components.tracking.reasons import explain
from components.tracking.runs import find_experiment
from components.tracking.store import connect, hand_over_login, local_store, resolve_tracking_uri, store_uri
from components.tracking.sync import RunFolderSync
from components.tracking.target import TrackingTarget
from dualgan.errors import BadInput, DualGANError
from tests.components.tracking.folders import finished_run
from tests.components.tracking.observed import history, images, legs


def test_the_tracking_uri_is_the_one_asked_for_then_the_variable_then_the_local_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store_uri(local_store(tmp_path)) == f"sqlite:///{tmp_path}/.local/mlflow/mlflow.db"
    assert resolve_tracking_uri() == Address(store_uri(local_store()))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://variable")
    assert resolve_tracking_uri() == Address("http://variable")
    assert resolve_tracking_uri("http://asked-for") == Address("http://asked-for")


@pytest.mark.parametrize("server_first", [True, False])
def test_an_experiment_can_be_used_with_the_local_server_and_without_it(
    tmp_path: Path, shared_store: Path, server: str, client: MlflowClient, server_first: bool
) -> None:
    experiment = f"both-ways-{server_first}"
    uris = [store_uri(shared_store), server]
    for number, uri in enumerate(reversed(uris) if server_first else uris):
        target = TrackingTarget(uri, experiment=experiment, pipeline_run_id="both", leg=f"leg-{number}")
        folder = finished_run(tmp_path / f"run-{number}")
        for _ in range(2):
            RunFolderSync(folder, target).step()

    for run in legs(client, "both", experiment):
        assert len(history(client, run, "loss/A_loss")) == 20 and len(images(client, run)) == 12
        picture = next(name for name in images(client, run) if name.endswith(".png"))
        address = f"{server}/get-artifact?run_id={run.info.run_id}&path={quote(f'images/{picture}')}"
        with urllib.request.urlopen(address, timeout=30) as answer:
            assert answer.read().startswith(b"\x89PNG")


def test_a_login_goes_into_the_variables_of_mlflow_s_client_and_comes_back_from_them(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "another")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "another")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    database = "postgresql+psycopg2://me:secret@db/mlflow"

    assert hand_over_login("http://me:a%2Fb@mlflow:5000") == "http://mlflow:5000"
    assert (os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"]) == ("me", "a/b")
    assert hand_over_login("sqlite:////data/mlflow.db") == "sqlite:////data/mlflow.db"
    assert hand_over_login(database) == ""
    assert resolve_tracking_uri().reveal() == database
    assert resolve_tracking_uri("postgresql+psycopg2://db/mlflow").reveal() == database
    assert resolve_tracking_uri("postgresql+psycopg2://other/mlflow").reveal() == "postgresql+psycopg2://other/mlflow"
    # Nor has a client one in its address.
    client = connect(server.replace("http://", "http://me:secret@"))
    assert client.search_experiments() and client.tracking_uri == server


def test_a_store_whose_set_up_was_interrupted_is_set_up_anew(tmp_path: Path) -> None:
    import sqlalchemy
    from mlflow.store.tracking.dbmodels.initial_models import Base

    database = tmp_path / "mlflow.db"
    # The first of MLflow's steps: tables of its first version, which its next ones change.
    engine = sqlalchemy.create_engine(f"sqlite:///{database}")
    Base.metadata.create_all(engine)
    engine.dispose()
    with sqlite3.connect(database) as connection:
        connection.execute("ALTER TABLE metrics ADD COLUMN creator VARCHAR(256)")
    (tmp_path / ".mlflow.db.new").write_bytes(b"of a process that was killed")

    assert [experiment.name for experiment in connect(store_uri(tmp_path)).search_experiments()] == ["Default"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["mlflow.db"]


@pytest.mark.parametrize("content", ["no database at all, but a text that is long enough", "CREATE TABLE mine (a INT)"])
def test_a_file_that_is_no_store_is_named_and_left_alone(tmp_path: Path, content: str) -> None:
    database = tmp_path / "mlflow.db"
    if content.startswith("CREATE"):
        with sqlite3.connect(database) as connection:
            connection.execute(content)
    else:
        database.write_text(content)
    before = database.read_bytes()

    with pytest.raises(BadInput, match=r"mlflow\.db: .*no store of MLflow") as caught:
        connect(store_uri(tmp_path))

    assert "\n" not in str(caught.value)
    assert database.read_bytes() == before


def set_up(store: Path, starting: "multiprocessing.synchronize.Barrier") -> None:
    starting.wait()
    connect(store_uri(store)).create_experiment(f"of-{os.getpid()}")


def test_processes_that_set_up_a_new_store_at_once_all_find_it_whole(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    starting = context.Barrier(3)
    processes = [context.Process(target=set_up, args=(tmp_path / "new", starting)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)

    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len(connect(store_uri(tmp_path / "new")).search_experiments()) == 4


@pytest.mark.stress
def test_a_set_up_that_is_killed_at_any_moment_leaves_a_store_that_can_be_set_up(tmp_path: Path) -> None:
    chance = random.Random(0)
    code = "import sys; from components.tracking.store import connect; print('go', flush=True); connect(sys.argv[1])"
    for attempt in range(10):
        uri = store_uri(tmp_path / str(attempt))
        process = subprocess.Popen([sys.executable, "-c", code, uri], stdout=subprocess.PIPE)
        assert process.stdout and process.stdout.readline()
        time.sleep(chance.uniform(1.0, 6.0))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert connect(uri).search_experiments()


# By the first part of the path; anything else sends for ever.
ODD = {
    "429": (429, b"come back tomorrow"),
    "503": (503, b"come back tomorrow"),
    "empty": (200, b"{}"),
    "list": (400, b'{"error_code": ["FOO"], "message": "x"}'),
    "escape": (400, b'{"error_code": "FOO\\u001b", "message": "400"}'),
}


class _Odd(http.server.BaseHTTPRequestHandler):
    """Answers with a request to come back tomorrow, a byte at a time, without end, or as no MLflow does."""

    def do_GET(self) -> None:
        kind = self.path.split("/")[1]
        status, body = ODD.get(kind, (200, b""))
        self.send_response(status)
        self.send_header("Retry-After", "86400")
        self.send_header("Content-Length", str(len(body) or 1 << 30))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)
            while not body:
                self.wfile.write(b" " if kind == "trickle" else bytes(1 << 16))
                self.wfile.flush()
                time.sleep(0.1 if kind == "trickle" else 0)

    do_POST = do_GET

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def odd() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Odd)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("429", "error code 429: come back tomorrow"),
        ("503", "error code 503: come back tomorrow"),
        ("trickle", "no answer (no whole answer within 3 s)"),
        ("endless", "an answer that is not MLflow's (larger than 1048576 bytes); correct the tracking URI"),
        ("list", "an answer that is not MLflow's (its error_code is no text); correct the tracking URI"),
    ],
)
def test_no_server_is_waited_for_longer_than_is_said(
    odd: str, path: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setattr(tracking_store, "PAUSES_SECONDS", 1.0)
    monkeypatch.setattr(tracking_store, "MAX_ANSWER_BYTES", 1 << 20)
    began = time.monotonic()
    with pytest.raises(Exception) as caught:
        connect(f"{odd}/{path}").search_experiments()
    assert time.monotonic() - began < 8
    line = explain(caught.value, odd)
    assert line.startswith(f"{odd}: {said}") and "\n" not in line


def test_an_answer_that_is_json_and_no_experiment_is_not_mlflow_s(odd: str) -> None:
    with pytest.raises(DualGANError, match=f"^{odd}/empty: an answer that is not MLflow's"):
        find_experiment(connect(f"{odd}/empty"), "faces")


def test_what_a_server_says_reaches_no_terminal_as_it_is(odd: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(Exception, match="400"):
        connect(f"{odd}/escape").search_experiments()
    assert any("FOO\\x1b" in line for line in caplog.messages) and "\x1b" not in caplog.text


def test_a_database_that_refuses_connections_is_not_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    uri = "postgresql+psycopg2://user:secret@127.0.0.1:1/db"
    began = time.monotonic()
    with pytest.raises(Exception, match="refused") as caught:
        connect(uri).search_experiments()
    assert time.monotonic() - began < 10
    line = explain(caught.value, uri)
    assert "no answer (Connection refused)" in line and "secret" not in line + caplog.text
