"""One cluster, read through the Kubernetes API; nothing is written."""

import contextlib
import json
import logging
import os
from typing import Any

import urllib3
import yaml
from kubernetes import client, config

from dualgan.errors import BadInput, DualGANError

# Connecting, answering.
SECONDS = (5.0, 20.0)
GROUPS = {
    "deployments": "apps/v1",
    "daemonsets": "apps/v1",
    "cronjobs": "batch/v1",
    "priorityclasses": "scheduling.k8s.io/v1",
    "mutatingadmissionpolicies": "admissionregistration.k8s.io/v1",
}
REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


class Unknown(Exception):
    """The API refused to say, or could not; the text is the reason."""


class Cluster:
    """One cluster as the user of a kubeconfig may see it.

    Every method raises Unknown if the user may not look, DualGANError if nothing answers or the credentials are not
    accepted.
    """

    def __init__(self, context: str | None = None) -> None:
        """Raises BadInput if no kubeconfig can be read or it lacks ``context``."""
        self._api = _api_client(context)

    def version(self) -> str:
        found = self._ask("the version", "GET", "/version/")
        if not isinstance(found, dict) or "gitVersion" not in found:
            host = self._api.configuration.host
            raise DualGANError(f"{host} is no Kubernetes API: asked for the version, it answered something else")
        return str(found["gitVersion"])

    def get(self, kind: str, name: str, namespace: str = "") -> dict[str, Any]:
        """An object as the API has it; empty if it is not there."""
        return self._ask(f"{kind} of {namespace}", "GET", f"{_path(kind, namespace)}/{name}") or {}

    def list(self, kind: str, namespace: str = "") -> list[dict[str, Any]]:
        """All objects of a kind; none if this Kubernetes does not know it."""
        found = self._ask(f"{kind} of {namespace}" if namespace else kind, "GET", _path(kind, namespace)) or {}
        return list(found.get("items") or [])

    def ask_service(self, namespace: str, service: str, path: str) -> tuple[int, str]:
        """The status and body with which a service answers the API server; 404 or 503 if there is none to answer."""
        try:
            answer = self._call("GET", f"/api/v1/namespaces/{namespace}/services/{service}/proxy{path}")
            return 200, answer if isinstance(answer, str) else json.dumps(answer)
        except client.ApiException as error:
            if error.status == 403:
                raise Unknown(f"you may not ask {service} of {namespace}; see --endpoint, --tracking-uri") from None
            return int(error.status), str(error.body)

    def can_i(self, namespace: str, account: str, verb: str, resource: str) -> bool:
        """Return whether a service account may ``verb`` a resource in its namespace."""
        user = f"system:serviceaccount:{namespace}:{account}"
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
        attributes = {"namespace": namespace, "verb": verb, "resource": resource}
        spec = {"user": user, "groups": groups, "resourceAttributes": attributes}
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        return bool(self._ask("the rights of others", "POST", REVIEWS, body)["status"]["allowed"])

    def _ask(self, what: str, method: str, path: str, body: Any = None) -> Any:
        """The answer, None if the API does not have it."""
        try:
            return self._call(method, path, body)
        except client.ApiException as error:
            if error.status == 404:
                return None
            if error.status == 401:
                raise DualGANError("the cluster does not accept these credentials; log in again") from None
            said = "you may not read" if error.status == 403 else f"the API answered {error.status} to reading"
            raise Unknown(f"{said} {what}") from None

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        try:
            return self._api.call_api(
                path,
                method,
                body=body,
                header_params={"Content-Type": "application/json"},
                auth_settings=["BearerToken"],
                response_type="object",
                _return_http_data_only=True,
                _request_timeout=SECONDS,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            cause = " ".join(str(getattr(error, "reason", error)).split())
            raise DualGANError(f"no answer from the cluster at {self._api.configuration.host}: {cause}") from None


def _path(kind: str, namespace: str) -> str:
    group = f"/apis/{GROUPS[kind]}" if kind in GROUPS else "/api/v1"
    return f"{group}/namespaces/{namespace}/{kind}" if namespace else f"{group}/{kind}"


def _api_client(context: str | None) -> Any:
    configuration, reason = client.Configuration(), ""
    try:
        # Named, since the library reads the variable once, when it is imported.
        config.load_kube_config(os.environ.get("KUBECONFIG"), context, configuration)
    except (config.ConfigException, OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
    except (TypeError, KeyError, AttributeError):
        # What the library does with YAML of another shape.
        reason = "the kubeconfig is none: it needs clusters, users and contexts"
    if reason and context is None:
        with contextlib.suppress(config.ConfigException):
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
