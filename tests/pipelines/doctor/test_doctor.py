"""`parity doctor --cluster`, asked of an API server that the test fills."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from parity.cli import main
from pipelines.doctor.checks import Check
from pipelines.doctor.needs import SECRET, Needs
from pipelines.doctor.servers import SECRETS_OF_OURS
from tests.pipelines.doctor.fake_kubernetes import (
    KFP_HEALTH,
    MLFLOW_HEALTH,
    REVIEWS,
    FakeKubernetes,
    Object,
    kubeconfig,
)
from tests.pipelines.doctor.healthy import device_plugin, made
from tests.pipelines.kfp_server import KfpServer

Look = Callable[..., dict[str, Check]]
ROOT = Path(__file__).resolve().parents[3]
PATCH = yaml.safe_load((ROOT / "manifests/kfp/workflow-controller-patch.yaml").read_text())["data"]
EXAMPLE = ROOT / "manifests" / "secrets.example.yaml"
ASCEND = "huawei.com/Ascend910"
Change = Callable[[FakeKubernetes], Any]


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


def test_what_is_missing_is_counted_and_says_what_to_do(
    cluster: FakeKubernetes, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.remove("Secret", "dualgan-parity-s3")
    assert main(["doctor", "--cluster"]) == 1
    lines = capsys.readouterr().out.splitlines()
    place = lines.index("missing      secret kubeflow/dualgan-parity-s3: dualgan-parity-s3 is not there")
    assert lines[place + 1].strip() == "-> fill it in and apply it: manifests/secrets.example.yaml"
    assert lines[-1].startswith("1 of ") and lines[-1].endswith(" requirements are not met")
    assert main(["doctor", "--cluster", "--json"]) == 1
    result = json.loads(capsys.readouterr().out)
    assert result["ready"] is False and result["kubernetes"] == "v1.32.4"
    (unmet,) = [check for check in result["checks"] if check["required"] and check["status"] != "ok"]
    assert unmet["status"] == "missing" and "secrets.example.yaml" in unmet["advice"]


def test_a_cluster_whose_kfp_and_mlflow_are_somebody_elses_is_ready(
    cluster: FakeKubernetes, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither is ours: other names, no priority class, no schedule, KFP's own store, no word on retries."""
    ours = {"Deployment mlflow", "CronJob dualgan-parity-retrain", "PriorityClass dualgan-parity-training"}
    ours |= {"ResourceQuota pool", "NetworkPolicy ml-pipeline", *(f"Secret {name}" for name in SECRETS_OF_OURS)}
    maps = ("kfp-launcher", "kfp-api-server-config", "workflow-controller-configmap", "pipeline-install-config")
    for one in [*ours, *(f"ConfigMap {name}" for name in maps)]:
        cluster.remove(*one.split())
    server = cluster.find("Deployment", "ml-pipeline")
    server["metadata"]["name"] = "ds-pipeline-team"
    _container(server).update(env=[], volumeMounts=[])
    cluster.find("Namespace", "dualgan-parity")["metadata"]["name"] = "tracking"
    _config(cluster, "dualgan-parity")["MLFLOW_TRACKING_URI"] = "http://flow.tracking.svc:80/ml"
    cluster.services["/api/v1/namespaces/tracking/services/flow:80/proxy/ml/health"] = "OK"
    del cluster.services[MLFLOW_HEALTH]
    code, output = main(["doctor", "--cluster"]), capsys.readouterr().out
    assert code == 0, output
    assert "ok           KFP version: 2.17.0" in output


def _container(workload: Object) -> Object:
    container: Object = workload["spec"]["template"]["spec"]["containers"][0]
    return container


def _server(cluster: FakeKubernetes) -> Object:
    return _container(cluster.find("Deployment", "ml-pipeline"))


def _config(cluster: FakeKubernetes, name: str) -> Object:
    data: Object = cluster.find("ConfigMap", name)["data"]
    return data


def _set(name: str, key: str, value: str) -> Change:
    """Return a change of a key of a config map."""
    return lambda cluster: _config(cluster, name).update({key: value})


