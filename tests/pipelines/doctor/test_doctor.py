"""`parity doctor --cluster`, asked of an API server that the test fills."""

import json
from pathlib import Path

import pytest
import yaml

from parity.cli import main
from pipelines.doctor.mlflow import SECRETS_OF_OURS
from pipelines.doctor.needs import Needs
from tests.pipelines.doctor.conftest import Look
from tests.pipelines.doctor.fake_kubernetes import (
    KFP_HEALTH,
    MLFLOW_HEALTH,
    REVIEWS,
    FakeKubernetes,
    Object,
    kubeconfig,
)
from tests.pipelines.doctor.healthy import device_plugin
from tests.pipelines.kfp_server import KfpServer

ROOT = Path(__file__).resolve().parents[3]
PATCH = ROOT / "manifests" / "kfp" / "workflow-controller-patch.yaml"
EXAMPLE = ROOT / "manifests" / "secrets.example.yaml"
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
    cluster.remove("Secret", "dualgan-parity-s3")
    assert main(["doctor", "--cluster"]) == 1
    lines = capsys.readouterr().out.splitlines()
    place = lines.index("missing      secret kubeflow/dualgan-parity-s3: it is not there")
    assert lines[place + 1].strip() == "-> fill it in and apply it: manifests/secrets.example.yaml"
    assert lines[-1].startswith("1 of ") and lines[-1].endswith(" requirements are not met")


def test_nothing_is_listed_twice(cluster: FakeKubernetes, capsys: pytest.CaptureFixture[str]) -> None:
    """KFP's object store may have the same keys as the tasks."""
    settings = cluster.find("ConfigMap", "kfp-launcher")["data"]
    settings["providers"] = (
        settings["providers"]
        .replace("mlpipeline-minio-artifact", "dualgan-parity-s3")
        .replace("accesskey", "AWS_ACCESS_KEY_ID")
        .replace("secretkey", "AWS_SECRET_ACCESS_KEY")
    )
    main(["doctor", "--cluster", "--json"])
    subjects = [check["subject"] for check in json.loads(capsys.readouterr().out)["checks"]]
    assert len(subjects) == len(set(subjects))


