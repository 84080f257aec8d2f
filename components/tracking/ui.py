"""Serve the local store with few processes, and say which page compares the newest pipeline run's legs."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from mlflow.tracking import MlflowClient

from components.tracking.comparison_view import has_view, view_key
from components.tracking.links import comparison_url, view_url
from components.tracking.store import connect, set_up, store_uri
from dualgan.errors import BadInput, DualGANError

HOST = "127.0.0.1"
DEFAULT_PORT = 5000
SECONDS_TO_START = 180.0
SECONDS_TO_STOP = 10.0

# Also through a tunnel, which has a port of its own; whatever MLFLOW_SERVER_ALLOWED_HOSTS says for other servers.
ALLOWED_HOSTS = "localhost,localhost:*,127.0.0.1,127.0.0.1:*"
# Four workers and eight job processes take 2.5 GiB; one user needs none of them.
SERVER_ENVIRONMENT = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}


@contextlib.contextmanager
def serve(store: Path, port: int | None = None) -> Iterator[str]:
    """Serve ``store`` on the loopback interface: yield the address, and stop all of the server on leaving.

    Args:
        store: The folder of a local store.
        port: By default 5000, or a free one if that is taken.

    Raises:
        BadInput: The store or the port cannot be used.
        DualGANError: The server does not start; the message has the last line of its log.
    """
    if not (store / "mlflow.db").is_file():
        raise BadInput(f"{store}: nothing tracked yet; `make run` first")
    address = f"http://{HOST}:{_choose_port(port)}"
    set_up(store / "mlflow.db")
    log = store / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            _command(store, address),
            env={**os.environ, **SERVER_ENVIRONMENT},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_it_answers(process, address, log)
        yield address
    finally:
        _stop(process)


def newest_comparison(store: Path, address: str) -> str | None:
    """Return the page that compares the legs of the newest pipeline run in ``store``, None if there is none."""
    client = connect(store_uri(store))
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(
        experiments, "tags.role = 'pipeline'", order_by=["attributes.start_time DESC"], max_results=1
    )
    return _page(client, address, runs[0].info.experiment_id, runs[0].data.tags["pipeline_run_id"]) if runs else None


def _page(client: MlflowClient, address: str, experiment_id: str, pipeline_run_id: str) -> str:
    if has_view(client, experiment_id, pipeline_run_id):
        return view_url(address, experiment_id, view_key(pipeline_run_id))
    return comparison_url(address, experiment_id, pipeline_run_id)


def _command(store: Path, address: str) -> list[str]:
    port = address.rpartition(":")[2]
    artifacts = store.resolve() / "artifacts"
    return [
        *(sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", HOST, "--port", port),
        *("--allowed-hosts", ALLOWED_HOSTS),
        # An experiment made through this server stays usable without it: its artifacts have file URIs too.
        *("--default-artifact-root", artifacts.as_uri()),
        *(
            "--backend-store-uri",
            store_uri(store),
            "--artifacts-destination",
            str(artifacts),
        ),
    ]


def _choose_port(port: int | None) -> int:
    for wanted in [port] if port is not None else [DEFAULT_PORT, 0]:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((HOST, wanted))
                return int(probe.getsockname()[1])
    raise BadInput(f"port {port} of {HOST} is taken; choose another --port or leave it out")


def _wait_until_it_answers(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while process.poll() is None and time.monotonic() < deadline:
        with (
            contextlib.suppress(urllib.error.URLError, OSError),
            urllib.request.urlopen(f"{address}/health", timeout=5),
        ):
            return
        time.sleep(0.2)
    lines = log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
    raise DualGANError(f"the MLflow server did not start: {lines[-1]} (all of it: {log})")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server and its workers: they are a process group of their own."""
    for kind in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, kind)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(SECONDS_TO_STOP)