def _plugin(*flags: str, policy: str = "") -> Change:
    def change(cluster: FakeKubernetes) -> None:
        cluster.remove("DaemonSet", "ascend-device-plugin-daemonset")
        cluster.objects.append(device_plugin(*flags))
        if policy:
            cluster.objects.append(made("MutatingAdmissionPolicy", "npu", spec={"mutations": [{"expression": policy}]}))

    return change


def _policy(egress: str) -> Change:
    spec = {"podSelector": {}, "policyTypes": ["Egress"], "egress": yaml.safe_load(egress)}
    return lambda cluster: cluster.objects.append(made("NetworkPolicy", "tasks", "kubeflow", spec=spec))


def _quota(**hard: str) -> Change:
    wanted = {name.replace("__", "."): value for name, value in hard.items()}
    return lambda cluster: cluster.find("ResourceQuota", "pool")["spec"]["hard"].update(wanted)


def _image(name: str) -> Change:
    return lambda cluster: _server(cluster).update(image=name)


def _patch(value: str) -> Change:
    return lambda cluster: _server(cluster).update(env=[{"name": "COMPILED_PIPELINE_SPEC_PATCH", "value": value}])


def _remove(what: str) -> Change:
    return lambda cluster: cluster.remove(*what.split())


def _suspend(cluster: FakeKubernetes) -> None:
    cluster.find("CronJob", "dualgan-parity-retrain")["spec"]["suspend"] = True


def _key(value: str | None) -> Change:
    return lambda cluster: cluster.find("Secret", "mlflow-admin")["data"].update({"flask-secret-key": value})


PLUGINS = "KFP's MLflow plugin"
WORKFLOWS, RETRIES = "workflow-controller-configmap", "failures that are retried"
SHIPPED = "spec: {templateDefaults: {retryStrategy: {limit: '2', retryPolicy: OnError}}}"
ON, OFF = '{"settings": {"injectUserEnvVars": true}}', '{"settings": {"injectUserEnvVars": false}}'
INJECTING = _set("kfp-api-server-config", "config.json", f'{{"plugins": {{"mlflow": {ON}}}}}')
OPTIONAL = "(optional)"
VOLCANO = 'Object{spec: Object.spec{schedulerName: "volcano"}}'
TO_KFP = "[{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kubeflow}}}]}]"
TO_DNS = (
    "[{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}],"
    " ports: [{port: 53, protocol: UDP}]}]"
)
TO_WEB = "[{ports: [{port: 443}]}]"
USER, ROOT_GROUP = "defaultSecurityContextRunAsUser", "defaultSecurityContextRunAsGroup"
STORE, SUPPLIED = "KFP's object store", "kfp-launcher"


