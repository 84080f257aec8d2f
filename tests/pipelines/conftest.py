"""A KFP server and an MLflow store for what the command line does with a cluster."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from components.tracking.store import connect, store_uri
from parity.cli import main
from pipelines import package
from pipelines.kfp_api import ENDPOINT_VARIABLES, NAMESPACE_VARIABLE, TOKEN_FILE_VARIABLE, TOKEN_VARIABLE
from pipelines.profile import Profile
from tests.pipelines.kfp_server import KfpServer, running_kfp


@pytest.fixture
def kfp(monkeypatch: pytest.MonkeyPatch) -> Iterator[KfpServer]:
    for name in (*ENDPOINT_VARIABLES, NAMESPACE_VARIABLE, TOKEN_FILE_VARIABLE, TOKEN_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    with running_kfp() as server:
        monkeypatch.setenv("KFP_ENDPOINT", server.url)
        # Proxies of a company's network have no part in it.
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield server


@pytest.fixture(scope="module")
def mlflow_store(tmp_path_factory: pytest.TempPathFactory) -> str:
    uri = store_uri(tmp_path_factory.mktemp("mlflow"))
    connect(uri).search_experiments()
    return uri


@pytest.fixture
def tracked(mlflow_store: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store)
    return mlflow_store


compiled = package.package_of
PACKAGES: dict[str, package.Package] = {}


def package_once(profile: Profile) -> package.Package:
    """``package_of``, which takes a second, asked once for each profile."""
    key = profile.model_dump_json()
    if key not in PACKAGES:
        PACKAGES[key] = compiled(profile)
    return PACKAGES[key]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """``parity``, which sleeps no real time between two looks or tries: exit code, stdout, stderr."""
    monkeypatch.setattr("pipelines.kfp_api.KfpApi.sleep", lambda *_: None)
    monkeypatch.setattr(package, "package_of", package_once)

    def command(*arguments: str | Path) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return command
