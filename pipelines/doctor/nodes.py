"""Nodes that tasks can run on, and what hands their devices out."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from pipelines.doctor.check import Check, Checks, Examination, container
from pipelines.doctor.needs import NodeNeed

ASCEND = "huawei.com/Ascend910"
Node = Mapping[str, Any]


def nodes(at: Examination) -> Checks:
    """For each kind of node that tasks ask for, those that are it; else what the best of them lacks first."""
    found = at.cluster.list("nodes") if at.needs.nodes else []
    for need, tasks in at.needs.nodes.items():
        subject, left = f"node for {', '.join(tasks)}", found
        for lacking, advice in NODE_CHECKS:
            fit = [node for node in left if not lacking(node, need)]
            if not fit:
                least = min((lacking(node, need) for node in left), key=len, default=["everything"])
                yield Check(subject, "missing", f"the best of {len(left)} nodes lacks {', '.join(least)}", advice)
                break
            left = fit
        else:
            names = sorted(node["metadata"]["name"] for node in left)
            yield Check(subject, "ok", f"{len(names)}: {', '.join(names[:3])}")


def _devices(node: Node, need: NodeNeed) -> list[str]:
    return [text for text in _room(node, need) if text.split()[1] in need.accelerators]


def _labels(node: Node, need: NodeNeed) -> list[str]:
    labels = node["metadata"].get("labels", {})
    return [f"label {key}={value}" for key, value in need.node_selector if labels.get(key) != value]


def _room(node: Node, need: NodeNeed) -> list[str]:
    offered = node["status"].get("allocatable", {})
    return [f"{amount:f} {name}" for name, amount in need.resources if parse_quantity(offered.get(name, "0")) < amount]


def _tolerance(node: Node, need: NodeNeed) -> list[str]:
    """The taints that keep pods away, those of Kubernetes for a node that is not ready included."""
    tolerated = {dict(one).get("key") for one in need.tolerations}
    taints = [taint for taint in node["spec"].get("taints") or [] if taint["effect"] != "PreferNoSchedule"]
    closed = [taint for taint in taints if None not in tolerated and taint["key"] not in tolerated]
    return [f"a pod that tolerates {taint['key']}:{taint['effect']}" for taint in closed]


# What a node lacks, the most costly to mend first, and what to do about it.
NODE_CHECKS: tuple[tuple[Callable[[Node, NodeNeed], list[str]], str], ...] = (
    (_devices, "install its vendor's device plugin and look at its log, or ask for fewer"),
    (_labels, "kubectl label node ..., or change node_selector in the profile"),
    (_room, "ask for less cpu or memory in the profile"),
    (_tolerance, "add tolerations to the profile; of a node that is not ready: kubectl describe node ..."),
)


def quotas(at: Examination) -> Checks:
    """How many accelerators runs may have at a time: a quota below what one task asks for lets none begin."""
    wanted = {name: count for need in at.needs.nodes for name, count in need.accelerators.items()}
    found = at.cluster.list("resourcequotas", at.place.runs) if wanted else []
    for resource, count in wanted.items():
        limits = [quota["spec"].get("hard", {}).get(f"requests.{resource}") for quota in found]
        for least in (parse_quantity(limit) for limit in limits if limit is not None):
            detail = f"{least} at a time, a task asks for {count}"
            yield Check(f"quota of {resource}", "ok" if least >= count else "missing", detail)


def ascend_device_plugin(at: Examination) -> Checks:
    """Its mode: it must serve the scheduler that runs have, and a runtime has to bring the driver into their pods."""
    if not any(ASCEND in need.accelerators for need in at.needs.nodes):
        return
    for daemons in at.cluster.list("daemonsets"):
        name, started = daemons["metadata"]["name"], container(daemons)
        words = " ".join([*started.get("command", []), *started.get("args", [])])
        if not re.search(r"ascend.*device-?plugin", f"{name} {started.get('image', '')}".lower()):
            continue
        if "-volcanoType=true" in words and "volcano" not in json.dumps(at.cluster.list("mutatingadmissionpolicies")):
            advice = "start it without -volcanoType=true, or have an admission policy send runs to Volcano"
            yield Check("Ascend device plugin", "missing", f"{name} hands devices to Volcano's pods alone", advice)
        else:
            yield Check("Ascend device plugin", "ok", f"{name} serves the scheduler of runs")
        if "-useAscendDocker=false" in words:
            advice = "install Ascend Docker Runtime on the nodes and start the plugin with -useAscendDocker=true"
            yield Check("Ascend Docker Runtime", "missing", f"of {name}: tasks would lack the driver", advice)
        else:
            advice = "on each node: grep -r ascend /etc/docker/daemon.json /etc/containerd/config.toml"
            yield Check("Ascend Docker Runtime", "cannot tell", "no API knows it", advice, required=False)