@pytest.mark.parametrize(
    ("change", "subject", "found"),
    [
        (_plugin("-volcanoType=true"), "Ascend device plugin", "missing Volcano's pods alone, and no mutating policy"),
        (_plugin("-volcanoType=true", policy=VOLCANO), "Ascend device plugin", "ok"),
        (_plugin("-useAscendDocker=false"), "Ascend Docker Runtime", "missing lack the driver"),
        (_policy(TO_KFP), "way of tasks to DNS", "missing let tasks reach no name server"),
        (_policy(TO_WEB), "way of tasks to DNS", "missing let tasks reach no name server"),
        (_policy(TO_DNS), "way of tasks to DNS", "ok"),
        (_policy("[{}]"), "way of tasks to DNS", "ok"),
        (_set("pipeline-install-config", USER, "0"), "user of tasks", f"missing has {USER}=0 in the place of"),
        (_set("pipeline-install-config", USER, "7"), "user of tasks", f"missing {OPTIONAL} {USER}=7"),
        (_set("pipeline-install-config", ROOT_GROUP, "0"), "user of tasks", f"missing {OPTIONAL} {ROOT_GROUP}=0"),
        (_set("pipeline-install-config", USER, "1000"), "user of tasks", "ok"),
        (_quota(**{f"requests__{ASCEND}": "0"}), "quotas", f"missing requests.{ASCEND}=0, and a task asks for 1"),
        (_quota(limits__memory="64Gi"), "quotas", "missing pool has limits.memory=64Gi"),
        (_quota(cpu="500m"), "quotas", "missing cpu=500m"),
        (_quota(pods="0"), "quotas", "missing pods=0"),
        (_image("ghcr.io/kubeflow/kfp-api-server:v2.20.1-rc1"), "KFP version", "ok 2.20.1-rc1"),
        (_image("ghcr.io/kubeflow/kfp-api-server:2.16.1"), "KFP version", "missing 2.16.1"),
        (_image("registry:5000/kfp-api-server@sha256:0f"), "KFP version", f"cannot tell {OPTIONAL}"),
        (lambda cluster: cluster.services.pop(KFP_HEALTH), "KFP API", "missing does not answer (503)"),
        (_set("kfp-api-server-config", "config.json", '{"plugins": {}}'), PLUGINS, f"missing {OPTIONAL} does not set"),
        (_set("kfp-api-server-config", "config.json", "no JSON"), PLUGINS, "missing not what KFP reads"),
        (INJECTING, PLUGINS, "missing a variable of MLflow twice, is refused"),
        (lambda cluster: (INJECTING(cluster), _set(SUPPLIED, "plugins.mlflow", OFF)(cluster)), PLUGINS, "ok"),
        (_set(SUPPLIED, "plugins.mlflow", ON), PLUGINS, "missing is refused"),
        (lambda cluster: _server(cluster).update(volumeMounts=[]), PLUGINS, f"cannot tell {OPTIONAL} inside KFP's"),
        (_set(WORKFLOWS, "workflowDefaults", PATCH["workflowDefaults"]), RETRIES, "ok a node that is lost and"),
        (_set(WORKFLOWS, "workflowDefaults", SHIPPED), RETRIES, f"missing {OPTIONAL} lost, not a trainer that dies"),
        (_set(WORKFLOWS, "config", f"workflowDefaults: {{{SHIPPED}}}"), RETRIES, f"missing {OPTIONAL} lost, not"),
        (_set(WORKFLOWS, "workflowDefaults", "{}"), RETRIES, f"missing {OPTIONAL} dies, not a node that is lost"),
        (_set(WORKFLOWS, "workflowDefaults", "spec: ["), RETRIES, "missing not what KFP reads"),
        (_remove(f"ConfigMap {WORKFLOWS}"), RETRIES, f"cannot tell {OPTIONAL} does not say"),
        (_remove("Secret mlpipeline-minio-artifact"), STORE, "missing mlpipeline-minio-artifact is not there"),
        (_set(SUPPLIED, "providers", "minio: ["), STORE, "missing providers of kfp-launcher"),
        (
            _set(SUPPLIED, "providers", "m: {default: {credentials: {secretRef: {a: b}}}}"),
            STORE,
            "missing not what KFP",
        ),
        (_set(SUPPLIED, "defaultPipelineRoot", "s3://dualgan.example/kfp"), STORE, "missing s3://dualgan.example"),
        (
            _set("dualgan-parity", "AWS_ENDPOINT_URL", "https://s3.example"),
            "configMap kubeflow/dualgan-parity",
            "missing",
        ),
        (_set("mlflow-abc", "PGHOST", "postgresql.example"), "our MLflow", f"missing {OPTIONAL} postgresql.example"),
        (lambda cluster: cluster.rights.clear(), "rights of tasks", "missing may not get secrets and configmaps"),
        (_remove("PriorityClass dualgan-parity-training"), "priority of runs", "missing training, which is not there"),
        (_patch("[]"), "priority of runs", "missing not what KFP reads"),
        (_remove("CronJob dualgan-parity-retrain"), "schedule of retrains", f"missing {OPTIONAL}"),
        (_suspend, "schedule of retrains", f"missing {OPTIONAL} suspended"),
        *(
            (_key(value), "our MLflow", f"missing {OPTIONAL} nothing in flask-secret-key")
            for value in ("", "ICAK", None)
        ),
    ],
)
def test_each_fault_is_found(look: Look, cluster: FakeKubernetes, change: Change, subject: str, found: str) -> None:
    change(cluster)
    check = look()[subject]
    status, _, rest = found.partition(f" {OPTIONAL}") if OPTIONAL in found else found.partition(" ")
    status, rest = ("cannot tell", "") if status == "cannot" else (status, rest)
    assert check.status == status and rest.strip() in check.detail, check
    assert status == "ok" or check.required is (OPTIONAL not in found)


