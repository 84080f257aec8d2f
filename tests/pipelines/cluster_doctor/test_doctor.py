"""`python -m pipelines doctor --cluster`, asked of an API server that the test fills."""

import json
from pathlib import Path

import pytest
import yaml

from pipelines.__main__ import main
from pipelines.cluster_doctor.checks import SECRETS_OF_MLFLOW, SECRETS_OF_RUNS
from pipelines.cluster_doctor.needs import Needs
from tests.pipelines.cluster_doctor.conftest import Look
from tests.pipelines.cluster_doctor.fake_kubernetes import REVIEWS, FakeKubernetes, Object, kubeconfig
from tests.pipelines.cluster_doctor.healthy import device_plugin

EXAMPLE = Path(__file__).resolve().parents[3] / "manifests" / "secrets.example.yaml"
ASCEND = "huawei.com/Ascend910"


def test_a_healthy_cluster_is_ready_and_is_left_as_it_was(
    cluster: FakeKubernetes, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--cluster"]) == 0
    output = capsys.readouterr().out
    assert output.startswith("Kubernetes v1.32.4, profile ascend910-vs-gpu\n")
    assert "\nready: all " in output and "missing" not in output
    # What no API knows is said to be so, and asks for nothing.
    assert "cannot tell  Ascend Docker Runtime: " in output
    assert {request for request in cluster.asked if not request.startswith("GET ")} == {f"POST {REVIEWS}"}


def test_as_json(cluster: FakeKubernetes, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.remove("Secret", "kfp-mlflow-credentials")
    assert main(["doctor", "--cluster", "--json"]) == 1
    result = json.loads(capsys.readouterr().out)
    assert result["ready"] is False and result["kubernetes"] == "v1.32.4"
    (unmet,) = [check for check in result["checks"] if check["required"] and check["status"] != "ok"]
    assert unmet["subject"] == "secret kubeflow/kfp-mlflow-credentials"
    assert unmet["status"] == "missing" and "secrets.example.yaml" in unmet["advice"]


def test_what_is_missing_is_counted_and_says_what_to_do(
    cluster: FakeKubernetes, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.remove("Deployment", "mlflow")
    assert main(["doctor", "--cluster"]) == 1
    lines = capsys.readouterr().out.splitlines()
    place = lines.index("missing      MLflow: no deployment mlflow in dualgan-parity")
    assert lines[place + 1].strip() == "-> kubectl apply -k manifests/overlays/..."
    assert lines[-1].startswith("1 of ") and lines[-1].endswith(" requirements are not met")


def _server(cluster: FakeKubernetes) -> Object:
    container: Object = cluster.find("Deployment", "ml-pipeline")["spec"]["template"]["spec"]["containers"][0]
    return container


def _ascend_node(cluster: FakeKubernetes) -> Object:
    (node,) = [one for one in cluster.objects if one["kind"] == "Node" and ASCEND in one["status"]["allocatable"]]
    return node


@pytest.fixture
def ascend_subject(needs: Needs) -> str:
    (need,) = [need for need in needs.nodes if ASCEND in need.accelerators]
    return f"node for {', '.join(need.tasks)}"


def test_a_node_for_ascend_is_named(look: Look, cluster: FakeKubernetes, ascend_subject: str) -> None:
    check = look()[ascend_subject]
    assert check.status == "ok" and _ascend_node(cluster)["metadata"]["name"] in check.detail


@pytest.mark.parametrize(
    ("what", "detail", "advice"),
    [
        ("offers none", f"nodes offers 1 of {ASCEND}", "install the Ascend device plugin"),
        ("other label", "kubernetes.io/arch=amd64", "kubectl label node"),
        ("foreign taint", "closed by maintenance=soon:NoExecute", "tolerations"),
        ("not ready", "is ready", "kubectl describe node"),
        ("little memory", "bytes of memory", "less cpu or memory"),
    ],
)
def test_the_first_wish_that_no_node_meets_is_said(
    look: Look, cluster: FakeKubernetes, ascend_subject: str, what: str, detail: str, advice: str
) -> None:
    node = _ascend_node(cluster)
    if what == "offers none":
        node["status"]["allocatable"][ASCEND] = "0"
    elif what == "other label":
        node["metadata"]["labels"]["kubernetes.io/arch"] = "amd64"
    elif what == "foreign taint":
        node["spec"]["taints"].append({"key": "maintenance", "value": "soon", "effect": "NoExecute"})
    elif what == "not ready":
        node["status"]["conditions"][0]["status"] = "Unknown"
    else:
        node["status"]["allocatable"]["memory"] = "8Gi"
    check = look()[ascend_subject]
    assert check.status == "missing" and check.required
    assert detail in check.detail and advice in check.advice


def test_a_taint_that_only_asks_to_stay_away_closes_no_node(
    look: Look, cluster: FakeKubernetes, ascend_subject: str
) -> None:
    taint = {"key": "busy", "effect": "PreferNoSchedule"}
    _ascend_node(cluster)["spec"]["taints"].append(taint)
    assert look()[ascend_subject].status == "ok"


@pytest.mark.parametrize(
    ("flags", "subject", "status", "detail"),
    [
        (["-volcanoType=true"], "Ascend device plugin", "missing", "Volcano"),
        (["-useAscendDocker=false"], "Ascend Docker Runtime", "missing", "lack the driver"),
        ([], "Ascend device plugin", "ok", "Kubernetes' own scheduler"),
    ],
)
def test_the_mode_of_the_ascend_device_plugin_is_read(
    look: Look, cluster: FakeKubernetes, flags: list[str], subject: str, status: str, detail: str
) -> None:
    cluster.remove("DaemonSet", "ascend-device-plugin-daemonset")
    cluster.objects.append(device_plugin(*flags))
    check = look()[subject]
    assert check.status == status and detail in check.detail


@pytest.mark.parametrize(
    ("image", "status"),
    [
        ("ghcr.io/kubeflow/kfp-api-server:2.17.0", "ok"),
        ("ghcr.io/kubeflow/kfp-api-server:v2.20.1-rc1", "ok"),
        ("ghcr.io/kubeflow/kfp-api-server:2.16.1", "missing"),
        ("registry:5000/kfp-api-server@sha256:0f", "cannot tell"),
    ],
)
def test_kfp_must_be_new_enough(look: Look, cluster: FakeKubernetes, image: str, status: str) -> None:
    _server(cluster)["image"] = image
    assert look()["KFP version"].status == status


def test_an_old_launcher_matters_where_nodes_are_arm64(look: Look, cluster: FakeKubernetes) -> None:
    _server(cluster)["env"] = [{"name": "V2_LAUNCHER_IMAGE", "value": "ghcr.io/kubeflow/kfp-launcher:2.16.0"}]
    assert look()["KFP launcher for arm64"].status == "missing"
    for one in cluster.objects:
        if one["kind"] == "Node":
            one["metadata"]["labels"]["kubernetes.io/arch"] = "amd64"
    assert "KFP launcher for arm64" not in look()


def test_kfp_may_be_in_another_namespace_than_runs(cluster: FakeKubernetes, capsys: pytest.CaptureFixture[str]) -> None:
    for one in cluster.objects:
        of_kfp = one["metadata"]["name"] in {"ml-pipeline", "kfp-api-server-config"}
        if one["metadata"].get("namespace") == "kubeflow" and not of_kfp:
            one["metadata"]["namespace"] = "team"
    cluster.objects.append({"kind": "Namespace", "metadata": {"name": "team"}})
    cluster.health = {"multi_user": True}
    cluster.rights |= {("default-editor", "get", "secrets"), ("default-editor", "get", "configmaps")} | {
        ("dualgan-parity-retrain", verb, kind) for verb in ("create", "list") for kind in ("runs", "experiments")
    }
    assert main(["doctor", "--cluster", "--namespace", "team", "--service-account", "default-editor"]) == 0
    assert "answers; for many users" in capsys.readouterr().out


def test_kfps_api_must_answer(look: Look, cluster: FakeKubernetes) -> None:
    cluster.health = None
    assert look()["KFP API"].status == "missing"


@pytest.mark.parametrize(
    ("config", "status", "required", "detail"),
    [
        ('{"plugins": {}}', "missing", False, "does not set it"),
        ('{"plugins": {"mlflow": {"endpoint": "https://mlflow.opendatahub:8443"}}}', "missing", True, "opendatahub"),
        ("no JSON", "missing", True, "not what KFP reads"),
        ('{"plugins": ["mlflow"]}', "missing", True, "not what KFP reads"),
    ],
)
def test_kfps_mlflow_plugin_must_not_ask_another_server(
    look: Look, cluster: FakeKubernetes, config: str, status: str, required: bool, detail: str
) -> None:
    cluster.find("ConfigMap", "kfp-api-server-config")["data"]["config.json"] = config
    check = look()["KFP's MLflow plugin"]
    assert (check.status, check.required) == (status, required) and detail in check.detail


def test_settings_inside_kfps_image_cannot_be_told(look: Look, cluster: FakeKubernetes) -> None:
    _server(cluster)["volumeMounts"] = []
    check = look()["KFP's MLflow plugin"]
    assert check.status == "cannot tell" and not check.required


@pytest.mark.parametrize("value", ["", "ICAK", None])
def test_an_empty_secret_is_missing(look: Look, cluster: FakeKubernetes, value: str | None) -> None:
    data = cluster.find("Secret", "mlflow-admin")["data"]
    del data["flask-secret-key"]
    if value is not None:
        data["flask-secret-key"] = value
    check = look()["secret dualgan-parity/mlflow-admin"]
    assert check.status == "missing" and check.detail == "nothing in flask-secret-key"


def test_the_secrets_of_kfps_object_store_are_looked_at(look: Look, cluster: FakeKubernetes) -> None:
    cluster.remove("Secret", "mlpipeline-minio-artifact")
    assert look()["secret kubeflow/mlpipeline-minio-artifact"].status == "missing"


@pytest.mark.parametrize(
    ("name", "key", "value", "subject"),
    [
        ("kfp-launcher", "defaultPipelineRoot", "s3://dualgan-parity.example/kfp", "KFP's object store"),
        ("dualgan-parity", "AWS_ENDPOINT_URL", "https://s3.example", "config map kubeflow/dualgan-parity"),
        ("mlflow-abc", "PGHOST", "postgresql.example", "MLflow's storage"),
    ],
)
def test_an_address_of_the_example_that_was_left_is_said(
    look: Look, cluster: FakeKubernetes, name: str, key: str, value: str, subject: str
) -> None:
    cluster.find("ConfigMap", name)["data"][key] = value
    check = look()[subject]
    assert check.status == "missing" and f"{value.partition('.example')[0]}.example" in check.detail


def test_what_one_may_not_see_is_no_reason_to_be_ready(
    cluster: FakeKubernetes, look: Look, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.forbidden = {"/nodes", "/secrets/"}
    lines = look()
    assert lines["accelerator pools"].status == lines["launcher for arm64"].status == "cannot tell"
    assert lines["KFP API"].status == lines["priority of runs"].status == "ok"
    assert lines["secret kubeflow/dualgan-parity-s3"].detail == "you may not read secrets of kubeflow"
    # Others are looked at all the same.
    assert lines["MLflow"].status == "ok"
    assert main(["doctor", "--cluster"]) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_rights_of_tasks_and_where_kfp_has_many_users_of_the_retrain_job(look: Look, cluster: FakeKubernetes) -> None:
    assert look()["rights of kubeflow/pipeline-runner"].status == "ok"
    cluster.rights -= {("pipeline-runner", "get", "secrets"), ("ml-pipeline", "get", "secrets")}
    cluster.health = {"multi_user": True}
    lines = look()
    assert lines["rights of kubeflow/pipeline-runner"].detail == "in kubeflow it may not get secrets"
    assert lines["rights of kubeflow/ml-pipeline"].detail.endswith("get secrets kfp-mlflow-credentials")
    assert "create runs" in lines["rights of kubeflow/dualgan-parity-retrain"].detail


def test_a_quota_below_what_a_task_asks_for_is_missing_and_none_is_optional(
    look: Look, cluster: FakeKubernetes
) -> None:
    hard = cluster.find("ResourceQuota", "pool")["spec"]["hard"]
    hard[f"requests.{ASCEND}"] = "0"
    check = look()[f"quota of {ASCEND}"]
    assert check.status == "missing" and check.required
    del hard[f"requests.{ASCEND}"]
    check = look()[f"quota of {ASCEND}"]
    assert check.status == "missing" and not check.required


def test_a_priority_class_that_kfp_gives_and_nobody_made_stops_every_run(look: Look, cluster: FakeKubernetes) -> None:
    cluster.remove("PriorityClass", "dualgan-parity-training")
    check = look()["priority of runs"]
    assert check.status == "missing" and check.required


@pytest.mark.parametrize("patch", ["no JSON", "[]", '{"podPriorityClassName": 3}'])
def test_a_patch_of_workflows_that_kfp_cannot_read_is_missing(look: Look, cluster: FakeKubernetes, patch: str) -> None:
    _server(cluster)["env"] = [{"name": "COMPILED_PIPELINE_SPEC_PATCH", "value": patch}]
    assert "no JSON object" in look()["priority of runs"].detail


@pytest.mark.parametrize("providers", ["minio: [", "- minio", "minio: {default: {credentials: {secretRef: {}}}}"])
def test_providers_that_kfp_cannot_read_are_missing(look: Look, cluster: FakeKubernetes, providers: str) -> None:
    cluster.find("ConfigMap", "kfp-launcher")["data"]["providers"] = providers
    check = look()["KFP's object store"]
    assert check.status == "missing" and "providers" in check.detail


@pytest.mark.parametrize("gone", [True, False])
def test_a_schedule_that_never_fires_is_said(look: Look, cluster: FakeKubernetes, gone: bool) -> None:
    if gone:
        cluster.remove("CronJob", "dualgan-parity-retrain")
    else:
        cluster.find("CronJob", "dualgan-parity-retrain")["spec"]["suspend"] = True
    check = look()["schedule of retrains"]
    assert check.status == "missing" and not check.required


def test_a_volume_that_nothing_fills_is_missing(look: Look, cluster: FakeKubernetes) -> None:
    cluster.find("PersistentVolumeClaim", "data-postgresql-0")["status"]["phase"] = "Pending"
    assert look()["volume data-postgresql-0"].status == "missing"


def test_the_secrets_that_are_looked_for_are_those_of_the_example() -> None:
    example: dict[str, dict[str, frozenset[str]]] = {"kubeflow": {}, "dualgan-parity": {}}
    for secret in yaml.safe_load_all(EXAMPLE.read_text()):
        example[secret["metadata"]["namespace"]][secret["metadata"]["name"]] = frozenset(secret["stringData"])
    assert example == {"kubeflow": SECRETS_OF_RUNS, "dualgan-parity": SECRETS_OF_MLFLOW}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["doctor"], "--cluster"),
        (["doctor", "--cluster", "--context", "nowhere"], "nowhere"),
        (["doctor", "--cluster", "--profile", "nothing"], "profile nothing: unknown"),
    ],
)
def test_wrong_input_is_one_line(
    cluster: FakeKubernetes, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and message in error


def test_a_cluster_that_does_not_answer_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Port 9 discards; nothing listens to it.
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, "http://127.0.0.1:9")))
    assert main(["doctor", "--cluster"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: no answer from the cluster at http://127.0.0.1:9: ") and error.count("\n") == 1


def test_an_expired_token_is_one_line(cluster: FakeKubernetes, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.token = "another"
    assert main(["doctor", "--cluster"]) == 1
    assert capsys.readouterr().err == "error: the cluster does not accept these credentials; log in again\n"


@pytest.mark.parametrize("version", [{"hello": "world"}, None])
def test_a_server_that_is_no_kubernetes_is_one_line(
    cluster: FakeKubernetes, capsys: pytest.CaptureFixture[str], version: Object | None
) -> None:
    cluster.version = version
    assert main(["doctor", "--cluster"]) == 1
    error = capsys.readouterr().err
    assert "is no Kubernetes API: asked for the version" in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No configuration found"),
        ("", "file is empty"),
        ("a: [", "while parsing a flow"),
        ("- 1\n", "it needs clusters, users and contexts"),
        ("\x00", "special characters are not allowed"),
        ("server: 127.0.0.1", "is no https:// address"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: str | None,
    message: str,
) -> None:
    path = tmp_path / "kubeconfig"
    if content and content.startswith("server: "):
        kubeconfig(tmp_path, content.partition(": ")[2])
    elif content is not None:
        path.write_text(content)
    monkeypatch.setenv("KUBECONFIG", str(path))
    assert main(["doctor", "--cluster"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: no cluster: ") and error.count("\n") == 1 and message in error
