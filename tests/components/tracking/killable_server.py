"""A real MLflow server that a test kills with SIGKILL and starts again within a moment.

Starting one takes seconds of imports: these are done once, in a process that each server is forked from.
"""

import multiprocessing
import os
import time
from pathlib import Path
from types import TracebackType

from components.tracking.store import store_uri
from components.tracking.ui import SERVER_ENVIRONMENT
from tests.components.tracking.conftest import answers
from tests.services import free_port

SECONDS_TO_START = 120.0
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


class KillableServer:
    """Serves ``store`` at ``address``, always the same, from ``start`` to ``kill``."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._port = free_port()
        self._process: multiprocessing.process.BaseProcess | None = None
        self.address = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        process = _FORKED_FROM.Process(target=_serve, args=(self._store, self._port), daemon=True)
        process.start()
        self._process = process
        deadline = time.monotonic() + SECONDS_TO_START
        while not answers(f"{self.address}/health"):
            assert process.is_alive() and time.monotonic() < deadline, "the server did not start"
            time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None

    def __enter__(self) -> "KillableServer":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()
