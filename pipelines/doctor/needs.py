"""What a compiled package asks of a cluster: nodes for its tasks, secrets and config maps by name."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from kubernetes.utils.quantity import parse_quantity

from pipelines.compile import compile_package
from pipelines.profile import Profile

Keys = dict[str, frozenset[str]]
Resources = tuple[tuple[str, Decimal], ...]
SEED = re.compile(r"-seed-\d+$")


@dataclass(frozen=True)
class NodeNeed:
    """What some tasks ask of the node that they run on.

    ``resources`` are Kubernetes' quantities as numbers: cores, bytes, accelerators.
    """

    tasks: tuple[str, ...]
    resources: Resources
    node_selector: tuple[tuple[str, str], ...]
    tolerations: tuple[tuple[tuple[str, str], ...], ...]

    @property
    def accelerators(self) -> dict[str, Decimal]:
        return {name: count for name, count in self.resources if name not in {"cpu", "memory"}}


@dataclass(frozen=True)
class Needs:
    nodes: tuple[NodeNeed, ...]
    secrets: Keys
    config_maps: Keys


def needs_of(profile: Profile) -> Needs:
    """What the package of ``profile`` asks for; BadInput where it cannot be compiled."""
    with TemporaryDirectory() as folder:
        package = Path(folder) / "package.yaml"
        compile_package(profile, package)
        spec, *platform = yaml.safe_load_all(package.read_text(encoding="utf-8"))
    executors = spec["deploymentSpec"]["executors"]
    settings = platform[0]["platforms"]["kubernetes"]["deploymentSpec"]["executors"] if platform else {}
    # One name for all the seeds of a task, which ask for the same.
    tasks: dict[tuple[Any, ...], dict[str, None]] = {}
    for name, executor in executors.items():
        need = (_resources(executor["container"].get("resources", {})), *_placement(settings.get(name, {})))
        tasks.setdefault(need, {})[SEED.sub("", name.removeprefix("exec-"))] = None
    nodes = tuple(NodeNeed(tuple(names), *need) for need, names in tasks.items() if any(need))
    return Needs(nodes, _references(settings.values(), "secret"), _references(settings.values(), "configMap"))


def _resources(stated: Mapping[str, Any]) -> Resources:
    found: dict[str, Any] = {}
    for name, key in (("cpu", "resourceCpuLimit"), ("memory", "resourceMemoryLimit")):
        if key in stated:
            found[name] = stated[key]
    accelerator = stated.get("accelerator", {})
    if accelerator:
        found[accelerator["resourceType"]] = accelerator["resourceCount"]
    return tuple((name, parse_quantity(value)) for name, value in sorted(found.items()))


def _placement(stated: Mapping[str, Any]) -> tuple[Any, Any]:
    selector = tuple(sorted(stated.get("nodeSelector", {}).get("labels", {}).items()))
    tolerations = [
        tuple(sorted((key, str(value)) for key, value in one.items())) for one in stated.get("tolerations", [])
    ]
    return selector, tuple(sorted(tolerations))


def _references(executors: Iterable[Mapping[str, Any]], kind: str) -> Keys:
    """Names of the secrets or config maps that tasks cannot start without, each with the keys that must be in it."""
    keys: dict[str, set[str]] = {}
    for executor in executors:
        as_variables, as_volumes = executor.get(f"{kind}AsEnv", []), executor.get(f"{kind}AsVolume", [])
        pulling = executor.get("imagePullSecret", []) if kind == "secret" else []
        for reference in (*as_variables, *as_volumes, *pulling):
            constant = reference.get(f"{kind}NameParameter", {}).get("runtimeValue", {}).get("constant")
            name = reference.get(f"{kind}Name") or constant
            if name and not reference.get("optional", False):
                pairs = reference.get("keyToEnv", [])
                keys.setdefault(name, set()).update(pair[f"{kind}Key"] for pair in pairs)
    return {name: frozenset(found) for name, found in sorted(keys.items())}
