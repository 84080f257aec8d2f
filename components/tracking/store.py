"""Where tracking data goes: the local store under the working tree, or the server that the user names."""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

WORKING_TREE = Path(__file__).resolve().parents[2]

# MLflow's own defaults let one call wait minutes for a server that is down, and print addresses of runs and bars.
CLIENT_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def local_store(root: Path = WORKING_TREE) -> Path:
    """The folder of the local store: ``mlflow.db`` and ``artifacts/``."""
    return root / ".local" / "mlflow"


def store_uri(store: Path) -> str:
    return f"sqlite:///{store.resolve() / 'mlflow.db'}"


def local_tracking_uri(root: Path = WORKING_TREE) -> str:
    return store_uri(local_store(root))


def resolve_tracking_uri(explicit: str | None = None) -> str:
    """``explicit``, else MLFLOW_TRACKING_URI, else the local store."""
    return explicit or os.environ.get("MLFLOW_TRACKING_URI") or local_tracking_uri()


def database_of(tracking_uri: str) -> Path | None:
    """The file of a SQLite URI, None for any other."""
    prefix = "sqlite:///"
    return Path(tracking_uri.removeprefix(prefix)) if tracking_uri.startswith(prefix) else None


def artifact_location(tracking_uri: str) -> str | None:
    """Where a new experiment keeps its artifacts: beside a SQLite file; None leaves it to the server."""
    database = database_of(tracking_uri)
    return (database.resolve().parent / "artifacts").as_uri() if database else None


def has_password(tracking_uri: str) -> bool:
    return urlsplit(tracking_uri).password is not None


def connect(tracking_uri: str) -> "MlflowClient":
    """A client whose calls give up after seconds; creates the folder of a SQLite file, sends nothing."""
    for name, value in CLIENT_SETTINGS.items():
        os.environ.setdefault(name, value)
    # Imported late: it takes seconds and 70 MB, and a process that only says where things go needs neither.
    from mlflow.tracking import MlflowClient

    database = database_of(tracking_uri)
    if database:
        database.parent.mkdir(parents=True, exist_ok=True)
    # Setting up a new file's tables, and every attempt at a database that is down, is told on the user's terminal.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.ERROR)
    return MlflowClient(tracking_uri=tracking_uri)
