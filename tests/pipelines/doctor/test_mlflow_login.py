"""The doctor asks a real MLflow with basic auth for its version, with the login that tasks have."""

import base64
from collections.abc import Iterator

import mlflow
import pytest

from components.tracking.store import connect, store_uri
from tests.components.tracking.servers import LoginServer, login_server
from tests.pipelines.doctor.conftest import Look
from tests.pipelines.doctor.fake_kubernetes import MLFLOW_HEALTH, FakeKubernetes
from tests.pipelines.kfp_server import running_kfp

SUBJECT = "MLflow's version and login"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoginServer]:
    store = tmp_path_factory.mktemp("mlflow")
    connect(store_uri(store)).search_experiments()
    with login_server(store) as found:
        found.new_account("tasks")
        yield found


def _log_in(cluster: FakeKubernetes, user: str, password: str) -> None:
    values = {"username": user, "password": password}
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    cluster.find("Secret", "kfp-mlflow-credentials")["data"] = data


def test_version_and_login_are_those_of_the_tasks(server: LoginServer, look: Look, cluster: FakeKubernetes) -> None:
    """Somebody else's MLflow, outside the cluster and to be reached from here."""
    cluster.find("ConfigMap", "dualgan-parity")["data"]["MLFLOW_TRACKING_URI"] = server.address
    _log_in(cluster, "tasks", "tasks-has-a-long-password")
    check = look()[SUBJECT]
    assert check.status == "ok" and mlflow.__version__ in check.detail and server.address in check.detail
    _log_in(cluster, "tasks", "another")
    check = look()[SUBJECT]
    assert check.status == "missing" and check.required and "does not accept the login of tasks (401)" in check.detail


def test_of_a_service_in_the_cluster_an_address_here_shows_the_login(
    server: LoginServer, look: Look, cluster: FakeKubernetes
) -> None:
    assert look()["MLflow's login"].status == "cannot tell"
    _log_in(cluster, "tasks", "tasks-has-a-long-password")
    lines = look(mlflow_address=server.address)
    assert lines[SUBJECT].status == lines["MLflow"].status == "ok" and "MLflow's login" not in lines
    # That it answers here does not mean that it does there.
    del cluster.services[MLFLOW_HEALTH]
    lines = look(mlflow_address=server.address)
    assert lines[SUBJECT].status == "ok" and lines["MLflow"].status == "missing"


def test_who_may_not_ask_services_is_told_what_answers_here(
    server: LoginServer, look: Look, cluster: FakeKubernetes
) -> None:
    cluster.forbidden = {"/proxy/"}
    _log_in(cluster, "tasks", "tasks-has-a-long-password")
    check = look()["mlflow"]
    assert check.status == "cannot tell" and "--tracking-uri" in check.detail
    lines = look(mlflow_address=server.address)
    assert lines[SUBJECT].status == "ok" and "mlflow" not in lines


@pytest.mark.parametrize("address", ["sqlite:////tmp/mlflow.db", "http://127.0.0.1:9"])
def test_an_address_here_that_leads_nowhere_is_no_fault_of_the_cluster(look: Look, address: str) -> None:
    lines = look(mlflow_address=address)
    assert lines["MLflow"].status == "ok" and SUBJECT not in lines


def test_another_program_at_the_address_is_said(look: Look, cluster: FakeKubernetes) -> None:
    with running_kfp() as other:
        other.page = "<html>"
        cluster.find("ConfigMap", "dualgan-parity")["data"]["MLFLOW_TRACKING_URI"] = other.url
        check = look()[SUBJECT]
    assert check.status == "missing" and "is no MLflow" in check.detail
