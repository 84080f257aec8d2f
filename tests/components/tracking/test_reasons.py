import socket
from typing import Any

import pytest

from components.tracking.reasons import explain
from components.tracking.store import connect
from tests.services import free_port


def reason(uri: str) -> str:
    with pytest.raises(Exception) as caught:
        connect(uri).search_experiments()
    return explain(caught.value, uri)


def test_a_host_name_that_the_server_does_not_allow_is_told_with_the_flag_that_allows_it(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo

    def resolve_locally(host: str, *arguments: Any, **options: Any) -> Any:
        return resolve("127.0.0.1" if host == "mlflow.example" else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_locally)

    text = reason(server.replace("127.0.0.1", "mlflow.example"))

    assert "Invalid Host header" in text
    assert "--allowed-hosts" in text
    assert "\n" not in text


def test_a_host_that_does_not_exist_is_told_as_such() -> None:
    uri = "http://nowhere.invalid:5000"
    assert reason(uri).startswith(f"{uri}: no answer (")


def test_an_address_that_is_no_mlflow_server_gives_one_line(server: str) -> None:
    text = reason(f"{server}/elsewhere")

    assert text.startswith(f"{server}/elsewhere: ")
    assert "404" in text
    assert "\n" not in text


def test_a_password_is_in_no_message() -> None:
    assert "secret" not in reason(f"http://me:secret@127.0.0.1:{free_port()}")
    error = ValueError("bad answer from http://me:secret@mlflow/api\nmore")
    assert explain(error, "http://mlflow") == "http://mlflow: bad answer from http://mlflow/api"


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
    ],
)
def test_a_message_has_the_server_s_own_reason_and_what_to_do(message: str, said: str) -> None:
    line = explain(RuntimeError(message), "http://me:secret@m")
    assert line.startswith("http://m: ") and said in line and "\n" not in line and len(line) < 1000
    assert not line.startswith("http://m: no answer")
