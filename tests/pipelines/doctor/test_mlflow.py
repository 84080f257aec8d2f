"""The doctor asks the MLflow that tasks are told of, a real one with basic auth, with the login that tasks have."""

import time
from collections.abc import Callable, Iterator

import mlflow
import pytest

from components.tracking.store import connect, store_uri
from pipelines.doctor import servers
from pipelines.doctor.checks import Check
from tests.components.dataset.http_server import raw_server
from tests.components.tracking.servers import LoginServer, login_server
from tests.pipelines.doctor.fake_kubernetes import MLFLOW_HEALTH, FakeKubernetes
from tests.pipelines.doctor.healthy import secret
from tests.pipelines.kfp_server import running_kfp

Look = Callable[..., dict[str, Check]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoginServer]:
    store = tmp_path_factory.mktemp("mlflow")
    connect(store_uri(store)).search_experiments()
    with login_server(store) as found:
        found.new_account("tasks")
        yield found


def _log_in(cluster: FakeKubernetes, user: str, password: str) -> None:
    data = {**secret("", "", {"username"}, user)["data"], **secret("", "", {"password"}, password)["data"]}
    cluster.find("Secret", "kfp-mlflow-credentials")["data"] = data


def _tell(cluster: FakeKubernetes, address: str | None) -> None:
    cluster.find("ConfigMap", "dualgan-parity")["data"]["MLFLOW_TRACKING_URI"] = address


def test_version_and_login_are_those_of_the_tasks(server: LoginServer, look: Look, cluster: FakeKubernetes) -> None:
    _log_in(cluster, "tasks", "tasks-has-a-long-password")
    # Of a service of the cluster, at a forwarded port; who may then not ask services need not.
    cluster.forbidden = {"/proxy/"}
    assert look()["MLflow"].status == "cannot tell" and "--tracking-uri" in look()["MLflow"].detail
    check = look(mlflow_address=server.address)["MLflow"]
    assert check.status == "ok" and f"{mlflow.__version__}; the tasks' login is accepted" in check.detail
    # Somebody else's, outside the cluster and to be reached from here.
    _tell(cluster, server.address)
    assert look()["MLflow"].status == "ok" and server.address in look()["MLflow"].detail
    _log_in(cluster, "tasks", "another")
    check = look()["MLflow"]
    assert check.status == "missing" and check.required and "does not accept the login of tasks (401)" in check.detail


@pytest.mark.parametrize("here", ["", "sqlite:////tmp/mlflow.db", "http://127.0.0.1:9"])
@pytest.mark.parametrize(
    ("address", "status", "required"),
    [
        ("http://mlflow.dualgan-parity:5000", "ok", True),
        ("http://mlflow.dualgan-parity.svc.cluster.local:5000/", "ok", True),
        ("http://other.dualgan-parity:5000", "missing", True),
        ("http://mlflow", "missing", True),
        # Not a service of this cluster, and not to be reached from here: the cluster may reach it all the same.
        ("http://127.0.0.1:9", "cannot tell", False),
        # They may be told at their submission.
        (None, "cannot tell", False),
    ],
)
def test_without_an_address_that_answers_here_the_service_is_asked(
    look: Look, cluster: FakeKubernetes, address: str | None, status: str, required: bool, here: str
) -> None:
    _tell(cluster, address)
    check = look(mlflow_address=here)["MLflow"]
    assert (check.status, check.required) == (status, required), check


def test_a_service_that_does_not_answer_and_another_program_are_said(look: Look, cluster: FakeKubernetes) -> None:
    del cluster.services[MLFLOW_HEALTH]
    assert "does not answer (503)" in look()["MLflow"].detail
    with running_kfp() as other:
        other.page = "<html>"
        _tell(cluster, other.url)
        check = look()["MLflow"]
    assert check.status == "missing" and "is no MLflow" in check.detail


def test_the_login_of_tasks_goes_nowhere_else(look: Look, cluster: FakeKubernetes) -> None:
    with running_kfp() as elsewhere, raw_server(_redirect(elsewhere.url), b"", 0) as url:
        _tell(cluster, url.removesuffix("/a.zip"))
        assert "is no MLflow: it answers 302" in look()["MLflow"].detail
    assert elsewhere.requests == []


def _redirect(url: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {url}/apis/v2beta1/healthz\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("piece", "pause", "status"), [(b" ", 0.05, "cannot tell"), (b" " * (1 << 16), 0.0, "missing")]
)
def test_an_answer_that_never_ends_is_given_up(
    look: Look, cluster: FakeKubernetes, monkeypatch: pytest.MonkeyPatch, piece: bytes, pause: float, status: str
) -> None:
    monkeypatch.setattr(servers, "SECONDS", 2.0)
    with raw_server(b"HTTP/1.1 200 OK\r\n\r\n", piece, pause) as url:
        _tell(cluster, url)
        began = time.monotonic()
        assert look()["MLflow"].status == status
        assert time.monotonic() - began < 8
