"""The MLflow server as its Deployment starts it, with a database and an S3 service of the test's."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.manifests.rendered import Object, environment, named, rendered
from tests.services import S3_KEYS, SECONDS, Database, free_port

ADMIN = ("chief", "correct-horse-battery")
NAMESPACE = "dualgan-parity"


@dataclass(frozen=True)
class Server:
    address: str
    service: str


def deployment_and_variables(overlay: str, database: Database, s3: str) -> tuple[Object, Object, dict[str, str]]:
    """The Deployment, its container and the container's variables, with secrets and addresses of the test."""
    deployment = named(rendered(overlay), "Deployment", "mlflow")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    return deployment, container, job_environment(overlay, container, database, s3)


def job_environment(overlay: str, container: Object, database: Database, s3: str) -> dict[str, str]:
    """The variables of a container in MLflow's namespace, with secrets and addresses of the test."""
    secrets = {
        (NAMESPACE, "mlflow-database"): {"username": database.user, "password": database.password},
        (NAMESPACE, "mlflow-artifacts"): S3_KEYS,
        (NAMESPACE, "mlflow-admin"): {"username": ADMIN[0], "password": ADMIN[1], "flask-secret-key": "0" * 64},
    }
    variables = environment(rendered(overlay), {"metadata": {"namespace": NAMESPACE}}, container, secrets)
    here = {"PGHOST": "127.0.0.1", "PGPORT": str(database.port), "PGDATABASE": database.name, "PGSSLMODE": "disable"}
    return {**variables, **here, "MLFLOW_S3_ENDPOINT_URL": s3}


def arguments(container: Object, port: int) -> list[str]:
    """The container's command line, on a port of the loopback interface."""
    words = [*container["command"], *container["args"]]
    words[words.index("--host") + 1] = "127.0.0.1"
    words[words.index("--port") + 1] = str(port)
    return words


def auth_file(overlay: str) -> str:
    return str(named(rendered(overlay), "ConfigMap", "mlflow-auth")["data"]["basic_auth.ini"])


@contextlib.contextmanager
def server_process(overlay: str, database: Database, s3: str, folder: Path) -> Iterator[Server]:
    """The server as a process of this machine, with the variables of the Deployment and no others."""
    _, container, variables = deployment_and_variables(overlay, database, s3)
    config = folder / "basic_auth.ini"
    config.write_text(auth_file(overlay))
    variables |= {"MLFLOW_AUTH_CONFIG_PATH": str(config), "HOME": str(folder), "PATH": os.environ["PATH"]}
    port = free_port()
    program, *words = arguments(container, port)
    assert program == "mlflow"
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *words],
            cwd=folder,
            env=variables,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for_health(address, lambda: process.poll() is None, log.read_text)
        yield Server(address, f"mlflow.{NAMESPACE}")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for_health(address: str, lives: Callable[[], bool], log: Callable[[], str]) -> None:
    """Until the path of the probes answers; fails with the end of the server's log."""
    deadline = time.monotonic() + SECONDS
    while True:
        with contextlib.suppress(requests.ConnectionError, requests.Timeout):
            if requests.get(f"{address}/health", timeout=5).ok:
                return
        assert lives() and time.monotonic() < deadline, log()[-3000:]
        time.sleep(0.2)