@pytest.fixture
def ascend_subject(needs: Needs) -> str:
    (tasks,) = [tasks for need, tasks in needs.nodes.items() if ASCEND in dict(need.resources)]
    return f"node for {', '.join(tasks)}"


def _taint(key: str, effect: str) -> Callable[[Object], Any]:
    return lambda node: node["spec"]["taints"].append({"key": key, "effect": effect})


@pytest.mark.parametrize(
    ("change", "detail", "advice"),
    [
        (lambda node: node["status"]["allocatable"].update({ASCEND: "0"}), f"lacks 1 {ASCEND}", "device plugin"),
        (
            lambda node: node["metadata"]["labels"].update({"kubernetes.io/arch": "amd64"}),
            "arch=arm64",
            "kubectl label",
        ),
        (lambda node: node["status"]["allocatable"].update(memory="8Gi"), "lacks 103079215104 memory", "ask for less"),
        (_taint("maintenance", "NoExecute"), "tolerates maintenance:NoExecute", "tolerations"),
        (_taint("node.kubernetes.io/not-ready", "NoSchedule"), "not-ready:NoSchedule", "kubectl describe node"),
        (_taint("busy", "PreferNoSchedule"), "", ""),
    ],
)
def test_what_the_nearest_node_lacks_is_said(
    look: Look, cluster: FakeKubernetes, ascend_subject: str, change: Callable[[Object], Any], detail: str, advice: str
) -> None:
    nodes = [one for one in cluster.objects if one["kind"] == "Node"]
    (node,) = [one for one in nodes if ASCEND in one["status"]["allocatable"]]
    assert look()[ascend_subject].detail == f"1: {node['metadata']['name']}"
    change(node)
    check = look()[ascend_subject]
    assert check.status == ("missing" if detail else "ok") and detail in check.detail and advice in check.advice


@pytest.mark.parametrize(
    ("affinity", "lacks"),
    [
        (("chip", "In", ("910B3", "910B4")), ""),
        (("chip", "In", ("910A",)), "lacks label chip In 910A"),
        (("spot", "Exists", ()), "lacks label spot Exists"),
        (("memory", "Gt", ("32",)), ""),
        (("memory", "Lt", ("64",)), "lacks label memory Lt 64"),
    ],
)
def test_nodes_are_held_against_node_affinity(
    look: Look, cluster: FakeKubernetes, needs: Needs, affinity: tuple[str, str, tuple[str, ...]], lacks: str
) -> None:
    (need,) = [need for need in needs.nodes if ASCEND in dict(need.resources)]
    (node,) = [one for one in cluster.objects if ASCEND in one.get("status", {}).get("allocatable", {})]
    node["metadata"]["labels"].update(chip="910B3", memory="64")
    wanted = replace(needs, nodes={need._replace(affinity=(affinity,)): ["train-npu"]})
    check = look(needs=wanted)["node for train-npu"]
    assert check.status == ("missing" if lacks else "ok") and lacks in check.detail


def test_cards_of_several_products_are_named_and_that_seeds_may_part(
    look: Look, cluster: FakeKubernetes, ascend_subject: str
) -> None:
    (node,) = [one for one in cluster.objects if ASCEND in one.get("status", {}).get("allocatable", {})]
    node["metadata"]["labels"]["node.kubernetes.io/npu.chip.name"] = "910ProB"
    other = copy.deepcopy(node)
    other["metadata"]["name"], other["metadata"]["labels"]["node.kubernetes.io/npu.chip.name"] = "other", "910B3"
    cluster.objects.append(other)
    check = look()[ascend_subject]
    assert check.detail == "2 nodes, of several products: 910B3, 910ProB" and not check.required
    assert "node.kubernetes.io/npu.chip.name in the profile's node_selector" in check.advice


