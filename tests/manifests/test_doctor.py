"""What the overlays make is what `parity doctor --cluster` looks for."""

import base64
import copy
import json
from pathlib import Path

import pytest

from parity.cli import main
from pipelines.doctor.needs import needs_of
from pipelines.profile import load_profile
from tests.manifests.rendered import example_secrets, rendered
from tests.pipelines.doctor.fake_kubernetes import COLLECTIONS, FakeKubernetes, Object, serve
from tests.pipelines.doctor.healthy import healthy_cluster

pytestmark = pytest.mark.system("kubectl")
OVERLAY = "ascend910-vs-gpu"


@pytest.fixture
def cluster() -> FakeKubernetes:
    """A cluster with KFP and nodes, to which the overlay and the filled example have been applied."""
    fake = healthy_cluster(needs_of(load_profile(OVERLAY)))
    kfp = {"ml-pipeline", "kfp-api-server-config", "ascend-device-plugin-daemonset", "kubeflow"}
    kfp |= {"workflow-controller-configmap"}
    fake.objects = [one for one in fake.objects if one["kind"] == "Node" or one["metadata"]["name"] in kfp]
    fake.objects += [copy.deepcopy(one) for one in rendered(OVERLAY) if one["kind"] in COLLECTIONS]
    for (namespace, name), keys in example_secrets().items():
        data = dict.fromkeys(keys, base64.b64encode(b"filled").decode())
        fake.objects.append({"kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "data": data})
    return fake


def _unmet(cluster: FakeKubernetes, folder: Path, capsys: pytest.CaptureFixture[str]) -> list[Object]:
    with pytest.MonkeyPatch.context() as patch, serve(cluster, folder) as kubeconfig:
        patch.setenv("KUBECONFIG", str(kubeconfig))
        for name in ("KFP_ENDPOINT", "MLFLOW_TRACKING_URI"):
            patch.delenv(name, raising=False)
        code = main(["doctor", "--cluster", "--json", "--profile", OVERLAY])
    checks: list[Object] = json.loads(capsys.readouterr().out)["checks"]
    unmet = [check for check in checks if check["required"] and check["status"] != "ok"]
    assert code == (1 if unmet else 0)
    return unmet


def test_unchanged_it_lacks_the_addresses_alone(
    cluster: FakeKubernetes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unmet = _unmet(cluster, tmp_path, capsys)
    assert {check["subject"] for check in unmet} == {
        "KFP's object store",
        "config map kubeflow/dualgan-parity",
    }
    assert all("is the example's" in check["detail"] for check in unmet)


def test_with_addresses_of_its_own_a_site_is_ready(
    cluster: FakeKubernetes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for one in cluster.objects:
        if one["kind"] == "ConfigMap":
            one["data"] = {key: value.replace(".example", ".my-company.net") for key, value in one["data"].items()}
    assert _unmet(cluster, tmp_path, capsys) == []
