"""What the overlays make is what `parity doctor --cluster` looks for."""

import copy
import json
from pathlib import Path

import pytest

from parity.cli import main
from pipelines.doctor.needs import needs_of
from pipelines.profile import load_profile
from tests.manifests.rendered import example_secrets, rendered, runs_namespace
from tests.pipelines.doctor.fake_kubernetes import GROUPS, FakeKubernetes, Object, serve
from tests.pipelines.doctor.healthy import healthy_cluster, made, secret

pytestmark = pytest.mark.system("kubectl")
PROFILE = "ascend910-vs-gpu"
OF_KFP = {"ml-pipeline", "kfp-api-server-config", "ascend-device-plugin-daemonset", "kubeflow"}
OF_KFP |= {"workflow-controller-configmap", "pipeline-install-config"}


def _cluster(rendering: str) -> FakeKubernetes:
    """A cluster with KFP and nodes, to which an overlay or site and the filled example have been applied."""
    runs = runs_namespace(rendering)
    fake = healthy_cluster(needs_of(load_profile(PROFILE)))
    # The profile controller makes a namespace, and these two in it.
    of_profile = {"kfp-launcher", "mlpipeline-minio-artifact"} if runs != "kubeflow" else set()
    fake.objects = [
        one for one in fake.objects if one["kind"] == "Node" or one["metadata"]["name"] in OF_KFP | of_profile
    ]
    for one in fake.objects:
        if one["metadata"]["name"] in of_profile:
            one["metadata"]["namespace"] = runs
    namespace = made("Namespace", runs)
    namespace["metadata"]["labels"] = {"app.kubernetes.io/part-of": "kubeflow-profile"}
    fake.objects += [namespace, *(copy.deepcopy(one) for one in rendered(rendering) if one["kind"] in GROUPS)]
    fake.objects += [secret(*place, keys) for place, keys in example_secrets(runs).items()]
    fake.rights |= {("default-editor", verb, what) for _, verb, what in fake.rights}
    return fake


def _unmet(cluster: FakeKubernetes, folder: Path, capsys: pytest.CaptureFixture[str], namespace: str) -> list[Object]:
    with pytest.MonkeyPatch.context() as patch, serve(cluster, folder) as kubeconfig:
        patch.setenv("KUBECONFIG", str(kubeconfig))
        for name in ("KFP_ENDPOINT", "MLFLOW_TRACKING_URI"):
            patch.delenv(name, raising=False)
        code = main(["doctor", "--cluster", "--json", "--profile", PROFILE, "--namespace", namespace])
    checks: list[Object] = json.loads(capsys.readouterr().out)["checks"]
    unmet = [check for check in checks if check["required"] and check["status"] != "ok"]
    assert code == (1 if unmet else 0)
    return unmet


@pytest.mark.parametrize("rendering", [PROFILE, "a-team"])
def test_unchanged_it_lacks_the_addresses_alone(
    rendering: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster, runs = _cluster(rendering), runs_namespace(rendering)
    unmet = _unmet(cluster, tmp_path, capsys, runs)
    # Of a team, KFP's object store is the profile controller's.
    wanted = {f"configMap {runs}/dualgan-parity", *({"KFP's object store"} if runs == "kubeflow" else set())}
    assert {check["subject"] for check in unmet} == wanted
    assert all("is the example's" in check["detail"] for check in unmet)
    for one in cluster.objects:
        if one["kind"] == "ConfigMap":
            one["data"] = {key: value.replace(".example", ".my-company.net") for key, value in one["data"].items()}
    assert _unmet(cluster, tmp_path, capsys, runs) == []
