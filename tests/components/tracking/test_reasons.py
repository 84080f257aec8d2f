"""Errors of MLflow in one line with advice that its reader can follow, and waiting for what may pass."""

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from components.tracking import reasons
from components.tracking.reasons import artifact_address, explain, how_to_send, patiently
from components.tracking.store import connect
from dualgan.errors import BadInput, DualGANError
from tests.components.tracking.servers import NO_HOST, NO_LOGIN, Guard, KillableServer, Refusal
from tests.services import free_port


@pytest.mark.parametrize(
    ("address", "said"),
    [
        # The server itself, by a name that it does not allow.
        ("http://mlflow.example:{port}", "Invalid Host header"),
        ("http://nowhere.invalid:5000", "no answer ("),
        ("http://127.0.0.1:{port}/elsewhere", "404"),
        ("http://me:secret@127.0.0.1:1", "no answer (Connection refused)"),
        ("htp://mlflow", "or sqlite:////PATH/mlflow.db"),
    ],
)
def test_an_address_that_is_wrong_gives_one_line(
    server: str, monkeypatch: pytest.MonkeyPatch, address: str, said: str
) -> None:
    resolve = socket.getaddrinfo

    def resolve_locally(host: str, *arguments: Any, **options: Any) -> Any:
        return resolve("127.0.0.1" if host == "mlflow.example" else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_locally)
    uri = address.format(port=server.rpartition(":")[2])
    with pytest.raises(Exception) as caught:
        connect(uri).search_experiments()
    line = explain(caught.value, uri)
    assert line.startswith(f"{uri.replace('me:secret@', '')}: ") and said in line
    assert "\n" not in line and "secret" not in line


ARTIFACT = "500 Server Error: Internal Server Error for url: http://m/api/2.0/mlflow-artifacts/artifacts/1/f.png."


@pytest.mark.parametrize(
    ("message", "said"),
    [
        # What MLflow 3.17 answers if its S3 refuses checksums.
        (f"{ARTIFACT} Response text: Internal Server Error", "AWS_REQUEST_CHECKSUM_CALCULATION=when_required"),
        (
            f'{ARTIFACT} Response text: {{"error_code": "X", "message": "no such bucket: b"}}',
            "500 Server Error: no such bucket",
        ),
        (
            "API request to endpoint /a failed with error code 503 != 200. Response body: 'busy'",
            "error code 503: busy; ",
        ),
        ("(sqlite3.OperationalError) duplicate column name: creator\n[SQL: ALTER TABLE]", "half-made"),
        ("(sqlite3.OperationalError) database or disk is full", "free some space"),
        ("RESOURCE_ALREADY_EXISTS: Registered Model (name=a) already exists", "already exists"),
        ("API request to endpoint /a failed with error code 500 != 200. Response body: '" + "x" * 10**6, "xxx..."),
        ("bad answer from http://me:secret@mlflow/api\nmore", "bad answer from http://mlflow/api"),
    ],
)
def test_a_message_has_the_server_s_own_reason_and_what_to_do(message: str, said: str) -> None:
    line = explain(RuntimeError(message), "http://me:secret@m")
    assert line.startswith("http://m: ") and said in line and "\n" not in line and len(line) < 1000
    assert not line.startswith("http://m: no answer")


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("/minio/mlpipeline/v2/p/run/train/0f/records", "minio://mlpipeline/v2/p/run/train/0f/records"),
        ("/s3/bucket/kfp/p/run/train/0f/records", "s3://bucket/kfp/p/run/train/0f/records"),
        ("/gcs/bucket/records", "gs://bucket/records"),
        ("/home/me/runs/gpu", None),
        ("runs/s3/gpu", None),
    ],
)
def test_what_lies_in_a_pod_has_the_address_of_its_artifact(path: str, address: str | None) -> None:
    assert artifact_address(Path(path)) == address
    assert (address or f"parity sync {path}`") in how_to_send(Path(path))
    # A folder of a pod is gone with it.
    assert address is None or path not in how_to_send(Path(path))


A_MOMENT = 0.5 / 3600


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reasons, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(reasons, "MAX_PAUSE", 0.2)


def ask(address: str) -> Callable[[], list[str]]:
    return lambda: [experiment.name for experiment in connect(address).search_experiments()]


def test_a_server_that_is_away_is_waited_for_and_each_reason_is_said_once(store: Path) -> None:
    server = KillableServer(store)
    said: list[str] = []

    def come_back() -> None:
        while not said:
            time.sleep(0.01)
        server.start()

    back = threading.Thread(target=come_back)
    back.start()
    try:
        assert patiently(ask(server.address), server.address, 1.0, said.append) == ["Default"]
    finally:
        back.join()
        server.kill()
    waiting, over = said
    assert waiting.startswith(f"{server.address}: no answer (Connection refused); ")
    assert "waiting for MLflow, up to 1 h; next try in " in waiting
    assert over.startswith("MLflow answers again")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_whose_database_is_away_is_waited_for(server: str, client: MlflowClient, status: int) -> None:
    said: list[str] = []
    with Guard(server) as guard:
        guard.refusal = Refusal(status, '{"error_code": "INTERNAL_ERROR", "message": "no database"}')

        def say(text: str) -> None:
            said.append(text)
            guard.refusal = None

        assert "Default" in patiently(ask(guard.address), guard.address, 1.0, say)
    assert len(said) == 2


@pytest.mark.parametrize(
    ("refusal", "named"),
    [
        (NO_LOGIN, "login refused"),
        (NO_HOST, "Invalid Host header"),
        (Refusal(403, "Permission denied"), "not allowed"),
        (Refusal(404, '{"error_code": "ENDPOINT_NOT_FOUND", "message": "no such thing"}'), "no such thing"),
    ],
)
def test_a_refusal_is_said_at_once(server: str, refusal: Refusal, named: str) -> None:
    said: list[str] = []
    with Guard(server) as guard:
        guard.refusal = refusal
        with pytest.raises(DualGANError, match=named) as caught:
            patiently(ask(guard.address), guard.address, 1.0, said.append)
        assert guard.refused == 1 and said == []
    assert "\n" not in str(caught.value) and "waited" not in str(caught.value)


def test_one_that_stays_away_is_given_up_in_one_line() -> None:
    address = f"http://127.0.0.1:{free_port()}"
    said: list[str] = []
    with pytest.raises(DualGANError, match=r"no answer \(Connection refused\).*; MLflow was waited for, ") as caught:
        patiently(ask(address), address, A_MOMENT, said.append)
    assert len(said) == 1 and "\n" not in str(caught.value)


def test_our_own_error_is_let_through_at_once() -> None:
    def work() -> None:
        raise BadInput("comparison.json: no answer, timed out")

    with pytest.raises(BadInput):
        patiently(work, "http://mlflow", 1.0, pytest.fail)
