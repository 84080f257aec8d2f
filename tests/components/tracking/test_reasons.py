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
