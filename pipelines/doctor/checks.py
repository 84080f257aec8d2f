"""The doctor: a flat list of checks, each of which asks one question of the cluster, of its KFP or of its MLflow."""

import functools
import ipaddress
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from dualgan.errors import EXIT_FAILED, OF_CONTENT, BadInput, first_line
from pipelines.doctor import servers
from pipelines.doctor.cluster import Examination, Problem, container, refuse_placeholders, unseen
from pipelines.doctor.needs import SECRET, NodeNeed
from pipelines.scheduling import LABEL

ASCEND, RETRAIN = "huawei.com/Ascend910", "dualgan-parity-retrain"
LABELS_OF_TASKS = {LABEL[0]: LABEL[1], "pipelines.kubeflow.org/v2_component": "true"}
# Where name servers are: Kubernetes' own, OpenShift's, and NodeLocal DNSCache.
NAME_SERVERS = ({"kubernetes.io/metadata.name": "kube-system"}, {"kubernetes.io/metadata.name": "openshift-dns"})
NODE_LOCAL, NAME_PORTS = ipaddress.ip_address("169.254.20.10"), {53, 5353, "dns"}
# What tells cards of one resource apart: NVIDIA's feature discovery and the Ascend device plugin set them.
PRODUCTS = ("nvidia.com/gpu.product", "node.kubernetes.io/npu.chip.name")
Object = Mapping[str, Any]


@dataclass(frozen=True)
class Check:
    """One line of the list. Runs work without one that is not ``required``."""

    subject: str
    status: str
    detail: str
    advice: str = ""
    required: bool = True


def check_all(at: Examination) -> Iterator[Check]:
    """Yield every check, in the order in which an admin would set things up."""
    for subject, required, question in _questions(at):
        try:
            yield Check(subject, "ok", question(at), required=required)
        except Problem as problem:
            needed = required if problem.required is None else problem.required
            yield Check(subject, problem.status, problem.detail, problem.advice, needed)
        except (BadInput, *OF_CONTENT) as error:
            yield Check(subject, "missing", f"a setting is not what KFP reads ({first_line(error)})")


def report(version: str, profile: str, checks: Sequence[Check], as_json: bool) -> tuple[str, int]:
    """Return the list as text or JSON, and the exit code: 0 if all that is required is there, else 1."""
    unmet = [check for check in checks if check.required and check.status != "ok"]
    code = EXIT_FAILED if unmet else 0
    if as_json:
        result = {"kubernetes": version, "profile": profile, "ready": not unmet}
        return json.dumps({**result, "checks": [asdict(check) for check in checks]}, indent=2), code
    lines = [f"Kubernetes {version}, profile {profile}"]
    for check in checks:
        optional = "" if check.required or check.status == "ok" else " (optional)"
        lines.append(f"{check.status:<12} {check.subject}: {check.detail}{optional}")
        lines += [f"{'':13}-> {check.advice}"] if check.advice else []
    total, hidden = sum(check.required for check in checks), sum(check.status == "cannot tell" for check in unmet)
    counts = [f"{len(unmet) - hidden} of {total} requirements are not met"] if len(unmet) > hidden else []
    counts += [f"{hidden} of {total} could not be seen"] if hidden else []
    return "\n".join([*lines, "", ", ".join(counts) or f"ready: all {total} requirements are met"]), code


def config_map(at: Examination, name: str, keys: set[str]) -> str:
    found = at.config(name)
    refuse_placeholders(found, required=True)
    if lacking := sorted(keys - set(found)):
        advice = "kubectl apply -k manifests/overlays/..."
        raise Problem(f"it lacks {', '.join(lacking)}" if found else "it is not there", advice)
    return f"{len(keys)} keys that tasks read"


def rights_of_tasks(at: Examination) -> str:
    """KFP's launcher reads the object store's address and keys in the pod of a task."""
    kinds = [kind for kind in ("secrets", "configmaps") if not at.cluster.can_i(at.runs, at.account, "get", kind)]
    if kinds:
        advice = "name the tasks' account with --service-account; KFP's is pipeline-runner, a profile's default-editor"
        raise Problem(f"{at.account} of {at.runs} may not get {' and '.join(kinds)}", advice)
    return f"{at.account} of {at.runs} gets secrets and configmaps"


def schedule_of_retrains(at: Examination) -> str:
    spec = at.cluster.get("batch/v1/cronjobs", RETRAIN, at.runs).get("spec")
    if not spec or spec.get("suspend"):
        raise Problem("it is suspended" if spec else f"no cron job {RETRAIN}", "apply an overlay of a pool")
    return f"{spec['schedule']} ({spec.get('timeZone', 'the cluster')})"


