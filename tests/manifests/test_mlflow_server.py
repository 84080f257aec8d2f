"""The flags and variables of the MLflow Deployment, tried on the real server with PostgreSQL and S3 behind it."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from components.tracking.comparison_view import log_comparison
from components.tracking.runs import PipelineRun
from components.tracking.store import connect
from parity.cli import main
from tests.components.tracking.folders import finished_run
from tests.components.tracking.observed import images, only_leg
from tests.components.tracking.test_comparison_view import comparison_folder
from tests.manifests.mlflow_server import ADMIN, Server, deployment_and_variables, server_process
from tests.manifests.rendered import ROOT
from tests.services import Database, postgresql_database, s3_client, s3_service

OVERLAY = "local-storage"
TASKS = ("tasks", "another-long-password")

pytestmark = pytest.mark.system("kubectl", "postgresql")


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with postgresql_database() as found:
        yield found


@pytest.fixture(scope="module")
def bucket(database: Database) -> str:
    _, _, variables = deployment_and_variables(OVERLAY, database, "")
    return urlsplit(variables["MLFLOW_ARTIFACTS_DESTINATION"]).netloc


@pytest.fixture(scope="module")
def s3(bucket: str) -> Iterator[str]:
    with s3_service(bucket) as address:
        yield address


@pytest.fixture(scope="module")
def server(database: Database, s3: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server_process(OVERLAY, database, s3, tmp_path_factory.mktemp("server")) as found:
        yield found


def call(
    server: Server,
    path: str,
    body: Mapping[str, object] | None = None,
    *,
    login: tuple[str, str] | None = ADMIN,
    host: str | None = None,
) -> requests.Response:
    """A call of the REST API, under the name by which tasks know the server."""
    headers = {"Host": host or f"{server.service}:5000"}
    method = "GET" if body is None else "POST"
    return requests.request(method, server.address + path, json=body, auth=login, headers=headers, timeout=60)


def test_probes_ask_for_no_login_and_no_known_host(server: Server, database: Database, s3: str) -> None:
    _, container, _ = deployment_and_variables(OVERLAY, database, s3)
    paths = {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
    for path in paths:
        assert call(server, path, login=None, host="10.1.2.3:5000").status_code == 200


@pytest.mark.parametrize(
    "host", ["mlflow", "mlflow:5000", "mlflow.dualgan-parity:5000", "mlflow.dualgan-parity.svc.cluster.local:5000"]
)
def test_every_name_of_the_service_is_let_in(server: Server, host: str) -> None:
    assert call(server, "/api/2.0/mlflow/experiments/get?experiment_id=0", host=host).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "mlflow.other:5000", "mlflow.dualgan-parity.evil.example"])
def test_another_host_is_refused(server: Server, host: str) -> None:
    assert call(server, "/api/2.0/mlflow/experiments/get?experiment_id=0", host=host).status_code == 403


@pytest.mark.parametrize("login", [None, ("chief", "wrong-password-12"), ("nobody", "correct-horse-battery")])
def test_nothing_is_read_without_a_login(server: Server, login: tuple[str, str] | None) -> None:
    assert call(server, "/api/2.0/mlflow/experiments/get?experiment_id=0", login=login).status_code == 401


def test_a_task_tracks_a_run_with_an_account_of_its_own(
    server: Server, s3: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"username": TASKS[0], "password": TASKS[1]}
    assert call(server, "/api/2.0/mlflow/users/create", body).status_code == 200

    def post(path: str, body: Mapping[str, object], login: tuple[str, str] = TASKS) -> requests.Response:
        return call(server, f"/api/2.0/mlflow/{path}", body, login=login)

    experiment = post("experiments/create", {"name": "faces"}).json()["experiment_id"]
    run = post("runs/create", {"experiment_id": experiment, "start_time": 1}).json()["run"]["info"]
    point = {"key": "loss/A_loss", "value": 0.5, "timestamp": 1, "step": 1}
    assert post("runs/log-batch", {"run_id": run["run_id"], "metrics": [point]}).status_code == 200
    path = f"{run['artifact_uri'].removeprefix('mlflow-artifacts:/')}/note.txt"
    sent = requests.put(
        f"{server.address}/api/2.0/mlflow-artifacts/artifacts/{path}",
        data=b"kept",
        auth=TASKS,
        headers={"Host": f"{server.service}:5000"},
        timeout=60,
    )
    assert sent.status_code == 200, sent.text
    assert s3_client(s3).get_object(Bucket=bucket, Key=f"mlflow/{path}")["Body"].read() == b"kept"
    assert post("registered-models/create", {"name": "dualgan-faces"}).status_code == 200

    # Others read it, and cannot change it.
    reader = {"username": "reader", "password": "a-third-long-password"}
    assert call(server, "/api/2.0/mlflow/users/create", reader).status_code == 200
    login = (reader["username"], reader["password"])
    assert call(server, f"/api/2.0/mlflow/runs/get?run_id={run['run_id']}", login=login).json()["run"]["data"][
        "metrics"
    ]
    assert post("runs/log-batch", {"run_id": run["run_id"], "metrics": [point]}, login).status_code == 403
    # Only the admin makes accounts.
    assert post("users/create", {"username": "x", "password": "a-fourth-long-one"}).status_code == 403


def test_this_softwares_own_client_needs_no_more_than_such_an_account(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Live points, images, the saved view, the verdict, and a model with its alias."""
    login = ("follower", "a-fifth-long-password")
    body = {"username": login[0], "password": login[1]}
    assert call(server, "/api/2.0/mlflow/users/create", body).status_code == 200
    for name, value in zip(("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"), login, strict=True):
        monkeypatch.setenv(name, value)
    folder = finished_run(tmp_path / "npu")
    assert main(["sync", str(folder), "--tracking-uri", server.address, "--pipeline-run-id", "p", "--leg", "npu"]) == 0
    client = connect(server.address)
    log_comparison(client, PipelineRun("shapes", "p"), comparison_folder(tmp_path / "comparison"))
    leg = only_leg(client, "p")
    assert leg.info.status == "FINISHED" and len(images(client, leg)) == 12
    client.create_registered_model("dualgan-shapes")
    version = client.create_model_version("dualgan-shapes", f"{leg.info.artifact_uri}/model", leg.info.run_id)
    client.set_registered_model_alias("dualgan-shapes", "champion", version.version)
    assert client.get_model_version_by_alias("dualgan-shapes", "champion").run_id == leg.info.run_id


def test_the_command_that_brings_the_tables_up_to_date_finds_the_database(database: Database, s3: str) -> None:
    _, _, variables = deployment_and_variables(OVERLAY, database, s3)
    uri = variables["MLFLOW_BACKEND_STORE_URI"]
    assert f"`mlflow db upgrade {uri}`" in (ROOT / "docs" / "cluster.md").read_text()
    command = [sys.executable, "-m", "mlflow", "db", "upgrade", uri]
    environment = {**variables, "PATH": os.environ["PATH"]}
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180, check=False)
    assert answer.returncode == 0, answer.stderr
