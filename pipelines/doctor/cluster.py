"""Read-only access to a cluster through the Kubernetes API, and helpers that all checks use."""

import base64
import contextlib
import json
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import urllib3
import yaml
from kubernetes import client, config

from dualgan.errors import OF_CONTENT, BadInput, DualGANError
from pipelines.doctor.needs import Needs
from pipelines.kfp_api import KfpApi

# Connecting, answering.
SECONDS = (5.0, 20.0)
REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
FILL_IN = "fill it in and apply it: manifests/secrets.example.yaml"
ADDRESSES = "put your own into the overlay's kustomization.yaml and providers.yaml"


@dataclass(eq=False)
class Problem(Exception):
    """What a check finds wrong, and what to do. ``required``: whether runs cannot do without, None if as its check."""

    detail: str
    advice: str = ""
    required: bool | None = None
    status: Literal["missing", "cannot tell"] = "missing"


def unseen(detail: str, advice: str = "ask somebody who may, or for the right to look") -> Problem:
    """Return the problem that something cannot be told."""
    return Problem(detail, advice, status="cannot tell")


class Cluster:
    """One cluster as the user of a kubeconfig may see it.

    Every method raises a Problem if the user may not look, DualGANError if nothing answers or the credentials are not
    accepted.
    """

    def __init__(self, context: str | None = None) -> None:
        """Raises BadInput if no kubeconfig can be read or it lacks ``context``."""
        self._api = _api_client(context)

    def version(self) -> str:
        try:
            found = self._ask("the version", "/version/")
        except Problem:
            return "of an unknown version"
        if not isinstance(found, dict) or "gitVersion" not in found:
            host = self._api.configuration.host
            raise DualGANError(f"{host} is no Kubernetes API: asked for the version, it answered something else")
        return str(found["gitVersion"])

    def get(self, kind: str, name: str, namespace: str = "") -> dict[str, Any]:
        """An object as the API has it, such as of kind apps/v1/deployments; empty if it is not there."""
        return self._ask(*_place(kind, namespace, f"/{name}")) or {}

    def list(self, kind: str, namespace: str = "") -> list[dict[str, Any]]:
        """All objects of a kind; none if this Kubernetes does not know it."""
        return list((self._ask(*_place(kind, namespace)) or {}).get("items") or [])

    def ask_service(self, namespace: str, service: str, path: str) -> tuple[int, str]:
        """The status and body with which a service answers the API server; 404 or 503 if there is none to answer."""
        status, answer = self._call(f"/api/v1/namespaces/{namespace}/services/{service}/proxy{path}")
        if status == 403:
            raise unseen(f"you may not ask {service} of {namespace}; see --endpoint, --tracking-uri")
        return status, answer if isinstance(answer, str) else json.dumps(answer)

    def can_i(self, namespace: str, account: str, verb: str, resource: str) -> bool:
        """Return whether a service account may ``verb`` a resource in its namespace."""
        user = f"system:serviceaccount:{namespace}:{account}"
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
        attributes = {"namespace": namespace, "verb": verb, "resource": resource}
        spec = {"user": user, "groups": groups, "resourceAttributes": attributes}
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        return bool(self._ask("the rights of others", REVIEWS, body)["status"]["allowed"])

    def _ask(self, what: str, path: str, body: Any = None) -> Any:
        """The answer, None if the API does not have it."""
        status, answer = self._call(path, body)
        if status == 401:
            raise DualGANError("the cluster does not accept these credentials; log in again")
        if status not in (200, 404):
            raise unseen(f"{'you may not read' if status == 403 else f'the API answered {status} to reading'} {what}")
        return answer if status == 200 else None

    def _call(self, path: str, body: Any = None) -> tuple[int, Any]:
        how = {"auth_settings": ["BearerToken"], "response_type": "object", "_return_http_data_only": True}
        how |= {"header_params": {"Content-Type": "application/json"}, "_request_timeout": SECONDS}
        try:
            return 200, self._api.call_api(path, "POST" if body else "GET", body=body, **how)
        except client.ApiException as error:
            return int(error.status), error.body
        except (urllib3.exceptions.HTTPError, OSError) as error:
            cause = " ".join(str(getattr(error, "reason", error)).split())
            raise DualGANError(f"no answer from the cluster at {self._api.configuration.host}: {cause}") from None