def test_kfp_may_be_in_another_namespace_than_runs_and_must_let_them_in(
    cluster: FakeKubernetes, capsys: pytest.CaptureFixture[str]
) -> None:
    of_kfp = {"ml-pipeline", "kfp-api-server-config", WORKFLOWS, "pipeline-install-config"}
    for one in cluster.objects:
        if one["metadata"].get("namespace") == "kubeflow" and one["metadata"]["name"] not in of_kfp:
            one["metadata"]["namespace"] = "team"
    team = made("Namespace", "team")
    team["metadata"]["labels"] = {"app.kubernetes.io/part-of": "kubeflow-profile"}
    cluster.objects.append(team)
    cluster.services[KFP_HEALTH] = {"multi_user": True}
    cluster.rights |= {("default-editor", "get", "secrets"), ("default-editor", "get", "configmaps")}
    assert main(["doctor", "--cluster", "--namespace", "team"]) == 0
    assert "answers; for many users" in capsys.readouterr().out
    del team["metadata"]["labels"]
    assert main(["doctor", "--cluster", "--namespace", "team"]) == 1
    printed = capsys.readouterr().out
    assert "missing      way of runs to KFP: the policy of ml-pipeline in kubeflow lets in no pod of team" in printed
    assert "-> kubectl label namespace team app.kubernetes.io/part-of=kubeflow-profile" in printed


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


def test_what_one_may_not_see_is_no_reason_to_be_ready(
    cluster: FakeKubernetes, look: Look, ascend_subject: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.forbidden = {"/nodes", "/secrets/", "/cronjobs/"}
    lines = look()
    assert lines[ascend_subject].status == "cannot tell" and lines[ascend_subject].required
    assert lines["schedule of retrains"].status == "cannot tell" and not lines["schedule of retrains"].required
    # Others are looked at all the same.
    assert lines["KFP API"].status == lines["priority of runs"].status == "ok"
    assert lines["secret kubeflow/dualgan-parity-s3"].detail == "you may not read secrets of kubeflow"
    assert main(["doctor", "--cluster"]) == 1
    printed = capsys.readouterr()
    # Not seen is not the same as not met.
    assert "not met" not in printed.out and printed.out.splitlines()[-1].endswith("could not be seen")


def test_the_secrets_that_are_looked_for_are_those_of_the_example(needs: Needs) -> None:
    example: dict[str, dict[str, set[str]]] = {"kubeflow": {}, "dualgan-parity": {}}
    for secret in yaml.safe_load_all(EXAMPLE.read_text()):
        example[secret["metadata"]["namespace"]][secret["metadata"]["name"]] = set(secret["stringData"])
    of_tasks = {name: keys for (kind, name, _), keys in needs.keys.items() if kind == SECRET}
    assert example == {"kubeflow": of_tasks, "dualgan-parity": SECRETS_OF_OURS}


def _address(value: str) -> Callable[[Path, FakeKubernetes], Any]:
    return lambda folder, _: kubeconfig(folder, value)


def _file(content: str) -> Callable[[Path, FakeKubernetes], Any]:
    return lambda folder, _: (folder / "kubeconfig").write_text(content)


@pytest.mark.parametrize(
    ("change", "arguments", "code", "message"),
    [
        (None, [], 2, "say --cluster"),
        (None, ["--cluster", "--context", "nowhere"], 2, "nowhere"),
        (None, ["--cluster", "--profile", "nothing"], 2, "profile nothing: unknown"),
        (_address("http://127.0.0.1:9"), ["--cluster"], 1, "error: no answer from the cluster at http://127.0.0.1:9: "),
        (_address("127.0.0.1"), ["--cluster"], 2, "is no https:// address"),
        (_file(""), ["--cluster"], 2, "error: no cluster: "),
        (_file("a: ["), ["--cluster"], 2, "while parsing a flow"),
        (_file("- 1\n"), ["--cluster"], 2, "error: no cluster: "),
        (_file("\x00"), ["--cluster"], 2, "special characters are not allowed"),
        (lambda folder, _: (folder / "kubeconfig").unlink(), ["--cluster"], 2, "error: no cluster: "),
        (lambda _, cluster: setattr(cluster, "token", "new"), ["--cluster"], 1, "does not accept these credentials"),
        (lambda _, cluster: setattr(cluster, "version", None), ["--cluster"], 1, "is no Kubernetes API"),
        (lambda _, cluster: setattr(cluster, "version", {"a": 1}), ["--cluster"], 1, "is no Kubernetes API"),
    ],
)
def test_wrong_input_and_a_cluster_that_cannot_be_asked_are_one_line(
    cluster: FakeKubernetes,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Path, FakeKubernetes], Any] | None,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    if change:
        change(tmp_path, cluster)
    assert main(["doctor", *arguments]) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and message in error
