"""What the doctor reads of a cluster, through the Kubernetes API; it writes nothing."""

import contextlib
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import urllib3
import yaml
from kubernetes import client, config

from dualgan.errors import BadInput, DualGANError

# Connecting, answering.
SECONDS = (5.0, 20.0)
SERVICE_UNAVAILABLE = 503


class CannotTellError(Exception):
    """The API refused to say, or does not serve it; the text is the reason, ``status`` the HTTP one."""

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class ServiceAccount:
    namespace: str
    name: str


@dataclass(frozen=True)
class Right:
    """``verb`` on ``resource`` of the API group ``group``; ``name`` is that of one object, None means all."""

    verb: str
    resource: str
    group: str = ""
    name: str | None = None

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{f' {self.name}' if self.name else ''}"


class Cluster:
    """One cluster as the user of a kubeconfig may see it. What is not there is None or an empty list.

    Every method raises CannotTellError where the user may not look, DualGANError where nothing answers or the
    credentials are not accepted.
    """

    def __init__(self, context: str | None = None) -> None:
        """Raises BadInput where no kubeconfig can be read or it lacks ``context``."""
        self._api = _api_client(context)
        self._core, self._apps = client.CoreV1Api(self._api), client.AppsV1Api(self._api)

    def version(self) -> str:
        return str(self._demand("the version", client.VersionApi(self._api).get_code).git_version)

    def nodes(self) -> list[Any]:
        return list(self._demand("nodes", self._core.list_node).items)

    def namespace(self, name: str) -> Any:
        return self._ask(f"namespace {name}", self._core.read_namespace, name)

    def deployment(self, namespace: str, name: str) -> Any:
        return self._ask(f"deployments of {namespace}", self._apps.read_namespaced_deployment, name, namespace)

    def daemon_sets(self) -> list[Any]:
        return list(self._demand("daemon sets", self._apps.list_daemon_set_for_all_namespaces).items)

    def secret(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """Its keys and values, these in base64."""
        found = self._ask(f"secrets of {namespace}", self._core.read_namespaced_secret, name, namespace)
        return (found.data or {}) if found else None

    def config_map(self, namespace: str, name: str) -> Mapping[str, str] | None:
        found = self._ask(f"config maps of {namespace}", self._core.read_namespaced_config_map, name, namespace)
        return (found.data or {}) if found else None

    def quotas(self, namespace: str) -> list[Any]:
        return list(self._demand(f"quotas of {namespace}", self._core.list_namespaced_resource_quota, namespace).items)

    def volume_claims(self, namespace: str) -> list[Any]:
        listing = self._core.list_namespaced_persistent_volume_claim
        return list(self._demand(f"volume claims of {namespace}", listing, namespace).items)

    def cron_job(self, namespace: str, name: str) -> Any:
        reading = client.BatchV1Api(self._api).read_namespaced_cron_job
        return self._ask(f"cron jobs of {namespace}", reading, name, namespace)

    def priority_class(self, name: str) -> Any:
        return self._ask("priority classes", client.SchedulingV1Api(self._api).read_priority_class, name)

    def kfp_health(self, namespace: str) -> Any:
        """The body of KFP's health endpoint, read through the Kubernetes API, None where it does not answer."""
        path = f"/api/v1/namespaces/{namespace}/services/ml-pipeline:8888/proxy/apis/v2beta1/healthz"

        def get(**options: Any) -> Any:
            answer = self._api.call_api(
                path,
                "GET",
                auth_settings=["BearerToken"],
                response_type="object",
                _return_http_data_only=True,
                **options,
            )
            return answer if isinstance(answer, dict) else None

        try:
            return self._ask(f"services of {namespace}", get)
        except CannotTellError as error:
            # 503: the service is there, and no pod of it answers.
            if error.status == SERVICE_UNAVAILABLE:
                return None
            raise

    def may(self, account: ServiceAccount, namespace: str, right: Right) -> bool:
        """Whether ``account`` has ``right`` in ``namespace``."""
        attributes = client.V1ResourceAttributes(namespace=namespace, **asdict(right))
        user = f"system:serviceaccount:{account.namespace}:{account.name}"
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{account.namespace}", "system:authenticated"]
        spec = client.V1SubjectAccessReviewSpec(user=user, groups=groups, resource_attributes=attributes)
        review = client.V1SubjectAccessReview(spec=spec)
        asking = client.AuthorizationV1Api(self._api).create_subject_access_review
        return bool(self._demand("the rights of others", asking, review).status.allowed)

    def _demand(self, what: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """What every Kubernetes has."""
        found = self._ask(what, function, *arguments)
        if found is None:
            raise self._is_something_else(what)
        return found

    def _is_something_else(self, what: str) -> DualGANError:
        host = self._api.configuration.host
        return DualGANError(f"{host} is no Kubernetes API: asked for {what}, it answered something else")

    def _ask(self, what: str, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments, _request_timeout=SECONDS)
        except client.ApiException as error:
            if error.status == 404:
                return None
            if error.status == 401:
                raise DualGANError("the cluster does not accept these credentials; log in again") from None
            if error.status == 403:
                raise CannotTellError(f"you may not read {what}", 403) from None
            reason = f"reading {what}: the API answered {error.status} {error.reason}"
            raise CannotTellError(reason, error.status) from None
        except (ValueError, TypeError, AttributeError):
            raise self._is_something_else(what) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            cause = " ".join(str(getattr(error, "reason", error)).split())
            raise DualGANError(f"no answer from the cluster at {self._api.configuration.host}: {cause}") from None


def _api_client(context: str | None) -> Any:
    configuration = client.Configuration()
    try:
        # Named, since the library reads the variable once, when it is imported.
        config.load_kube_config(os.environ.get("KUBECONFIG"), context, configuration)
        return _with_few_retries(configuration)
    except (config.ConfigException, OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
    except (TypeError, KeyError, AttributeError):
        # What the library does with YAML of another shape.
        reason = "the kubeconfig is none: it needs clusters, users and contexts"
    with contextlib.suppress(config.ConfigException):
        if context is None:
            config.load_incluster_config(client_configuration=configuration)
            return _with_few_retries(configuration)
    raise BadInput(f"no cluster: {reason}; name a kubeconfig in KUBECONFIG, or another --context")


def _with_few_retries(configuration: Any) -> Any:
    if not configuration.host.startswith(("http://", "https://")):
        raise BadInput(f"no cluster: the kubeconfig's server {configuration.host!r} is no https:// address")
    # urllib3's three retries make a user wait four times as long to hear that nothing answers.
    configuration.retries = urllib3.Retry(total=1, status=0)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    return client.ApiClient(configuration)
