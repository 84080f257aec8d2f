"""One line of the list, and what several checks share."""

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pipelines.doctor.cluster import Cluster, Unknown
from pipelines.doctor.needs import Needs


@dataclass(frozen=True)
class Place:
    """Where things are: the namespaces of KFP, of runs and of our own MLflow, the account that tasks have, and the
    addresses of KFP and MLflow as seen from here, "" for those that only the cluster knows."""

    kfp: str
    runs: str
    tracking: str
    account: str
    kfp_address: str = ""
    mlflow_address: str = ""


@dataclass(frozen=True)
class Check:
    """One line of the list. Runs work without one that is not ``required``."""

    subject: str
    status: Literal["ok", "missing", "cannot tell"]
    detail: str
    advice: str = ""
    required: bool = True


Checks = Iterator[Check]
Subject = Callable[[Cluster, Place, Needs], Checks]
APPLY = "kubectl apply -k manifests/overlays/..."
FILL_IN = "fill it in and apply it: manifests/secrets.example.yaml"


def secret(cluster: Cluster, namespace: str, name: str, keys: set[str], required: bool = True) -> Check:
    subject = f"secret {namespace}/{name}"
    try:
        found = cluster.get("secrets", name, namespace)
    except Unknown as error:
        return Check(subject, "cannot tell", str(error), "ask somebody who may", required)
    filled = {key for key, value in (found.get("data") or {}).items() if base64.b64decode(value or "").strip()}
    if not found or keys - filled:
        detail = f"nothing in {', '.join(sorted(keys - filled))}" if found else "it is not there"
        return Check(subject, "missing", detail, FILL_IN, required)
    return Check(subject, "ok", f"{len(keys)} keys" if keys else "there", required=required)


def placeholder(subject: str, settings: dict[str, str], required: bool = True) -> Check | None:
    found = re.search(r"[\w./:-]*\.example\b", "\n".join(settings.values()))
    advice = "put your own into the overlay's kustomization.yaml and providers.yaml"
    return Check(subject, "missing", f"{found[0]} is the example's", advice, required) if found else None


def container(deployment: dict[str, Any]) -> dict[str, Any]:
    return dict(deployment["spec"]["template"]["spec"]["containers"][0])


def within(content: Any, *keys: str) -> Any:
    """What stands below ``keys``, None if nothing does. Raises ValueError for something that has no keys."""
    for key in keys:
        if not isinstance(content, dict):
            raise ValueError(f"{key}: its parent has no keys")
        content = content.get(key)
        if content is None:
            return None
    return content
