"""Needs of a compiled package: nodes for its tasks, secrets and config maps by name."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from kubernetes.utils.quantity import parse_quantity

from pipelines.package import package_of
from pipelines.profile import Profile

SEED = re.compile(r"-seed-\d+$")


class NodeNeed(NamedTuple):
    """What some tasks ask of the node that they run on; ``resources`` are numbers: cores, bytes, accelerators."""

    resources: tuple[tuple[str, Decimal], ...]
    node_selector: tuple[tuple[str, str], ...]
    tolerations: tuple[tuple[tuple[str, str], ...], ...]

    @property
    def accelerators(self) -> dict[str, Decimal]:
        return {name: count for name, count in self.resources if name not in {"cpu", "memory"}}


class Reference(NamedTuple):
    """A key of a secret or config map (``kind``) that tasks read; ``key`` is "" for the whole."""

    kind: str
    name: str
    key: str
    variable: str
    required: bool


@dataclass(frozen=True)
class Needs:
    """``nodes``: who asks for each kind of node, all seeds of a task as one."""

    nodes: Mapping[NodeNeed, tuple[str, ...]]
    references: tuple[Reference, ...]

    def keys(self, kind: str) -> dict[tuple[str, bool], set[str]]:
        """The keys that tasks read of each secret or config map, by its name and whether they start without it."""
        found: dict[tuple[str, bool], set[str]] = {}
        for one in self.references:
            if one.kind == kind:
                found.setdefault((one.name, one.required), set()).update({one.key} - {""})
        return found

    def source_of(self, variable: str) -> Reference | None:
        """Where tasks have an environment variable from."""
        return next((one for one in self.references if one.variable == variable), None)


def needs_of(profile: Profile) -> Needs:
    """What the package of ``profile`` asks for. Raises BadInput if it cannot be compiled."""
    package = package_of(profile)
    settings = package.platform.get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {})
    platform: Mapping[str, Any] = settings.get("executors", {})
    tasks: dict[NodeNeed, dict[str, None]] = {}
    for name, executor in package.specification["deploymentSpec"]["executors"].items():
        need = _node_need(executor["container"].get("resources", {}), platform.get(name, {}))
        tasks.setdefault(need, {})[SEED.sub("", name.removeprefix("exec-"))] = None
    references = dict.fromkeys(one for executor in platform.values() for one in _references(executor))
    return Needs({need: tuple(names) for need, names in tasks.items() if any(need)}, tuple(references))


def _node_need(stated: Mapping[str, Any], platform: Mapping[str, Any]) -> NodeNeed:
    found = {
        name: stated[key]
        for name, key in (("cpu", "resourceCpuLimit"), ("memory", "resourceMemoryLimit"))
        if key in stated
    }
    if accelerator := stated.get("accelerator"):
        found[accelerator["resourceType"]] = accelerator["resourceCount"]
    tolerations = [
        tuple(sorted((key, str(value)) for key, value in one.items())) for one in platform.get("tolerations", [])
    ]
    return NodeNeed(
        tuple((name, parse_quantity(value)) for name, value in sorted(found.items())),
        tuple(sorted(platform.get("nodeSelector", {}).get("labels", {}).items())),
        tuple(sorted(tolerations)),
    )


def _references(executor: Mapping[str, Any]) -> Iterator[Reference]:
    for kind in ("secret", "configMap"):
        stated: Iterable[Mapping[str, Any]] = (
            *executor.get(f"{kind}AsEnv", []),
            *executor.get(f"{kind}AsVolume", []),
            *(executor.get("imagePullSecret", []) if kind == "secret" else []),
        )
        for one in stated:
            constant = one.get(f"{kind}NameParameter", {}).get("runtimeValue", {}).get("constant")
            name, required = one.get(f"{kind}Name") or constant, not one.get("optional", False)
            for pair in one.get("keyToEnv", []) or [{}] if name else []:
                yield Reference(kind, name, pair.get(f"{kind}Key", ""), pair.get("envVar", ""), required)
