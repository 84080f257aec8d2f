"""Needs of a compiled package: nodes for its tasks, secrets and config maps by name."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from kubernetes.utils.quantity import parse_quantity

from pipelines.package import package_of
from pipelines.profile import Profile

SEED = re.compile(r"-seed-\d+$")
SECRET, CONFIG_MAP = "secret", "configMap"


class NodeNeed(NamedTuple):
    """What some tasks ask of the node that they run on.

    resources: numbers of cores, bytes, accelerators; affinity: key, operator and values of what its labels must say;
    tolerated: keys of taints, None for any.
    """

    resources: tuple[tuple[str, Decimal], ...]
    node_selector: tuple[tuple[str, str], ...]
    affinity: tuple[tuple[str, str, tuple[str, ...]], ...]
    tolerated: tuple[str | None, ...]


@dataclass
class Needs:
    """What tasks ask for.

    nodes: who asks for each kind of node, all seeds of a task as one; keys: what is read of each secret or config map,
    by its kind and name, and whether tasks need it to start; sources: name and key that an environment variable comes
    from; users: user and group that tasks run as.
    """

    nodes: dict[NodeNeed, list[str]] = field(default_factory=dict)
    keys: dict[tuple[str, str, bool], set[str]] = field(default_factory=dict)
    sources: dict[str, tuple[str, str]] = field(default_factory=dict)
    users: set[tuple[str, str]] = field(default_factory=set)


def needs_of(profile: Profile) -> Needs:
    """What the package of ``profile`` asks for. Raises BadInput if it cannot be compiled."""
    package, needs = package_of(profile), Needs()
    settings = package.platform.get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {})
    for name, executor in package.specification["deploymentSpec"]["executors"].items():
        pod = settings.get("executors", {}).get(name, {})
        need = _node_need(executor["container"].get("resources", {}), pod)
        tasks, task = needs.nodes.setdefault(need, []), SEED.sub("", name.removeprefix("exec-"))
        if task not in tasks:
            tasks.append(task)
        context = pod.get("securityContext", {})
        needs.users.add((str(context.get("runAsUser", "")), str(context.get("runAsGroup", ""))))
        _add_references(needs, pod)
    return needs


def _node_need(stated: Mapping[str, Any], pod: Mapping[str, Any]) -> NodeNeed:
    amounts = {"cpu": stated.get("resourceCpuLimit"), "memory": stated.get("resourceMemoryLimit")}
    if accelerator := stated.get("accelerator"):
        amounts[accelerator["resourceType"]] = accelerator["resourceCount"]
    required = [term for term in pod.get("nodeAffinity", []) if "weight" not in term]
    expressions = [one for term in required for one in term.get("matchExpressions", [])]
    return NodeNeed(
        tuple((name, parse_quantity(amount)) for name, amount in sorted(amounts.items()) if amount),
        tuple(sorted(pod.get("nodeSelector", {}).get("labels", {}).items())),
        tuple((one["key"], one["operator"], tuple(one.get("values", []))) for one in expressions),
        tuple(one.get("key") for one in pod.get("tolerations", [])),
    )


def _add_references(needs: Needs, pod: Mapping[str, Any]) -> None:
    for kind in (SECRET, CONFIG_MAP):
        stated = [*pod.get(f"{kind}AsEnv", []), *pod.get(f"{kind}AsVolume", [])]
        for one in [*stated, *(pod.get("imagePullSecret", []) if kind == SECRET else [])]:
            name = one.get(f"{kind}Name") or one[f"{kind}NameParameter"]["runtimeValue"]["constant"]
            keys = needs.keys.setdefault((kind, name, not one.get("optional", False)), set())
            for pair in one.get("keyToEnv", []):
                keys.add(pair[f"{kind}Key"])
                needs.sources[pair["envVar"]] = (name, pair[f"{kind}Key"])
