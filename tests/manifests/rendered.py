"""What `kubectl kustomize` makes of the manifests: of each overlay, and of two sites that use every component."""

import functools
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "manifests"
OVERLAYS = sorted(folder.name for folder in (MANIFESTS / "overlays").iterdir())
OPTIONS = tuple(f"options/{folder.name}" for folder in sorted((MANIFESTS / "options").iterdir()))
# Overlay and components, in the order in which a site lists them.
SITES = {
    "every-option": ("local-storage", ("pools/ascend", *OPTIONS)),
    "a-team": ("ascend910-vs-gpu", (*OPTIONS, "multi-user")),
}
# The site that is copied, which uses some of what SITES use.
EXAMPLE = "site.example"
VALUES = {
    "namespace": "team-a",
    "host": "mlflow.my-company.net",
    "issuer": "letsencrypt",
    "ingressNamespace": "ingress-nginx",
}
Object = dict[str, Any]


def runs_namespace(rendering: str) -> str:
    """Where KFP executes the runs of an overlay or site."""
    return VALUES["namespace"] if rendering == "a-team" else "kubeflow"


@functools.cache
def rendered(name: str) -> tuple[Object, ...]:
    """Every object of an overlay, one of SITES or EXAMPLE, as `kubectl apply -k` would send it."""
    if name in SITES:
        return render_site(*SITES[name])
    return render(MANIFESTS / (EXAMPLE if name == EXAMPLE else f"overlays/{name}"))


def render_site(overlay: str, components: tuple[str, ...]) -> tuple[Object, ...]:
    """A site's folder, with VALUES."""
    with tempfile.TemporaryDirectory() as folder:
        manifests = Path(os.path.relpath(MANIFESTS, Path(folder).resolve()))
        metadata = {"name": "dualgan-parity-site", "annotations": {"config.kubernetes.io/local-config": "true"}}
        values = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": VALUES}
        kustomization = {
            "resources": [str(manifests / "overlays" / overlay), "values.yaml"],
            "components": [str(manifests / component) for component in components],
        }
        for file, content in {"values.yaml": values, "kustomization.yaml": kustomization}.items():
            Path(folder, file).write_text(yaml.safe_dump(content))
        return render(Path(folder))


def render(folder: Path) -> tuple[Object, ...]:
    command = ["kubectl", "kustomize", str(folder)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert answer.returncode == 0, answer.stderr
    return tuple(yaml.safe_load_all(answer.stdout))


def of_kind(objects: tuple[Object, ...], *kinds: str) -> list[Object]:
    return [found for found in objects if found["kind"] in kinds]


def named(objects: tuple[Object, ...], kind: str, name: str) -> Object:
    """The one object of this kind and name; a generated name may end in a digest of its content."""
    pattern = re.compile(rf"{name}(-[0-9a-z]{{10}})?")
    found = [candidate for candidate in of_kind(objects, kind) if pattern.fullmatch(candidate["metadata"]["name"])]
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


def example_secrets(runs: str = "kubeflow") -> dict[tuple[str, str], set[str]]:
    """Namespace and name of every secret of the example, with its keys; runs are executed in ``runs``."""
    text = (MANIFESTS / "secrets.example.yaml").read_text().replace("namespace: kubeflow", f"namespace: {runs}")
    return {
        (secret["metadata"]["namespace"], secret["metadata"]["name"]): set(secret["stringData"])
        for secret in yaml.safe_load_all(text)
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


def command_line(container: Object, variables: dict[str, str]) -> list[str]:
    """The words that Kubernetes starts ``container`` with."""
    words = [*container["command"], *container.get("args", [])]
    return [re.sub(r"\$\((\w+)\)", lambda match: variables[match[1]], word) for word in words]


def main(folder: Path) -> None:
    """Write a file for each overlay and site, for a policy scan."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*OVERLAYS, *SITES, EXAMPLE):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump_all(rendered(name)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