def _place(kind: str, namespace: str, name: str = "") -> tuple[str, str]:
    """How objects are called, and the path where they are."""
    group, _, plural = kind.rpartition("/")
    root = f"/apis/{group}" if group else "/api/v1"
    if not namespace:
        return plural, f"{root}/{plural}{name}"
    return f"{plural} of {namespace}", f"{root}/namespaces/{namespace}/{plural}{name}"


def _api_client(context: str | None) -> Any:
    configuration, reason = client.Configuration(), ""
    try:
        # Named, since the library reads the variable once, when it is imported.
        config.load_kube_config(os.environ.get("KUBECONFIG"), context, configuration)
    except (config.ConfigException, OSError, yaml.YAMLError, *OF_CONTENT) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        with contextlib.suppress(config.ConfigException):
            if context is None:
                config.load_incluster_config(client_configuration=configuration)
                reason = ""
    if reason:
        raise BadInput(f"no cluster: {reason}; name a kubeconfig in KUBECONFIG, or another --context")
    if not configuration.host.startswith(("http://", "https://")):
        raise BadInput(f"no cluster: the kubeconfig's server {configuration.host!r} is no https:// address")
    # urllib3's three retries make a user wait four times as long to hear that nothing answers.
    configuration.retries = urllib3.Retry(total=1, status=0)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    return client.ApiClient(configuration)


@dataclass(frozen=True)
class Examination:
    """A cluster, what a profile needs of it, and where things are in it.

    kfp, runs, tracking: the namespaces of KFP, of runs and of our own MLflow; account: the service account that tasks
    have; kfp_api, mlflow_address: KFP and MLflow as seen from here, None and "" if only the cluster knows them.
    """

    cluster: Cluster
    needs: Needs
    kfp: str
    runs: str
    tracking: str
    account: str
    kfp_api: KfpApi | None = None
    mlflow_address: str = ""

    def config(self, name: str, namespace: str = "") -> dict[str, str]:
        """Return what a config map holds, by default one of the runs' namespace; nothing if it is not there."""
        return dict(self.cluster.get("configmaps", name, namespace or self.runs).get("data") or {})

    def secret(self, name: str, keys: set[str], namespace: str = "") -> str:
        """Raise a Problem unless a secret has something under each of ``keys``."""
        found = self.cluster.get("secrets", name, namespace or self.runs)
        values = {key: base64.b64decode(value or "").strip() for key, value in (found.get("data") or {}).items()}
        if not found:
            raise Problem(f"{name} is not there", FILL_IN)
        if empty := sorted(key for key in keys if not values.get(key)):
            raise Problem(f"{name} has nothing in {', '.join(empty)}", FILL_IN)
        return f"{len(keys)} keys" if keys else "there"


def refuse_placeholders(settings: Mapping[str, str], required: bool | None = None) -> None:
    """Raise a Problem if settings still hold an address of the example's."""
    if found := re.search(r"[\w./:-]*\.example\b", "\n".join(settings.values())):
        raise Problem(f"{found[0]} is the example's", ADDRESSES, required)


def container(deployment: Mapping[str, Any]) -> dict[str, Any]:
    """Return the first container of a deployment or a daemon set."""
    return dict(deployment["spec"]["template"]["spec"]["containers"][0])


def below(content: Any, *keys: str) -> Any:
    """Return what stands below ``keys``, None if nothing does."""
    for key in keys:
        content = (content or {}).get(key)
    return content
