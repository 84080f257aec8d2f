"""What `kubectl kustomize` makes of the manifests."""

import functools
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "manifests"
OVERLAYS = sorted(folder.name for folder in (MANIFESTS / "overlays").iterdir())
Object = dict[str, Any]


@functools.cache
def rendered(overlay: str) -> tuple[Object, ...]:
    """Every object of an overlay, as `kubectl apply -k` would send it."""
    command = ["kubectl", "kustomize", str(MANIFESTS / "overlays" / overlay)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert answer.returncode == 0, answer.stderr
    return tuple(yaml.safe_load_all(answer.stdout))


def of_kind(objects: tuple[Object, ...], *kinds: str) -> list[Object]:
    return [found for found in objects if found["kind"] in kinds]


def named(objects: tuple[Object, ...], kind: str, name: str) -> Object:
    """The one object of this kind and name; a generated name may end in a digest of its content."""
    found = [
        candidate
        for candidate in of_kind(objects, kind)
        if candidate["metadata"]["name"] in {name, f"{name}-{candidate['metadata']['name'].rpartition('-')[2]}"}
    ]
    assert len(found) == 1, f"{len(found)} objects of kind {kind} are called {name}"
    return found[0]


def identity(found: Object) -> str:
    metadata = found["metadata"]
    return "/".join((found["kind"], metadata.get("namespace", ""), metadata["name"]))


def pod_templates(objects: tuple[Object, ...]) -> Iterator[tuple[Object, Object]]:
    """Each object that makes pods, with its template (metadata and spec)."""
    for found in of_kind(objects, "Deployment", "StatefulSet", "CronJob"):
        spec = found["spec"]["jobTemplate"]["spec"] if found["kind"] == "CronJob" else found["spec"]
        yield found, spec["template"]


def containers(template: Object) -> list[Object]:
    return [*template["spec"].get("initContainers", []), *template["spec"]["containers"]]


def example_secrets() -> dict[tuple[str, str], set[str]]:
    """Namespace and name of every secret of the example, with its keys."""
    objects = yaml.safe_load_all((MANIFESTS / "secrets.example.yaml").read_text())
    return {
        (secret["metadata"]["namespace"], secret["metadata"]["name"]): set(secret["stringData"]) for secret in objects
    }


def environment(
    objects: tuple[Object, ...], owner: Object, container: Object, secrets: dict[tuple[str, str], dict[str, str]]
) -> dict[str, str]:
    """The variables that Kubernetes would start ``container`` with, secrets taken from ``secrets``."""
    namespace: str = owner["metadata"]["namespace"]
    variables: dict[str, str] = {}
    for source in container.get("envFrom", []):
        variables |= named(objects, "ConfigMap", source["configMapRef"]["name"])["data"]
    for entry in container.get("env", []):
        reference = entry.get("valueFrom", {}).get("secretKeyRef")
        value = secrets[namespace, reference["name"]][reference["key"]] if reference else entry["value"]
        variables[entry["name"]] = value
    return variables