def test_a_cluster_whose_kfp_and_mlflow_are_somebody_elses_is_ready(
    cluster: FakeKubernetes, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither is ours: other names, no priority class, no schedule, KFP's own store, no word on retries."""
    for kind, name in (
        ("Deployment", "mlflow"),
        ("CronJob", "dualgan-parity-retrain"),
        ("PriorityClass", "dualgan-parity-training"),
        ("ResourceQuota", "pool"),
        ("ConfigMap", "kfp-launcher"),
        ("ConfigMap", "kfp-api-server-config"),
        ("ConfigMap", "workflow-controller-configmap"),
        *(("Secret", name) for name in SECRETS_OF_OURS),
    ):
        cluster.remove(kind, name)
    server = cluster.find("Deployment", "ml-pipeline")
    server["metadata"]["name"] = "ds-pipeline-team"
    container = server["spec"]["template"]["spec"]["containers"][0]
    container["env"], container["volumeMounts"] = [], []
    cluster.find("Namespace", "dualgan-parity")["metadata"]["name"] = "tracking"
    cluster.find("ConfigMap", "dualgan-parity")["data"]["MLFLOW_TRACKING_URI"] = "http://flow.tracking.svc:80/ml"
    cluster.services[
        MLFLOW_HEALTH.replace("dualgan-parity", "tracking")
        .replace("mlflow:5000", "flow:80")
        .replace("/health", "/ml/health")
    ] = "OK"
    del cluster.services[MLFLOW_HEALTH]
    code, output = main(["doctor", "--cluster"]), capsys.readouterr().out
    assert code == 0, output
    assert output.splitlines()[-1].startswith("ready: all ")
    assert "ok           KFP version: 2.17.0" in output


def _server(cluster: FakeKubernetes) -> Object:
    container: Object = cluster.find("Deployment", "ml-pipeline")["spec"]["template"]["spec"]["containers"][0]
    return container


def _ascend_node(cluster: FakeKubernetes) -> Object:
    (node,) = [one for one in cluster.objects if one["kind"] == "Node" and ASCEND in one["status"]["allocatable"]]
    return node


@pytest.fixture
def ascend_subject(needs: Needs) -> str:
    (tasks,) = [tasks for need, tasks in needs.nodes.items() if ASCEND in need.accelerators]
    return f"node for {', '.join(tasks)}"


def test_a_node_for_ascend_is_named(look: Look, cluster: FakeKubernetes, ascend_subject: str) -> None:
    check = look()[ascend_subject]
    assert check.status == "ok" and _ascend_node(cluster)["metadata"]["name"] in check.detail


@pytest.mark.parametrize(
    ("what", "detail", "advice"),
    [
        ("offers none", f"nodes lacks 1 {ASCEND}", "device plugin"),
        ("other label", "the best of 1 nodes lacks label kubernetes.io/arch=arm64", "kubectl label node"),
        ("foreign taint", "tolerates maintenance:NoExecute", "tolerations"),
        ("not ready", "tolerates node.kubernetes.io/not-ready:NoSchedule", "kubectl describe node"),
        ("little memory", "the best of 1 nodes lacks 103079215104 memory", "ask for less"),
    ],
)
def test_the_first_wish_that_no_node_meets_is_said(
    look: Look, cluster: FakeKubernetes, ascend_subject: str, what: str, detail: str, advice: str
) -> None:
    node = _ascend_node(cluster)
    taints = {
        "foreign taint": ("maintenance", "NoExecute"),
        "not ready": ("node.kubernetes.io/not-ready", "NoSchedule"),
    }
    if what == "offers none":
        node["status"]["allocatable"][ASCEND] = "0"
    elif what == "other label":
        node["metadata"]["labels"]["kubernetes.io/arch"] = "amd64"
    elif what in taints:
        node["spec"]["taints"].append(dict(zip(("key", "effect"), taints[what], strict=True)))
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
        ([], "Ascend device plugin", "ok", "the scheduler of runs"),
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


def test_volcano_is_no_fault_if_an_admission_policy_sends_runs_to_it(look: Look, cluster: FakeKubernetes) -> None:
    cluster.remove("DaemonSet", "ascend-device-plugin-daemonset")
    expression = 'Object{spec: Object.spec{schedulerName: "volcano"}}'
    policy = {"spec": {"mutations": [{"applyConfiguration": {"expression": expression}}]}}
    name = {"metadata": {"name": "npu-to-volcano"}}
    cluster.objects += [device_plugin("-volcanoType=true"), {"kind": "MutatingAdmissionPolicy", **name, **policy}]
    assert look()["Ascend device plugin"].status == "ok"


def test_kfp_may_be_in_another_namespace_than_runs(cluster: FakeKubernetes, capsys: pytest.CaptureFixture[str]) -> None:
    for one in cluster.objects:
        of_kfp = one["metadata"]["name"] in {"ml-pipeline", "kfp-api-server-config", "workflow-controller-configmap"}
        if one["metadata"].get("namespace") == "kubeflow" and not of_kfp:
            one["metadata"]["namespace"] = "team"
    cluster.objects.append({"kind": "Namespace", "metadata": {"name": "team"}})
    cluster.services[KFP_HEALTH] = {"multi_user": True}
    cluster.rights |= {("default-editor", "get", "secrets"), ("default-editor", "get", "configmaps")}
    assert main(["doctor", "--cluster", "--namespace", "team"]) == 0
    assert "answers; for many users" in capsys.readouterr().out


def test_kfps_api_must_answer(look: Look, cluster: FakeKubernetes) -> None:
    del cluster.services[KFP_HEALTH]
    assert look()["KFP API"].status == "missing"


def test_kfp_at_a_given_address_is_asked_there_with_the_login_of_the_user(
    kfp: KfpServer, cluster: FakeKubernetes, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    del cluster.services[KFP_HEALTH]
    asked = ["doctor", "--cluster", "--endpoint", kfp.url]
    assert main(asked) == 0
    assert "ok           KFP API: answers; for one user" in capsys.readouterr().out
    kfp.token = "fresh"
    assert main(asked) == 1
    assert "no permission (401" in capsys.readouterr().out
    # What is not to be reached from here is asked within the cluster.
    cluster.services[KFP_HEALTH] = {"multi_user": False}
    monkeypatch.setenv("KFP_ENDPOINT", "http://127.0.0.1:9")
    assert main(["doctor", "--cluster"]) == 0


@pytest.mark.parametrize(
    ("config", "status", "required", "detail"),
    [
        ('{"plugins": {}}', "missing", False, "does not set it"),
        ('{"plugins": {"mlflow": {"endpoint": "https://mlflow.opendatahub:8443"}}}', "ok", True, "opendatahub"),
        ("no JSON", "missing", True, "not what KFP reads"),
        ('{"plugins": ["mlflow"]}', "missing", True, "not what KFP reads"),
    ],
)
def test_kfps_mlflow_plugin_is_optional_and_its_address_costs_a_line_in_a_log(
    look: Look, cluster: FakeKubernetes, config: str, status: str, required: bool, detail: str
) -> None:
    cluster.find("ConfigMap", "kfp-api-server-config")["data"]["config.json"] = config
    check = look()["KFP's MLflow plugin"]
    assert (check.status, check.required) == (status, required) and detail in check.detail


ON, OFF = '{"settings": {"injectUserEnvVars": true}}', '{"settings": {"injectUserEnvVars": false}}'


@pytest.mark.parametrize(
    ("served", "of_runs", "status"),
    [("true", None, "missing"), ("true", OFF, "ok"), ("false", ON, "missing"), ("false", None, "ok")],
)
def test_a_plugin_that_sets_variables_of_tasks_is_an_error_with_the_reason(
    look: Look, cluster: FakeKubernetes, served: str, of_runs: str | None, status: str
) -> None:
    """The namespace of runs has the last word."""
    settings = cluster.find("ConfigMap", "kfp-api-server-config")["data"]
    settings["config.json"] = settings["config.json"].replace("false", served)
    if of_runs:
        cluster.find("ConfigMap", "kfp-launcher")["data"]["plugins.mlflow"] = of_runs
    check = look()["KFP's MLflow plugin"]
    assert check.status == status and check.required
    assert status == "ok" or "a variable of MLflow twice, is refused" in check.detail


def test_settings_inside_kfps_image_cannot_be_told(look: Look, cluster: FakeKubernetes) -> None:
    _server(cluster)["volumeMounts"] = []
    check = look()["KFP's MLflow plugin"]
    assert check.status == "cannot tell" and not check.required
    # It is on in release 2.17.0, so what the namespace of runs says counts.
    cluster.find("ConfigMap", "kfp-launcher")["data"]["plugins.mlflow"] = ON
    assert look()["KFP's MLflow plugin"].status == "missing"


SHIPPED = "spec: {templateDefaults: {retryStrategy: {limit: '2', retryPolicy: OnError}}}"


@pytest.mark.parametrize(
    ("settings", "status", "detail"),
    [
        (yaml.safe_load(PATCH.read_text())["data"], "ok", "a node that is lost and a trainer that dies"),
        ({"workflowDefaults": SHIPPED}, "missing", "a node that is lost, not a trainer that dies"),
        ({"config": f"workflowDefaults: {{{SHIPPED}}}"}, "missing", "a node that is lost, not a trainer that dies"),
        ({"artifactRepository": "{}"}, "missing", "a trainer that dies, not a node that is lost"),
        ({"workflowDefaults": "spec: ["}, "cannot tell", "does not say"),
        ({}, "cannot tell", "does not say"),
    ],
)
def test_which_failures_the_cluster_retries_is_said_and_never_required(
    look: Look, cluster: FakeKubernetes, settings: dict[str, str], status: str, detail: str
) -> None:
    cluster.find("ConfigMap", "workflow-controller-configmap")["data"] = settings
    check = look()["failures that are retried"]
    assert (check.status, check.required) == (status, False) and detail in check.detail


@pytest.mark.parametrize(
    ("address", "status", "required"),
    [
        ("http://mlflow.dualgan-parity:5000", "ok", True),
        ("http://mlflow.dualgan-parity.svc.cluster.local:5000/", "ok", True),
        ("http://other.dualgan-parity:5000", "missing", True),
        ("http://mlflow", "missing", True),
        # Not a service of this cluster, and not to be reached from here: the cluster may reach it all the same.
        ("http://127.0.0.1:9", "cannot tell", False),
    ],
)
def test_the_mlflow_that_tasks_are_told_of_is_asked(
    look: Look, cluster: FakeKubernetes, address: str, status: str, required: bool
) -> None:
    cluster.find("ConfigMap", "dualgan-parity")["data"]["MLFLOW_TRACKING_URI"] = address
    check = look()["MLflow"]
    assert (check.status, check.required) == (status, required), check


def test_tasks_that_are_told_of_no_mlflow_may_be_told_at_their_submission(look: Look, cluster: FakeKubernetes) -> None:
    del cluster.find("ConfigMap", "dualgan-parity")["data"]["MLFLOW_TRACKING_URI"]
    check = look()["MLflow"]
    assert check.status == "cannot tell" and not check.required and "tracking_uri" in check.advice


@pytest.mark.parametrize("value", ["", "ICAK", None])
def test_an_empty_secret_is_missing(look: Look, cluster: FakeKubernetes, value: str | None) -> None:
    data = cluster.find("Secret", "mlflow-admin")["data"]
    del data["flask-secret-key"]
    if value is not None:
        data["flask-secret-key"] = value
    check = look()["secret dualgan-parity/mlflow-admin"]
    assert check.status == "missing" and check.detail == "nothing in flask-secret-key" and not check.required


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
    cluster.forbidden = {"/nodes", "/secrets/", "/cronjobs/"}
    lines = look()
    assert lines["nodes"].status == "cannot tell" and lines["nodes"].required
    assert lines["retrain schedule"].status == "cannot tell" and not lines["retrain schedule"].required
    assert lines["KFP API"].status == lines["priority of runs"].status == "ok"
    assert lines["secret kubeflow/dualgan-parity-s3"].detail == "you may not read secrets of kubeflow"
    # Others are looked at all the same.
    assert lines["MLflow"].status == "ok"
    assert main(["doctor", "--cluster"]) == 1
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    # Not seen is not the same as not met.
    assert "not met" not in printed.out and printed.out.splitlines()[-1].endswith("could not be seen")


def test_rights_of_tasks(look: Look, cluster: FakeKubernetes) -> None:
    assert look()["rights of kubeflow/pipeline-runner"].status == "ok"
    cluster.rights -= {("pipeline-runner", "get", "secrets")}
    assert look()["rights of kubeflow/pipeline-runner"].detail == "in kubeflow it may not get secrets"


def test_a_quota_below_what_a_task_asks_for_is_missing_and_none_is_no_matter(
    look: Look, cluster: FakeKubernetes
) -> None:
    hard = cluster.find("ResourceQuota", "pool")["spec"]["hard"]
    hard[f"requests.{ASCEND}"] = "0"
    check = look()[f"quota of {ASCEND}"]
    assert check.status == "missing" and check.required
    del hard[f"requests.{ASCEND}"]
    assert f"quota of {ASCEND}" not in look()


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


def test_the_secrets_that_are_looked_for_are_those_of_the_example(needs: Needs) -> None:
    example: dict[str, dict[str, set[str]]] = {"kubeflow": {}, "dualgan-parity": {}}
    for secret in yaml.safe_load_all(EXAMPLE.read_text()):
        example[secret["metadata"]["namespace"]][secret["metadata"]["name"]] = set(secret["stringData"])
    of_tasks = {name: keys for (name, _), keys in needs.keys("secret").items()}
    assert example == {"kubeflow": of_tasks, "dualgan-parity": SECRETS_OF_OURS}


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
