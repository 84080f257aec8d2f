"""The restore drill: MLflow's database is dumped, dropped, restored, and the champion is there again."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from components.tracking.store import connect
from tests.manifests.mlflow_server import ADMIN, job_environment, server_process
from tests.manifests.rendered import MANIFESTS, command_line, containers, named, rendered
from tests.services import Database, postgresql_database, s3_client, s3_service

SITE = "every-option"
OLD = "mlflow-20200101T000000Z.dump"

pytestmark = pytest.mark.system("kubectl", "postgresql")


@pytest.fixture
def database() -> Iterator[Database]:
    with postgresql_database() as found:
        yield found


@pytest.fixture
def destination() -> tuple[str, str]:
    """The bucket of the dumps, and what their keys begin with."""
    place = urlsplit(named(rendered(SITE), "ConfigMap", "mlflow")["data"]["BACKUP_DESTINATION"])
    return place.netloc, place.path.strip("/") + "/"


@contextmanager
def _mlflow(database: Database, s3: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowClient]:
    for name, value in zip(("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"), ADMIN, strict=True):
        monkeypatch.setenv(name, value)
    with server_process(SITE, database, s3, folder) as server:
        yield connect(server.address)


def _run_job(name: str, database: Database, s3: str, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the containers of a job one after the other as processes of this machine; return how the last one ended."""
    template = named(rendered(SITE), "CronJob", name)["spec"]["jobTemplate"]["spec"]["template"]
    for container in containers(template):
        variables = job_environment(SITE, container, database, s3) | settings | {"PATH": os.environ["PATH"]}
        line = shlex.join(command_line(container, variables))
        here = {"/dumps/": f"{folder}/", "/jobs/": f"{MANIFESTS}/options/backup/", "python3 ": f"{sys.executable} "}
        for mounted, place in here.items():
            line = line.replace(mounted, place)
        answer = subprocess.run(
            shlex.split(line), env=variables, capture_output=True, text=True, timeout=300, check=False
        )
        if answer.returncode:
            break
    return answer


def _recreate(database: Database) -> None:
    """Drop the database with all that it holds, and make an empty one of its name."""
    login = {"host": "127.0.0.1", "port": database.port, "user": database.user, "password": database.password}
    with closing(psycopg2.connect(dbname="postgres", **login)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f'DROP DATABASE "{database.name}" WITH (FORCE)')
            cursor.execute(f'CREATE DATABASE "{database.name}"')


def _register(client: MlflowClient, model: str) -> str:
    run = client.create_run(client.create_experiment(model))
    client.create_registered_model(model)
    version = client.create_model_version(model, f"{run.info.artifact_uri}/model", run.info.run_id)
    client.set_registered_model_alias(model, "champion", version.version)
    return str(run.info.run_id)


def test_after_its_database_is_dropped_the_newest_dump_brings_the_champion_back(
    database: Database, destination: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket, prefix = destination
    with s3_service(bucket) as s3:
        with _mlflow(database, s3, tmp_path, monkeypatch) as client:
            champion = _register(client, "dualgan-faces")
            # While MLflow serves, as every night; one dump is older than is kept, and one file is somebody else's.
            for name in (OLD, "note.txt"):
                s3_client(s3).put_object(Bucket=bucket, Key=prefix + name, Body=b"old")
            answer = _run_job("mlflow-backup", database, s3, tmp_path)
            assert answer.returncode == 0, answer.stderr
            keys = [entry["Key"] for entry in s3_client(s3).list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]]
            assert len(keys) == 2 and prefix + OLD not in keys and prefix + "note.txt" in keys
            # What came after the dump is lost.
            _register(client, "dualgan-later")

        _recreate(database)
        # Into an empty database, and over one that is full.
        for _ in range(2):
            answer = _run_job("mlflow-restore", database, s3, tmp_path)
            assert answer.returncode == 0, answer.stderr

        with _mlflow(database, s3, tmp_path, monkeypatch) as client:
            assert client.get_model_version_by_alias("dualgan-faces", "champion").run_id == champion
            with pytest.raises(MlflowException):
                client.get_registered_model("dualgan-later")
            # A dump of what was restored is as good.
            answer = _run_job("mlflow-backup", database, s3, tmp_path)
            assert answer.returncode == 0, answer.stderr
        answer = _run_job("mlflow-restore", database, s3, tmp_path)
        assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("settings", [{}, {"DUMP": "mlflow-20990101T000000Z.dump"}])
def test_without_a_dump_the_restore_ends_with_one_line_before_it_touches_the_database(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    nowhere = Database(port=1)
    with s3_service("empty") as s3:
        answer = _run_job("mlflow-restore", nowhere, s3, tmp_path, BACKUP_DESTINATION="s3://empty/dumps", **settings)
    assert answer.returncode == 1
    (line,) = answer.stderr.splitlines()
    assert line == f"no dump {settings.get('DUMP', 'at all')} below s3://empty/dumps/"