def nodes(at: Examination, need: NodeNeed) -> str:
    """The nodes that some tasks can run on; else what the nearest lacks first."""
    found = {node["metadata"]["name"]: node for node in at.cluster.list("nodes")}
    lacking = {name: list(_lacks(node, need)) for name, node in found.items()}
    fit = sorted(name for name, lacks in lacking.items() if not lacks)
    if not fit:
        nearest = min(lacking, key=lambda name: len(lacking[name]), default="there is none")
        what, advice = lacking.get(nearest, [("everything", "kubectl get nodes")])[0]
        raise Problem(f"the nearest of {len(lacking)} nodes, {nearest}, lacks {what}", advice)
    for key in PRODUCTS if any("/" in name for name, _ in need.resources) else ():
        products = {found[name]["metadata"].get("labels", {}).get(key) for name in fit} - {None}
        if len(products) > 1:
            advice = f"name one as {key} in the profile's node_selector: seeds on several decide nothing about speed"
            raise Problem(f"{len(fit)} nodes, of several products: {', '.join(sorted(products))}", advice, False)
    return f"{len(fit)}: {', '.join(fit[:3])}"


def _lacks(node: Object, need: NodeNeed) -> Iterator[tuple[str, str]]:
    """What a task misses at a node, the most costly to mend first, and what to do about it."""
    labels, offered = node["metadata"].get("labels", {}), node["status"].get("allocatable", {})
    for name, amount in sorted(need.resources, key=lambda resource: "/" not in resource[0]):
        if parse_quantity(offered.get(name, "0")) < amount:
            plugin = "install its vendor's device plugin and look at its log, or " if "/" in name else ""
            yield f"{amount:f} {name}", f"{plugin}ask for less in the profile"
    for key, value in need.node_selector:
        if labels.get(key) != value:
            yield f"label {key}={value}", "kubectl label node ..., or change node_selector in the profile"
    for key, operator, values in need.affinity:
        if not _fits({"matchExpressions": [{"key": key, "operator": operator, "values": values}]}, labels):
            said = " ".join((f"label {key}", operator, ", ".join(values))).strip()
            yield said, "kubectl label node ..., or change node_affinity in the profile"
    for taint in node["spec"].get("taints") or []:
        if taint["effect"] != "PreferNoSchedule" and not {None, taint["key"]} & {*need.tolerated}:
            # Kubernetes' own for a node that is not ready among them.
            advice = "add tolerations to the profile; of a node that is not ready: kubectl describe node ..."
            yield f"a pod that tolerates {taint['key']}:{taint['effect']}", advice


def quotas(at: Examination) -> str:
    """A quota below what one task asks for lets none begin; what is beyond it otherwise waits."""
    found = at.cluster.list("resourcequotas", at.runs)
    asked = [("pods", parse_quantity(1)), *(one for need in at.needs.nodes for one in need.resources)]
    for quota in found:
        for name, amount in asked:
            for counted in (name, f"requests.{name}", f"limits.{name}"):
                hard = quota["spec"].get("hard", {}).get(counted)
                if hard is not None and parse_quantity(hard) < amount:
                    detail = f"{quota['metadata']['name']} has {counted}={hard}, and a task asks for {amount:f}"
                    raise Problem(detail, "that task never begins: raise it, or ask for less in the profile")
    return f"{len(found)}, each lets the largest task begin"


def ascend_device_plugin(at: Examination) -> str:
    """It must serve the scheduler that runs have."""
    for name, words in _ascend_plugins(at):
        if "-volcanoType=true" in words:
            policies = ("admissionregistration.k8s.io/v1/mutatingadmissionpolicies", "kyverno.io/v1/clusterpolicies")
            if not any("volcano" in json.dumps(at.cluster.list(kind)) for kind in policies):
                detail = f"{name} hands devices to Volcano's pods alone, and no mutating policy sends runs there"
                raise Problem(detail, "start it without -volcanoType=true, or apply manifests/options/volcano")
    return "it serves the scheduler of runs"


def ascend_docker_runtime(at: Examination) -> str:
    """It has to bring the driver into the pods of tasks."""
    for name, words in _ascend_plugins(at):
        if "-useAscendDocker=false" in words:
            advice = "install Ascend Docker Runtime on the nodes and start the plugin with -useAscendDocker=true"
            raise Problem(f"of {name}: tasks would lack the driver", advice, required=True)
        raise unseen(
            "no API knows it", "on each node: grep -r ascend /etc/docker/daemon.json /etc/containerd/config.toml"
        )
    return "not needed"


def _ascend_plugins(at: Examination) -> Iterator[tuple[str, str]]:
    """Name and command line of each device plugin for Ascend, if tasks ask for its devices."""
    wanted = any(name == ASCEND for need in at.needs.nodes for name, _ in need.resources)
    for daemons in at.cluster.list("apps/v1/daemonsets") if wanted else ():
        name, started = daemons["metadata"]["name"], container(daemons)
        if re.search(r"ascend.*device-?plugin", f"{name} {started.get('image', '')}".lower()):
            yield name, " ".join([*started.get("command", []), *started.get("args", [])])


