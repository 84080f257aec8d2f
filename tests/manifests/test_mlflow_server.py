"""MLflow as its Deployment and its jobs start it, with every component, on PostgreSQL and S3."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2
import pytest
import requests

from components.tracking.comparison_view import log_comparison
from components.tracking.runs import PipelineRun
from components.tracking.store import connect
from parity.cli import main
from tests.components.tracking.folders import finished_run
from tests.components.tracking.observed import images, only_leg
from tests.components.tracking.test_comparison_view import comparison_folder
from tests.manifests.mlflow_server import ADMIN, Server, deployment_and_variables, job_environment, server_process
from tests.manifests.rendered import MANIFESTS, VALUES, command_line, containers, named, rendered
from tests.services import Database, postgresql_database, s3_client, s3_service

OVERLAY, OURS = "every-option", "dualgan-parity"
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
    origin: str | None = None,
) -> requests.Response:
    """A call of the REST API, under the name by which tasks know the server."""
    headers = {"Host": host or f"{server.service}:5000", **({"Origin": origin} if origin else {})}
    method = "GET" if body is None else "POST"
    return requests.request(method, server.address + path, json=body, auth=login, headers=headers, timeout=60)


PATH = "/api/2.0/mlflow/experiments/get?experiment_id=0"
PAGES = "/ajax-api/2.0/mlflow/experiments/search"
INGRESS = {"host": VALUES["host"], "body": {"max_results": 1}}


@pytest.mark.parametrize(
    ("path", "how", "code"),
    [
        *(
            (PATH, {"host": f"mlflow{rest}"}, 200)
            for rest in ("", ":5000", f".{OURS}:5000", f".{OURS}.svc.cluster.local")
        ),
        *((PATH, {"host": host}, 403) for host in ("evil.example", "mlflow.other:5000", f"mlflow.{OURS}.evil.example")),
        *((PATH, {"login": login}, 401) for login in (None, ("chief", "wrong-password-12"), ("nobody", ADMIN[1]))),
        # Pages behind the ingress, and those of others.
        (PAGES, {**INGRESS, "origin": f"https://{VALUES['host']}"}, 200),
        (PAGES, {**INGRESS, "origin": "https://evil.example"}, 403),
    ],
)
def test_who_is_let_in(server: Server, path: str, how: dict[str, Any], code: int) -> None:
    assert call(server, path, **how).status_code == code


def test_probes_ask_for_no_login_and_no_known_host_and_prometheus_for_what_the_monitor_says(
    server: Server, database: Database, s3: str
) -> None:
    _, container, _ = deployment_and_variables(OVERLAY, database, s3)
    for path in {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}:
        assert call(server, path, login=None, host="10.1.2.3:5000").status_code == 200
    (endpoint,) = named(rendered(OVERLAY), "ServiceMonitor", "mlflow")["spec"]["endpoints"]
    host = endpoint["relabelings"][0]["replacement"]
    assert call(server, endpoint["path"], host=host, login=None).status_code == 401
    answer = call(server, endpoint["path"], host=host)
    assert answer.status_code == 200 and "mlflow_http_request_total" in answer.text


def make_accounts(server: Server, folder: Path, accounts: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the job for accounts as a process of this machine, with a secret of ``accounts``."""
    folder.mkdir(exist_ok=True)
    # As Kubernetes mounts a secret: names beside the keys that begin with dots.
    (folder / "..data").mkdir(exist_ok=True)
    for name, password in accounts.items():
        (folder / name).write_text(password)
    template = named(rendered(OVERLAY), "CronJob", "mlflow-accounts")["spec"]["jobTemplate"]["spec"]["template"]
    (container,) = containers(template)
    variables = job_environment(OVERLAY, container, Database(0), "") | {"MLFLOW_TRACKING_URI": server.address}
    program, script, mounted = command_line(container, variables)
    assert (program, mounted) == ("python3", "/accounts")
    words = [sys.executable, script.replace("/jobs", str(MANIFESTS / "base/tracking")), str(folder)]
    return subprocess.run(words, env=variables, capture_output=True, text=True, timeout=120, check=False)


def test_the_job_makes_accounts_and_gives_them_the_passwords_of_the_secret(server: Server, tmp_path: Path) -> None:
    for password in ("a-sixth-long-password", "a-seventh-long-password"):
        answer = make_accounts(server, tmp_path / "secret", {"team-a": password, "team-b": password})
        assert answer.returncode == 0, answer.stderr
        assert answer.stdout == "account team-a: ready\naccount team-b: ready\n"
        assert call(server, PATH, login=("team-b", password)).status_code == 200
    assert call(server, PATH, login=("team-b", "a-sixth-long-password")).status_code == 401
    answer = make_accounts(server, tmp_path / "bad", {"team-c": "short"})
    assert answer.returncode == 1 and answer.stderr.startswith("account team-c: ") and "Traceback" not in answer.stderr


def test_this_softwares_own_client_needs_no_more_than_such_an_account_and_others_only_read(
    server: Server, s3: str, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Live points, images, the saved view, the verdict, and a model with its alias."""
    reader = ("reader", "a-third-long-password")
    assert make_accounts(server, tmp_path / "accounts", dict([TASKS, reader])).returncode == 0
    for name, value in zip(("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"), TASKS, strict=True):
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
    # Artifacts go through MLflow to its bucket.
    prefix = f"mlflow/{leg.info.experiment_id}/{leg.info.run_id}/"
    assert s3_client(s3).list_objects_v2(Bucket=bucket, Prefix=prefix)["KeyCount"]

    known = call(server, f"/api/2.0/mlflow/runs/get?run_id={leg.info.run_id}", login=reader).json()
    assert known["run"]["data"]["metrics"]
    point = {"key": "loss/A_loss", "value": 0.5, "timestamp": 1, "step": 1}
    body = {"run_id": leg.info.run_id, "metrics": [point]}
    assert call(server, "/api/2.0/mlflow/runs/log-batch", body, login=reader).status_code == 403
    # Only the admin makes accounts.
    account = {"username": "x", "password": "a-fourth-long-one"}
    assert call(server, "/api/2.0/mlflow/users/create", account, login=TASKS).status_code == 403


def test_a_newer_mlflow_does_not_start_on_older_tables(
    server: Server, database: Database, s3: str, tmp_path: Path
) -> None:
    """Which is why it may be applied before the job that brings the tables up to date."""
    with closing(psycopg2.connect(database.uri.replace("+psycopg2", ""))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT version_num FROM alembic_version")
            (version,) = cursor.fetchone() or ("",)
            cursor.execute("UPDATE alembic_version SET version_num = 'older'")
            try:
                refused = pytest.raises(AssertionError, match="out-of-date database schema")
                with refused, server_process(OVERLAY, database, s3, tmp_path):
                    pytest.fail("it has started")
            finally:
                cursor.execute("UPDATE alembic_version SET version_num = %s", (version,))


def test_the_job_that_brings_the_tables_up_to_date_finds_the_database(database: Database, s3: str) -> None:
    template = named(rendered(OVERLAY), "CronJob", "mlflow-upgrade")["spec"]["jobTemplate"]["spec"]["template"]
    (container,) = containers(template)
    variables = {**job_environment(OVERLAY, container, database, s3), "PATH": os.environ["PATH"]}
    program, *words = command_line(container, variables)
    command = [sys.executable, "-m", program, *words]
    answer = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=180, check=False)
    assert answer.returncode == 0, answer.stderr
