"""Nodes that tasks can run on: what they offer, their labels and taints, the plugin that offers Ascend's devices."""

import re
from collections.abc import Mapping
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from pipelines.cluster_doctor.api import Cluster
from pipelines.cluster_doctor.check import Check, Checks, Place
from pipelines.cluster_doctor.needs import Needs, NodeNeed

ASCEND = "huawei.com/Ascend910"
UNITS = {"cpu": "cores", "memory": "bytes of memory"}


def accelerator_pools(cluster: Cluster, place: Place, needs: Needs) -> Checks:
    nodes = cluster.nodes()
    for need in needs.nodes:
        yield _pool(nodes, need)


def _pool(nodes: list[Any], need: NodeNeed) -> Check:
    """Whether a node is there for ``need``; else the first of its wishes that none of the nodes left meets."""
    subject, left = f"node for {', '.join(need.tasks)}", nodes
    for meets, why in WISHES:
        kept = [node for node in left if meets(node, need)]
        if not kept:
            return Check(subject, "missing", *why(left, need))
        left = kept
    return Check(subject, "ok", f"{len(left)}: {', '.join(sorted(node.metadata.name for node in left)[:3])}")


def _offers(node: Any, need: NodeNeed) -> bool:
    return all(_allocatable(node, name) >= count for name, count in need.accelerators.items())


def _why_not_offered(nodes: list[Any], need: NodeNeed) -> tuple[str, str]:
    wish = ", ".join(f"{count:f} of {name}" for name, count in need.accelerators.items())
    plugin = "the Ascend device plugin" if ASCEND in need.accelerators else "the device plugin of its vendor"
    return f"none of {len(nodes)} nodes offers {wish}", f"install {plugin} and look at its log, or ask for fewer"


def _is_labelled(node: Any, need: NodeNeed) -> bool:
    return dict(need.node_selector).items() <= _labels(node).items()


def _why_not_labelled(nodes: list[Any], need: NodeNeed) -> tuple[str, str]:
    wish = ",".join(f"{key}={value}" for key, value in need.node_selector)
    seen = sorted({f"{key}={_labels(node).get(key, '(none)')}" for node in nodes for key, _ in need.node_selector})
    detail = f"none of {len(nodes)} nodes has labels {wish}; they have {', '.join(seen)}"
    return detail, "kubectl label node ..., or change node_selector in the profile"


def _is_open(node: Any, need: NodeNeed) -> bool:
    return not _untolerated(node, need)


def _why_not_open(nodes: list[Any], need: NodeNeed) -> tuple[str, str]:
    taints = sorted({taint for node in nodes for taint in _untolerated(node, need)})
    return f"all are closed by {', '.join(taints)}", "add tolerations to the profile"


def _is_ready(node: Any, need: NodeNeed) -> bool:
    return any(condition.type == "Ready" and condition.status == "True" for condition in node.status.conditions or [])


def _why_not_ready(nodes: list[Any], need: NodeNeed) -> tuple[str, str]:
    return f"none of {', '.join(node.metadata.name for node in nodes)} is ready", "kubectl describe node ..."


def _is_big_enough(node: Any, need: NodeNeed) -> bool:
    return all(_allocatable(node, name) >= amount for name, amount in need.resources)


def _why_not_big_enough(nodes: list[Any], need: NodeNeed) -> tuple[str, str]:
    wish = " and ".join(f"{amount:f} {UNITS.get(name, name)}" for name, amount in need.resources)
    return f"no node has {wish} at once", "ask for less cpu or memory in the profile"


WISHES = (
    (_offers, _why_not_offered),
    (_is_labelled, _why_not_labelled),
    (_is_open, _why_not_open),
    (_is_ready, _why_not_ready),
    (_is_big_enough, _why_not_big_enough),
)


def _labels(node: Any) -> Mapping[str, str]:
    return node.metadata.labels or {}


def _allocatable(node: Any, resource: str) -> Any:
    return parse_quantity((node.status.allocatable or {}).get(resource, "0"))


def _untolerated(node: Any, need: NodeNeed) -> list[str]:
    tolerations = [dict(one) for one in need.tolerations]
    return [
        f"{taint.key}={taint.value or ''}:{taint.effect}"
        for taint in node.spec.taints or []
        if taint.effect != "PreferNoSchedule" and not any(_tolerates(one, taint) for one in tolerations)
    ]


def _tolerates(toleration: Mapping[str, str], taint: Any) -> bool:
    key, operator = toleration.get("key", ""), toleration.get("operator", "Equal")
    if toleration.get("effect", taint.effect) != taint.effect or (key and key != taint.key):
        return False
    return operator == "Exists" or toleration.get("value", "") == (taint.value or "")


def ascend_device_plugin(cluster: Cluster, place: Place, needs: Needs) -> Checks:
    """Its mode: KFP's tasks are scheduled by Kubernetes itself, and mount no driver from their node."""
    if not any(ASCEND in need.accelerators for need in needs.nodes):
        return
    found = [daemons for daemons in cluster.daemon_sets() if _is_ascend_plugin(daemons)]
    if not found:
        detail = "no daemon set of it; it may run outside Kubernetes"
        yield Check("Ascend device plugin", "cannot tell", detail, "install it without Volcano", required=False)
        return
    for daemons in found:
        container = daemons.spec.template.spec.containers[0]
        words = " ".join([*(container.command or []), *(container.args or [])])
        where = f"{daemons.metadata.namespace}/{daemons.metadata.name}"
        if re.search(r"-volcanoType=true", words):
            advice = "start it without -volcanoType=true, or schedule runs with Volcano: docs/cluster.md"
            yield Check("Ascend device plugin", "missing", f"{where} hands devices to Volcano's pods alone", advice)
        else:
            yield Check("Ascend device plugin", "ok", f"{where} serves Kubernetes' own scheduler")
        if re.search(r"-useAscendDocker=false", words):
            advice = "install Ascend Docker Runtime on the nodes and start the plugin with -useAscendDocker=true"
            detail = f"{where} runs with -useAscendDocker=false: KFP's tasks would lack the driver"
            yield Check("Ascend Docker Runtime", "missing", detail, advice)
        else:
            advice = "on each node: grep -r ascend /etc/docker/daemon.json /etc/containerd/config.toml"
            detail = "Kubernetes does not know the container runtime's settings"
            yield Check("Ascend Docker Runtime", "cannot tell", detail, advice, required=False)


def _is_ascend_plugin(daemons: Any) -> bool:
    container = daemons.spec.template.spec.containers[0]
    words = " ".join([daemons.metadata.name, container.image or ""]).lower()
    return "ascend" in words and re.search(r"device-?plugin", words) is not None


def quotas(cluster: Cluster, place: Place, needs: Needs) -> Checks:
    wanted = {name: count for need in needs.nodes for name, count in need.accelerators.items()}
    found = cluster.quotas(place.runs) if wanted else []
    for resource, count in wanted.items():
        key = f"requests.{resource}"
        bounds = [parse_quantity(quota.spec.hard[key]) for quota in found if key in (quota.spec.hard or {})]
        if not bounds:
            advice = "apply an overlay of a pool: manifests/overlays/ascend, gpu or ascend910-vs-gpu"
            yield Check(f"quota of {resource}", "missing", "runs may take the whole pool", advice, required=False)
        elif min(bounds) < count:
            yield Check(
                f"quota of {resource}", "missing", f"it admits {min(bounds)}, a task asks for {count}", "raise it"
            )
        else:
            yield Check(f"quota of {resource}", "ok", f"{min(bounds)} at a time", required=False)
