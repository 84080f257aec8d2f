"""Real MLflow servers that tests start and kill, with accounts or without, and a guard before one that refuses."""

import contextlib
import http.server
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import requests

from components.tracking.store import store_uri
from components.tracking.ui import SERVER_ENVIRONMENT
from tests.services import free_port

SECONDS_TO_START = 180.0
CONFIG = Path(__file__).parents[3] / "manifests" / "base" / "tracking" / "basic_auth.ini"
ADMIN = ("chief", "correct-horse-battery")


def answers(url: str) -> bool:
    with contextlib.suppress(requests.RequestException):
        return requests.get(url, timeout=5).ok
    return False


@contextlib.contextmanager
def running(command: Sequence[str], url: str, log: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Run a server and all of its processes from the time that ``url`` answers."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
    try:
        deadline = time.monotonic() + SECONDS_TO_START
        while not answers(url):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.2)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def mlflow_server(folder: Path, *options: str, **variables: str) -> Iterator[str]:
    """Run ``mlflow server``, whose log goes into ``folder``; yield its address."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1", "--port", str(port)]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    environment = {**plain, **SERVER_ENVIRONMENT, **variables}
    address = f"http://127.0.0.1:{port}"
    with running([*command, *options], f"{address}/health", folder / "server.log", environment):
        yield address


Login = tuple[str, str]


@dataclass(frozen=True)
class LoginServer:
    """The address of a server with basic auth, and what its admin does."""

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
    """A server on the store, with accounts as the manifests set them up."""
    config = store / "basic_auth.ini"
    ours = CONFIG.read_text()
    assert "database_uri = postgresql+psycopg2://\n" in ours
    config.write_text(ours.replace("postgresql+psycopg2://", f"sqlite:///{store / 'accounts.db'}"))
    options = ["--app-name", "basic-auth", "--backend-store-uri", store_uri(store)]
    options += ["--artifacts-destination", str(store / "artifacts")]
    with mlflow_server(
        store,
        *options,
        MLFLOW_AUTH_CONFIG_PATH=str(config),
        MLFLOW_AUTH_ADMIN_USERNAME=ADMIN[0],
        MLFLOW_AUTH_ADMIN_PASSWORD=ADMIN[1],
        MLFLOW_FLASK_SERVER_SECRET_KEY="0" * 64,
    ) as address:
        yield LoginServer(address)


# Starting a server takes seconds of imports: for those that are killed they are done once, in a process that each is
# forked from.
_FORKED_FROM = multiprocessing.get_context("forkserver")
_FORKED_FROM.set_forkserver_preload(["mlflow.server.fastapi_app", "mlflow.store.tracking.sqlalchemy_store"])


def _serve(store: Path, port: int) -> None:
    os.environ.update(SERVER_ENVIRONMENT)
    os.environ["_MLFLOW_SERVER_FILE_STORE"] = store_uri(store)
    os.environ["_MLFLOW_SERVER_ARTIFACT_ROOT"] = "mlflow-artifacts:/"
    os.environ["_MLFLOW_SERVER_ARTIFACT_DESTINATION"] = str(store / "artifacts")
    os.environ["_MLFLOW_SERVER_SERVE_ARTIFACTS"] = "true"
    import uvicorn
    from mlflow.server.fastapi_app import app

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")


class KillableServer(contextlib.AbstractContextManager["KillableServer"]):
    """Serves ``store`` at ``address``, always the same, from ``start`` to ``kill``."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._port = free_port()
        self._process: multiprocessing.process.BaseProcess | None = None
        self.address = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        self._process = process = _FORKED_FROM.Process(target=_serve, args=(self._store, self._port), daemon=True)
        process.start()
        deadline = time.monotonic() + SECONDS_TO_START
        while not answers(f"{self.address}/health"):
            assert process.is_alive() and time.monotonic() < deadline, "the server did not start"
            time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()

    def __enter__(self) -> "KillableServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class Refusal(NamedTuple):
    status: int
    body: str


# The words of MLflow 3.17's own servers.
NO_LOGIN = Refusal(401, "You are not authenticated. Please see https://www.mlflow.org/docs/latest/auth/index.html")
AWAY = Refusal(503, "Service Unavailable")
NO_HOST = Refusal(403, "Invalid Host header - possible DNS rebinding attack detected")


class Guard(contextlib.AbstractContextManager["Guard"]):
    """Passes requests on to the server at ``address``, unless ``refusal`` is set: then that is the answer."""

    def __init__(self, address: str) -> None:
        self.refusal: Refusal | None = None
        self.refused = 0
        guard = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if guard.refusal:
                    guard.refused += 1
                    status, answer = guard.refusal.status, guard.refusal.body.encode()
                else:
                    kept = {
                        name: self.headers[name] for name in ("Content-Type", "Authorization") if self.headers[name]
                    }
                    passed = requests.request(
                        self.command, f"{address}{self.path}", data=body or None, headers=kept, timeout=60
                    )
                    status, answer = passed.status_code, passed.content
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Guard":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
