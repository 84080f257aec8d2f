"""What the overlays make is what `parity doctor --cluster` looks for."""

import base64
import copy
import json
from pathlib import Path

import pytest

from parity.cli import main
from pipelines.doctor.needs import needs_of
from pipelines.profile import load_profile
from tests.manifests.rendered import example_secrets, rendered, runs_namespace
from tests.pipelines.doctor.fake_kubernetes import COLLECTIONS, FakeKubernetes, Object, serve
from tests.pipelines.doctor.healthy import healthy_cluster

pytestmark = pytest.mark.system("kubectl")
PROFILE = "ascend910-vs-gpu"


def _cluster(rendering: str) -> FakeKubernetes:
    """A cluster with KFP and nodes, to which an overlay or site and the filled example have been applied."""
    runs = runs_namespace(rendering)
    fake = healthy_cluster(needs_of(load_profile(PROFILE)))
    kfp = {"ml-pipeline", "kfp-api-server-config", "ascend-device-plugin-daemonset", "kubeflow"}
    kfp |= {"workflow-controller-configmap"}
    # The profile controller makes a namespace, and these two in it.
    by_controller = {"kfp-launcher", "mlpipeline-minio-artifact"} if runs != "kubeflow" else set()
    made = [one for one in fake.objects if one["metadata"]["name"] in by_controller]
    fake.objects = [one for one in fake.objects if one["kind"] == "Node" or one["metadata"]["name"] in kfp]
    for one in made:
        one["metadata"]["namespace"] = runs
    fake.objects += [{"kind": "Namespace", "metadata": {"name": runs}}, *made]
    fake.objects += [copy.deepcopy(one) for one in rendered(rendering) if one["kind"] in COLLECTIONS]
    for (namespace, name), keys in example_secrets(runs).items():
        data = dict.fromkeys(keys, base64.b64encode(b"filled").decode())
        fake.objects.append({"kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "data": data})
    return fake


def _unmet(
    cluster: FakeKubernetes, folder: Path, capsys: pytest.CaptureFixture[str], namespace: str = "kubeflow"
) -> list[Object]:
    with pytest.MonkeyPatch.context() as patch, serve(cluster, folder) as kubeconfig:
        patch.setenv("KUBECONFIG", str(kubeconfig))
        for name in ("KFP_ENDPOINT", "MLFLOW_TRACKING_URI"):
            patch.delenv(name, raising=False)
        code = main(["doctor", "--cluster", "--json", "--profile", PROFILE, "--namespace", namespace])
    checks: list[Object] = json.loads(capsys.readouterr().out)["checks"]
    unmet = [check for check in checks if check["required"] and check["status"] != "ok"]
    assert code == (1 if unmet else 0)
    return unmet


def test_unchanged_it_lacks_the_addresses_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unmet = _unmet(_cluster(PROFILE), tmp_path, capsys)
    assert {check["subject"] for check in unmet} == {
        "KFP's object store",
        "config map kubeflow/dualgan-parity",
    }
    assert all("is the example's" in check["detail"] for check in unmet)


@pytest.mark.parametrize("rendering", [PROFILE, "a-team"])
def test_with_addresses_of_its_own_a_site_is_ready(
    rendering: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster, runs = _cluster(rendering), runs_namespace(rendering)
    if runs != "kubeflow":
        cluster.rights |= {("default-editor", verb, what) for _, verb, what in cluster.rights}
    for one in cluster.objects:
        if one["kind"] == "ConfigMap":
            one["data"] = {key: value.replace(".example", ".my-company.net") for key, value in one["data"].items()}
    assert _unmet(cluster, tmp_path, capsys, runs) == []
