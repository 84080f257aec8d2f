"""A real MLflow server with basic auth, set up as the manifests set it up, with accounts that are no admins."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import requests

from components.tracking.store import store_uri
from components.tracking.ui import SERVER_ENVIRONMENT
from tests.services import free_port

CONFIG = Path(__file__).parents[3] / "manifests" / "base" / "tracking" / "basic_auth.ini"
ADMIN = ("chief", "correct-horse-battery")
SECONDS_TO_START = 180.0

Login = tuple[str, str]


@dataclass(frozen=True)
class LoginServer:
    """The server's address, and what its admin does."""

    address: str

    def new_account(self, name: str) -> Login:
        login = (name, f"{name}-has-a-long-password")
        self._post("/api/2.0/mlflow/users/create", {"username": login[0], "password": login[1]})
        return login

    def deny(self, name: str, kind: str, identifier: str) -> None:
        """Let the account neither read nor change the one thing."""
        body = {"username": name, "resource_type": kind, "resource_id": identifier, "permission": "DENY"}
        self._post("/api/3.0/mlflow/users/permissions/grant", body)

    def _post(self, path: str, body: dict[str, str]) -> None:
        answer = requests.post(f"{self.address}{path}", json=body, auth=ADMIN, timeout=60)
        assert answer.ok, answer.text


def variables(login: Login) -> dict[str, str]:
    """The variables by which MLflow's client logs in."""
    return {"MLFLOW_TRACKING_USERNAME": login[0], "MLFLOW_TRACKING_PASSWORD": login[1]}


@contextlib.contextmanager
def login_server(store: Path) -> Iterator[LoginServer]:
    """``mlflow server --app-name basic-auth`` on the store, whose database it brings up to date if need be."""
    config = store / "basic_auth.ini"
    ours = CONFIG.read_text()
    assert "database_uri = postgresql+psycopg2://\n" in ours
    config.write_text(ours.replace("postgresql+psycopg2://", f"sqlite:///{store / 'accounts.db'}"))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")},
        **SERVER_ENVIRONMENT,
        "MLFLOW_AUTH_CONFIG_PATH": str(config),
        "MLFLOW_AUTH_ADMIN_USERNAME": ADMIN[0],
        "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN[1],
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "0" * 64,
    }
    address = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--workers", "1"]
    command += ["--host", "127.0.0.1", "--port", address.rpartition(":")[2]]
    command += ["--backend-store-uri", store_uri(store), "--artifacts-destination", str(store / "artifacts")]
    log = store / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=store, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        deadline = time.monotonic() + SECONDS_TO_START
        while True:
            with contextlib.suppress(requests.ConnectionError, requests.Timeout):
                if requests.get(f"{address}/health", timeout=5).ok:
                    break
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.2)
        yield LoginServer(address)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
