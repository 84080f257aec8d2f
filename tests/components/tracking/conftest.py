import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from components.tracking.store import connect, store_uri
from components.tracking.ui import serve
from tests.components.tracking.servers import LoginServer, login_server
from tests.services import free_port


@pytest.fixture(autouse=True)
def no_tracking_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    # No retries: a server that is down says so at once.
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with MLflow's tables; to set them up takes seconds, to copy it none."""
    store = tmp_path_factory.mktemp("database")
    connect(store_uri(store)).search_experiments()
    return store / "mlflow.db"


@pytest.fixture(scope="session")
def shared_store(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Path:
    """The store of the server. Its experiment "shapes" keeps artifacts as one that any MLflow server made."""
    store = tmp_path_factory.mktemp("store")
    shutil.copy(database, store)
    connect(store_uri(store)).create_experiment("shapes", artifact_location="mlflow-artifacts:/shapes")
    return store


@pytest.fixture
def store(tmp_path: Path, database: Path) -> Path:
    """A local store of one test alone, empty."""
    folder = tmp_path / "store"
    folder.mkdir()
    shutil.copy(database, folder)
    return folder


@pytest.fixture(scope="session")
def server(shared_store: Path) -> Iterator[str]:
    """The address of a real MLflow server, the same that `ui` starts."""
    with serve(shared_store, free_port()) as address:
        yield address


@pytest.fixture
def client(server: str) -> MlflowClient:
    return connect(server)


@pytest.fixture(scope="session")
def direct_client(shared_store: Path) -> MlflowClient:
    """A client of the server's SQLite file, past the server."""
    return connect(store_uri(shared_store))


@pytest.fixture(scope="session")
def with_login(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Iterator[LoginServer]:
    """A real MLflow server with accounts."""
    store = tmp_path_factory.mktemp("with-login")
    shutil.copy(database, store)
    with login_server(store) as found:
        yield found
