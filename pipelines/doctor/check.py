"""One line of the list, and the checks that several subjects share."""

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from pipelines.cluster_doctor.api import CannotTellError, Cluster
from pipelines.cluster_doctor.needs import Needs

Status = Literal["ok", "missing", "cannot tell"]


@dataclass(frozen=True)
class Place:
    """Where things are: the namespaces of KFP, of runs and of MLflow, and the account that tasks have."""

    kfp: str
    runs: str
    tracking: str
    account: str


@dataclass(frozen=True)
class Check:
    """One line of the list. Without one that is not ``required``, runs still work."""

    subject: str
    status: Status
    detail: str
    advice: str = ""
    required: bool = True


Checks = Iterator[Check]
Subject = Callable[[Cluster, Place, Needs], Checks]
APPLY = "kubectl apply -k manifests/overlays/..."


def secret(cluster: Cluster, namespace: str, name: str, keys: frozenset[str]) -> Check:
    subject = f"secret {namespace}/{name}"
    advice = "fill it in and apply it: manifests/secrets.example.yaml"
    try:
        found = cluster.secret(namespace, name)
    except CannotTellError as error:
        return Check(subject, "cannot tell", str(error), "ask somebody who may")
    if found is None:
        return Check(subject, "missing", "it is not there", advice)
    empty = sorted(key for key in keys if not base64.b64decode(found.get(key) or "").strip())
    if empty:
        return Check(subject, "missing", f"nothing in {', '.join(empty)}", advice)
    return Check(subject, "ok", f"{len(keys)} keys" if keys else "there")


def without_placeholder(subject: str, text: str, detail: str) -> Check:
    found = re.search(r"[\w./:-]*\.example\b", text)
    if found:
        advice = "put your own into the overlay's kustomization.yaml and providers.yaml"
        return Check(subject, "missing", f"{found[0]} is the example's", advice)
    return Check(subject, "ok", detail)
