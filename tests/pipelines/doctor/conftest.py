from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.doctor.checks import Check, check_all
from pipelines.doctor.cluster import Cluster, Examination
from pipelines.doctor.needs import Needs, needs_of
from pipelines.profile import load_profile
from tests.pipelines.doctor.fake_kubernetes import FakeKubernetes, serve
from tests.pipelines.doctor.healthy import healthy_cluster

Look = Callable[..., dict[str, Check]]


@pytest.fixture(scope="session")
def needs() -> Needs:
    return needs_of(load_profile("ascend910-vs-gpu"))


@pytest.fixture
def cluster(needs: Needs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKubernetes]:
    """A healthy cluster, which KUBECONFIG names; a test breaks it before it looks."""
    fake = healthy_cluster(needs)
    with serve(fake, tmp_path) as kubeconfig:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        for name in ("KFP_ENDPOINT", "MLFLOW_TRACKING_URI"):
            monkeypatch.delenv(name, raising=False)
        yield fake


@pytest.fixture
def look(cluster: FakeKubernetes, needs: Needs) -> Look:
    """What the doctor says, by subject. Takes fields of Examination."""

    def look(**place: str) -> dict[str, Check]:
        at = Examination(Cluster(), needs, "kubeflow", "kubeflow", "dualgan-parity", "pipeline-runner")
        checks = list(check_all(replace(at, **place)))
        assert len({check.subject for check in checks}) == len(checks), "nothing is listed twice"
        return {check.subject: check for check in checks}

    return look
