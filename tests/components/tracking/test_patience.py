"""An MLflow that is away is waited for; one that refuses is not."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from components.tracking import reasons
from components.tracking.reasons import patiently
from components.tracking.store import connect
from dualgan.errors import BadInput, DualGANError
from tests.components.tracking.guarded import NO_HOST, NO_LOGIN, Guard, Refusal
from tests.components.tracking.killable_server import KillableServer
from tests.services import free_port

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