def way_to_name_servers(at: Examination) -> str:
    """Network policies that bind tasks must leave them a way to DNS."""
    rules = _rules(at, at.runs, LABELS_OF_TASKS, "Egress")
    for rule in [{}] if rules is None else rules:
        ports = {one.get("port", 53) for one in rule.get("ports") or [{}]}
        if ports & NAME_PORTS and any(map(_has_name_servers, rule.get("to") or [{}])):
            return "open"
    advice = "manifests/base/runs/network-policies.yaml has what they need"
    raise Problem(f"network policies of {at.runs} let tasks reach no name server", advice, required=True)


def _has_name_servers(peer: Object) -> bool:
    if block := peer.get("ipBlock"):
        excepted = [ipaddress.ip_network(one) for one in block.get("except", [])]
        return NODE_LOCAL in ipaddress.ip_network(block["cidr"]) and not any(NODE_LOCAL in one for one in excepted)
    return not peer or any(_fits(peer.get("namespaceSelector"), labels) for labels in NAME_SERVERS)


def way_to_kfp(at: Examination) -> str:
    """KFP's own policies know the namespaces that may reach its API by a label."""
    rules = _rules(at, at.kfp, {"app": "ml-pipeline"}, "Ingress") if at.runs != at.kfp else None
    labels = at.cluster.get("namespaces", at.runs).get("metadata", {}).get("labels", {}) if rules is not None else {}
    for rule in [{}] if rules is None else rules:
        if any(
            _fits(peer.get("namespaceSelector"), labels) for peer in rule.get("from") or [{"namespaceSelector": {}}]
        ):
            return "open"
    advice = f"kubectl label namespace {at.runs} app.kubernetes.io/part-of=kubeflow-profile"
    raise Problem(f"the policy of ml-pipeline in {at.kfp} lets in no pod of {at.runs}", advice, required=True)


def _rules(at: Examination, namespace: str, labels: Mapping[str, str], side: str) -> list[Object] | None:
    """The rules of the policies that bind pods with ``labels``, None if none does."""
    policies = [one["spec"] for one in at.cluster.list("networking.k8s.io/v1/networkpolicies", namespace)]
    binding = [
        one for one in policies if side in one.get("policyTypes", ["Ingress"]) and _fits(one["podSelector"], labels)
    ]
    return [rule for one in binding for rule in one.get(side.lower()) or []] if binding else None


def _fits(selector: Object | None, labels: Mapping[str, str]) -> bool:
    """Whether a selector of Kubernetes' selects what has ``labels``; None selects nothing."""
    if selector is None:
        return False
    exact = [{"key": key, "values": [value]} for key, value in (selector.get("matchLabels") or {}).items()]
    for rule in [*exact, *(selector.get("matchExpressions") or [])]:
        value, values, operator = labels.get(rule["key"]), rule.get("values"), rule.get("operator")
        if operator in ("Gt", "Lt"):
            more = int(value) - int(values[0]) if value and value.isdecimal() else 0
            if (more if operator == "Gt" else -more) <= 0:
                return False
            continue
        is_there = value in values if values else value is not None
        if is_there is (operator in ("NotIn", "DoesNotExist")):
            return False
    return True


def _questions(at: Examination) -> Iterator[tuple[str, bool, Callable[[Examination], str]]]:
    """What is looked at, whether runs cannot do without, and what finds it."""
    yield "KFP API", True, servers.kfp_api
    yield "KFP's object store", True, servers.object_store
    for (kind, name, required), keys in at.needs.keys.items():
        look: Callable[..., str] = Examination.secret if kind == SECRET else config_map
        yield f"{kind} {at.runs}/{name}", required, functools.partial(look, name=name, keys=keys)
    yield "MLflow", True, servers.mlflow
    for need, tasks in at.needs.nodes.items():
        yield f"node for {', '.join(tasks)}", True, functools.partial(nodes, need=need)
    yield "quotas", True, quotas
    yield "Ascend device plugin", True, ascend_device_plugin
    yield "rights of tasks", True, rights_of_tasks
    # What these find may be required all the same; that they cannot look is no reason to doubt.
    yield "Ascend Docker Runtime", False, ascend_docker_runtime
    yield "way of tasks to DNS", False, way_to_name_servers
    yield "way of runs to KFP", False, way_to_kfp
    yield "user of tasks", False, servers.user_of_tasks
    yield "KFP version", False, servers.kfp_version
    yield "KFP's MLflow plugin", False, servers.mlflow_plugin
    yield "priority of runs", False, servers.priority_of_runs
    yield "failures that are retried", False, servers.failures_that_are_retried
    yield "our MLflow", False, servers.our_mlflow
    yield "schedule of retrains", False, schedule_of_retrains
