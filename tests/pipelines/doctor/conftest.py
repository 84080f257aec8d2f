from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.doctor.check import Check, Examination, Place
from pipelines.doctor.checks import check_all
from pipelines.doctor.cluster import Cluster
from pipelines.doctor.needs import Needs, needs_of
from pipelines.profile import load_profile
from tests.pipelines.doctor.fake_kubernetes import FakeKubernetes, serve
from tests.pipelines.doctor.healthy import healthy_cluster

PLACE = Place("kubeflow", "kubeflow", "dualgan-parity", "pipeline-runner")
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
        for name in ("KFP_ENDPOINT", "MLFLOW_TRACKING_URI"):
            monkeypatch.delenv(name, raising=False)
        yield fake


@pytest.fixture
def look(cluster: FakeKubernetes, needs: Needs) -> Look:
    """What the doctor says, by subject; of several lines on one subject the last. Takes fields of Place."""

    def look(**place: str) -> dict[str, Check]:
        return {check.subject: check for check in check_all(Examination(Cluster(), replace(PLACE, **place), needs))}

    return look
