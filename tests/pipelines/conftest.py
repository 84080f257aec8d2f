"""A KFP server and an MLflow store for what the command line does with a cluster."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from components.tracking.store import connect, store_uri
from parity.cli import main
from pipelines import kfp_endpoint, package
from pipelines.profile import Profile, load_profile
from tests.pipelines.kfp_server import KfpServer, running_kfp

if TYPE_CHECKING:
    # Kubernetes' client takes a second to import.
    from pipelines.doctor.checks import Check
    from pipelines.doctor.needs import Needs
    from tests.pipelines.doctor.fake_kubernetes import FakeKubernetes


@pytest.fixture
def kfp(monkeypatch: pytest.MonkeyPatch) -> Iterator[KfpServer]:
    others = (
        kfp_endpoint.NAMESPACE_VARIABLE,
        kfp_endpoint.TOKEN_FILE_VARIABLE,
        kfp_endpoint.TOKEN_VARIABLE,
        kfp_endpoint.COOKIES_VARIABLE,
    )
    for name in (*kfp_endpoint.ENDPOINT_VARIABLES, *kfp_endpoint.CA_VARIABLES, *others):
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


@pytest.fixture(scope="session")
def needs() -> "Needs":
    from pipelines.doctor.needs import needs_of

    return needs_of(load_profile("ascend910-vs-gpu"))


@pytest.fixture
def cluster(needs: "Needs", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator["FakeKubernetes"]:
    """A healthy cluster, which KUBECONFIG names; a test breaks it before it looks."""
    from tests.pipelines.doctor.fake_kubernetes import serve
    from tests.pipelines.doctor.healthy import healthy_cluster

    fake = healthy_cluster(needs)
    with serve(fake, tmp_path) as kubeconfig:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        for name in ("KFP_ENDPOINT", "MLFLOW_TRACKING_URI"):
            monkeypatch.delenv(name, raising=False)
        yield fake


@pytest.fixture
def look(cluster: "FakeKubernetes", needs: "Needs") -> Callable[..., dict[str, "Check"]]:
    """What the doctor says, by subject. Takes fields of Examination."""
    from pipelines.doctor.checks import check_all
    from pipelines.doctor.cluster import Cluster, Examination

    def look(**place: Any) -> dict[str, "Check"]:
        at = Examination(Cluster(), needs, "kubeflow", "kubeflow", "dualgan-parity", "pipeline-runner")
        checks = list(check_all(replace(at, **place)))
        assert len({check.subject for check in checks}) == len(checks), "nothing is listed twice"
        return {check.subject: check for check in checks}

    return look
