"""One line of the doctor's list, and what several checks share."""

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pipelines.doctor.cluster import Cluster, Unknown
from pipelines.doctor.needs import Needs

Status = Literal["ok", "missing", "cannot tell"]
APPLY = "kubectl apply -k manifests/overlays/..."
FILL_IN = "fill it in and apply it: manifests/secrets.example.yaml"


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
    status: Status
    detail: str
    advice: str = ""
    required: bool = True


@dataclass(frozen=True)
class Examination:
    """A cluster, where things are in it, and what a profile needs of it."""

    cluster: Cluster
    place: Place
    needs: Needs

    def config(self, name: str, namespace: str = "") -> dict[str, str]:
        """Return what a config map holds, by default one of the runs' namespace; nothing if it is not there."""
        return dict(self.cluster.get("configmaps", name, namespace or self.place.runs).get("data") or {})

    def secret(self, namespace: str, name: str, keys: set[str], required: bool = True) -> Check:
        """Check that a secret has something under each of ``keys``."""
        subject = f"secret {namespace}/{name}"
        try:
            found = self.cluster.get("secrets", name, namespace)
        except Unknown as error:
            return Check(subject, "cannot tell", str(error), "ask somebody who may", required)
        filled = {key for key, value in (found.get("data") or {}).items() if base64.b64decode(value or "").strip()}
        if not found or keys - filled:
            detail = f"nothing in {', '.join(sorted(keys - filled))}" if found else "it is not there"
            return Check(subject, "missing", detail, FILL_IN, required)
        return Check(subject, "ok", f"{len(keys)} keys" if keys else "there", required=required)


Checks = Iterator[Check]
Subject = Callable[[Examination], Checks]


def placeholder(subject: str, settings: dict[str, str], required: bool = True) -> Check | None:
    """Return a fault if settings still hold an address of the example's."""
    found = re.search(r"[\w./:-]*\.example\b", "\n".join(settings.values()))
    advice = "put your own into the overlay's kustomization.yaml and providers.yaml"
    return Check(subject, "missing", f"{found[0]} is the example's", advice, required) if found else None


def container(deployment: dict[str, Any]) -> dict[str, Any]:
    """Return the first container of a deployment or a daemon set."""
    return dict(deployment["spec"]["template"]["spec"]["containers"][0])


def within(content: Any, *keys: str) -> Any:
    """Return what stands below ``keys``, None if nothing does. Raises ValueError for something that has no keys."""
    for key in keys:
        if not isinstance(content, dict):
            raise ValueError(f"{key}: its parent has no keys")
        content = content.get(key)
        if content is None:
            return None
    return content
