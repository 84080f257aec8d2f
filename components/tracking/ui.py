"""MLflow's user interface: serve the local store with few processes; addresses of its pages."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

from components.common.address import Address
from components.tracking.runs import leg_filter
from components.tracking.store import set_up, store_uri
from dualgan.errors import BadInput, DualGANError

HOST = "127.0.0.1"
DEFAULT_PORT = 5000
SECONDS_TO_START = 180.0
SECONDS_TO_STOP = 10.0

# Also through a tunnel, which has a port of its own; whatever MLFLOW_SERVER_ALLOWED_HOSTS says for other servers.
ALLOWED_HOSTS = "localhost,localhost:*,127.0.0.1,127.0.0.1:*"
# Four workers and eight job processes take 2.5 GiB; one user needs none of them.
SERVER_ENVIRONMENT = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}

# Without it MLflow opens its page for language models.
WORKFLOW = {"workflowType": "machine_learning"}
# Sorted by time, the default, the page folds the legs into their pipeline run and draws only that.
FLAT_ORDER_KEY = "tags.`mlflow.runName`"


@contextlib.contextmanager
def serve(store: Path, port: int | None = None) -> Iterator[str]:
    """Serve a local store's folder on the loopback interface: yield the address, and stop all of the server on leaving.

    The port is by default 5000, or a free one if that is taken. Raises BadInput if store or port cannot be used, and
    DualGANError, with the last line of its log, if the server does not start.
    """
    if not (store / "mlflow.db").is_file():
        raise BadInput(f"{store}: nothing tracked yet; `make run` first")
    chosen = _choose_port(port)
    address = f"http://{HOST}:{chosen}"
    set_up(store / "mlflow.db")
    artifacts, log = store.resolve() / "artifacts", store / "server.log"
    # An experiment made through this server stays usable without it: its artifacts have file URIs too.
    options = {
        "--workers": "1",
        "--host": HOST,
        "--port": str(chosen),
        "--allowed-hosts": ALLOWED_HOSTS,
        "--default-artifact-root": artifacts.as_uri(),
        "--backend-store-uri": store_uri(store),
        "--artifacts-destination": str(artifacts),
    }
    command = [sys.executable, "-m", "mlflow", "server", *(part for option in options.items() for part in option)]
    with log.open("wb") as output:
        environment = {**os.environ, **SERVER_ENVIRONMENT}
        # A process group of its own, with its workers.
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
    try:
        _wait_until_it_answers(process, address, log)
        yield address
    finally:
        for kind in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, kind)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(SECONDS_TO_STOP)


def _choose_port(port: int | None) -> int:
    for wanted in [port] if port is not None else [DEFAULT_PORT, 0]:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, wanted))
            return int(probe.getsockname()[1])
    raise BadInput(f"port {port} of {HOST} is taken; choose another --port or leave it out")


def _wait_until_it_answers(process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=5):
            return
        time.sleep(0.2)
    lines = log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
    raise DualGANError(f"the MLflow server did not start: {lines[-1]} (all of it: {log})")


def ui_address(tracking_uri: Address | str) -> str | None:
    """Return the address of the server's user interface, None if the URI is no server's."""
    address = Address(tracking_uri)
    return str(address).rstrip("/") if address.is_http else None


def comparison_url(ui: str, experiment_id: str, pipeline_run_id: str) -> str:
    """Return the page with the charts and images of all legs of one pipeline run."""
    order = {"orderByKey": FLAT_ORDER_KEY, "orderByAsc": "true"}
    parameters = {**WORKFLOW, "compareRunsMode": "CHART", "searchFilter": leg_filter(pipeline_run_id), **order}
    return f"{ui}/#/experiments/{experiment_id}/runs?{urlencode(parameters, quote_via=quote)}"


def view_url(ui: str, experiment_id: str, view_key: str) -> str:
    """Return the page of an experiment's saved view (see comparison_view)."""
    parameters = {"viewStateShareKey": view_key, **WORKFLOW, "compareRunsMode": "CHART"}
    return f"{ui}/#/experiments/{experiment_id}/runs?{urlencode(parameters)}"


def run_url(ui: str, experiment_id: str, run_id: str) -> str:
    """Return the page of a run."""
    return f"{ui}/#/experiments/{experiment_id}/runs/{run_id}?{urlencode(WORKFLOW)}"


def model_url(ui: str, name: str, version: str) -> str:
    """Return the page of a version of a registered model."""
    return f"{ui}/#/models/{quote(name, safe='')}/versions/{version}"
