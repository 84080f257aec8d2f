"""Checks of Kubeflow Pipelines and MLflow: whether they answer, and the settings that decide what becomes of a run.

Each returns what is fine, or raises the Problem that it finds; for settings of another shape whatever Python does.
"""

import base64
import itertools
import json
import re
from typing import Any
from urllib.parse import urlsplit

import requests

from components.common.address import Address
from components.common.threads import within
from components.common.yaml_files import parse_yaml
from dualgan.errors import DualGANError
from pipelines.doctor.cluster import FILL_IN, Examination, Problem, below, container, refuse_placeholders, unseen
from pipelines.kfp_api import Unreachable

# KFP's launcher runs on the node of a task, and Ascend servers are arm64: the first release with such images.
OLDEST = (2, 17)
NODE, TRAINER = "a node that is lost", "a trainer that dies"
RETRIED = {"Always": [NODE, TRAINER], "OnError": [NODE], "OnFailure": [TRAINER], "": [TRAINER]}
# What a company's proxy says of what it does not reach.
PROXY_ERRORS = (502, 503, 504)
# For MLflow's answers, and the pieces that are read of each.
SECONDS, PIECE, MAX_PIECES = 10.0, 1 << 16, 16
LOGIN = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
# What manifests/secrets.example.yaml has for our own MLflow.
SECRETS_OF_OURS = {
    "mlflow-database": {"username", "password"},
    "mlflow-artifacts": {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"},
    "mlflow-admin": {"username", "password", "flask-secret-key"},
    "mlflow-accounts": {"tasks"},
}


def kfp_api(at: Examination) -> str:
    """At an address that is given it is asked with the user's login, else as the service ml-pipeline."""
    advice = f"kubectl logs -n {at.kfp} deployment/ml-pipeline; is KFP elsewhere: --kfp-namespace, --endpoint"
    try:
        if at.kfp_api:
            many = at.kfp_api.has_many_users()
            # A submission asks with its login, of the namespace of runs.
            next(at.kfp_api.runs(""), None)
            return f"answers; for {'many users' if many else 'one user'}"
    except Unreachable:
        # It may be that only the cluster reaches it.
        pass
    except DualGANError as error:
        raise Problem(str(error), advice) from None
    status, body = at.cluster.ask_service(at.kfp, "ml-pipeline:8888", "/apis/v2beta1/healthz")
    if status != 200 or not body.startswith("{"):
        raise Problem(f"ml-pipeline of {at.kfp} does not answer ({status})", advice)
    return f"answers; for {'many users' if json.loads(body).get('multi_user') else 'one user'}"


def kfp_version(at: Examination) -> str:
    """KFP's API does not tell its release: the tag of its server's image does."""
    image, oldest = _server(at).get("image", "no server of KFP"), ".".join(map(str, OLDEST))
    found = re.search(r":v?((\d+)\.(\d+)[^@]*)", image)
    if not found:
        raise unseen(f"{image} has no version in its tag", f"see that it is {oldest} or newer")
    if (int(found[2]), int(found[3])) < OLDEST:
        raise Problem(found[1], f"install KFP {oldest} or newer", required=True)
    return found[1]


def priority_of_runs(at: Examination) -> str:
    """KFP's server gives every run a priority class: one that is not there stops them all."""
    variables = {one["name"]: one.get("value") for one in _server(at).get("env", [])}
    name = json.loads(variables.get("COMPILED_PIPELINE_SPEC_PATCH") or "{}").get("podPriorityClassName")
    if not name:
        raise Problem("KFP gives runs no priority class", "manifests/kfp/api-server-patch.yaml gives one")
    if not at.cluster.get("scheduling.k8s.io/v1/priorityclasses", str(name)):
        raise Problem(f"KFP gives runs {name}, which is not there", "kubectl apply -k manifests/overlays/...", True)
    return str(name)


def user_of_tasks(at: Examination) -> str:
    """KFP puts an admin's default security context in the place of what a profile says."""
    name, key = "pipeline-install-config", "defaultSecurityContextRunAs"
    users, groups = ({pair[place] for pair in at.needs.users} for place in (0, 1))
    settings = at.config(name, at.kfp)
    for what, ours in (("User", users), ("Group", groups), ("NonRoot", {"true", "True"})):
        value = settings.get(f"{key}{what}")
        if value and {value} - ours:
            detail = f"{name} of {at.kfp} has {key}{what}={value} in the place of the profile's"
            # Tasks are never root: Kubernetes refuses one that is to be.
            stops = (what, value) == ("User", "0")
            raise Problem(detail, "leave it empty, or change user in the profile", required=stops)
    return "the profile's"


def mlflow_plugin(at: Examination) -> str:
    """KFP's own MLflow plugin must not set variables that tasks have from secrets and config maps already."""
    advice, name = "see docs/cluster.md: merge manifests/kfp/mlflow-plugin.json", _server(at).get("settings")
    plugin = below(json.loads(at.config(name, at.kfp).get("config.json", "") if name else "{}"), "plugins", "mlflow")
    # The namespace of runs has the last word.
    injects = below(
        json.loads(at.config("kfp-launcher").get("plugins.mlflow") or "{}"), "settings", "injectUserEnvVars"
    )
    injects = below(plugin, "settings", "injectUserEnvVars") if injects is None else injects
    if injects and (plugin or not name):
        detail = "injectUserEnvVars is true: a task's pod, which then has a variable of MLflow twice, is refused"
        raise Problem(detail, "set it to false, in config.json and in kfp-launcher", required=True)
    if not name:
        raise unseen("its settings are those inside KFP's image", advice)
    if not plugin:
        raise Problem(f"config map {name} does not set it", advice)
    return f"{plugin.get('endpoint')}; an address that is wrong costs a line in the log"


def failures_that_are_retried(at: Examination) -> str:
    """KFP leaves it to Argo's configuration which failures the retries of a task are for."""
    name = "workflow-controller-configmap"
    found = at.config(name, at.kfp)
    # Argo reads each key as YAML of its own, or all of them from one called config.
    stated = below(parse_yaml(found.get("config", ""), name), "workflowDefaults")
    defaults = stated or parse_yaml(found.get("workflowDefaults", ""), name)
    policy = below(defaults, "spec", "templateDefaults", "retryStrategy", "retryPolicy") or ""
    if not found or policy not in RETRIED:
        raise unseen(f"{name} of {at.kfp} does not say", "see docs/cluster.md")
    if left := [one for one in (NODE, TRAINER) if one not in RETRIED[policy]]:
        advice = "manifests/kfp/workflow-controller-patch.yaml makes Argo retry both"
        raise Problem(f"{RETRIED[policy][0]}, not {left[0]}", advice)
    return " and ".join(RETRIED[policy])


def object_store(at: Examination) -> str:
    """Where KFP keeps artifacts, and the keys for it; without settings of its own KFP uses its own store."""
    settings = at.config("kfp-launcher")
    refuse_placeholders(settings)
    for provider in (parse_yaml(settings.get("providers", ""), "providers of kfp-launcher") or {}).values():
        if given := below(provider, "default", "credentials", "secretRef"):
            at.secret(given["secretName"], {given["accessKeyKey"], given["secretKeyKey"]})
    return settings.get("defaultPipelineRoot") or "the one that KFP brings"


def _server(at: Examination) -> dict[str, Any]:
    """The container of KFP's API server, whatever its deployment is called; empty if none is to be seen.

    ``settings`` is the config map that it reads them from, unless they are in its image.
    """
    for deployment in at.cluster.list("apps/v1/deployments", at.kfp):
        server = container(deployment)
        if deployment["metadata"]["name"] == "ml-pipeline" or "api-server" in server.get("image", ""):
            volumes = deployment["spec"]["template"]["spec"].get("volumes") or []
            maps = {one["name"]: one["configMap"]["name"] for one in volumes if "configMap" in one}
            for mount in server.get("volumeMounts") or []:
                if mount["mountPath"] in {"/config", "/config/config.json"} and mount["name"] in maps:
                    server["settings"] = maps[mount["name"]]
            return server
    return {}


def mlflow(at: Examination) -> str:
    """The MLflow that tasks are told of, whoever runs it: as seen from here with their login, else as a service."""
    name, key = at.needs.sources.get("MLFLOW_TRACKING_URI", ("", ""))
    told = at.config(name).get(key, "") if name else ""
    if at.mlflow_address and (answer := _asked_from_here(at, at.mlflow_address)):
        return answer
    if not told:
        advice = "name it in the config map dualgan-parity, or submit with --parameter tracking_uri=..."
        raise Problem("tasks are told of no MLFLOW_TRACKING_URI", advice, False, "cannot tell")
    parts, label = urlsplit(told), str(Address(told))
    service, _, rest = (parts.hostname or "").partition(".")
    namespace = rest.removesuffix(".cluster.local").removesuffix(".svc") or at.runs
    if "." in namespace or not at.cluster.get("namespaces", namespace):
        if answer := _asked_from_here(at, told):
            return answer
        detail = f"{label} does not answer here; it may be the cluster's alone to reach"
        raise Problem(detail, "the first task of a run tells", False, "cannot tell")
    port = parts.port or 80
    status, _ = at.cluster.ask_service(namespace, f"{service}:{port}", f"{parts.path.rstrip('/')}/health")
    if status != 200:
        advice = f"kubectl describe service {service} -n {namespace}; kubectl get pods -n {namespace}"
        raise Problem(f"{label} does not answer ({status})", advice)
    forward = f"kubectl port-forward -n {namespace} service/{service} 5000:{port}"
    return f"{label} answers; for its version and login: {forward}; --tracking-uri http://localhost:5000"


def _asked_from_here(at: Examination, address: str) -> str:
    """What an MLflow says of its version and to the tasks' login; "" if it is not to be reached from here."""
    values = []
    for name, key in (at.needs.sources[one] for one in LOGIN if one in at.needs.sources):
        data = at.cluster.get("secrets", name, at.runs).get("data") or {}
        values.append(base64.b64decode(data.get(key) or "").decode().strip())
    login = (values[0], values[1]) if len(values) == len(LOGIN) and all(values) else None
    paths, label = ("version", "api/2.0/mlflow/experiments/search?max_results=1"), str(Address(address))
    try:
        (_, version), (status, said) = within(
            SECONDS, lambda: [_answer(f"{address.rstrip('/')}/{path}", login) for path in paths]
        )
    except (requests.RequestException, TimeoutError):
        return ""
    if "Invalid Host header" in said or status in PROXY_ERRORS:
        return ""
    if status in (401, 403):
        raise Problem(f"{label} does not accept the login of tasks ({status})", FILL_IN)
    if status != 200 or not said.startswith("{"):
        raise Problem(f"{label} is no MLflow: it answers {status}", "see --tracking-uri")
    known = version if re.fullmatch(r"\d[\w.]*", version) else "of an unknown version"
    return f"{label} answers, {known}; the tasks' login is accepted"


def _answer(address: str, login: tuple[str, str] | None) -> tuple[int, str]:
    """The status and the beginning of the text that a server answers; elsewhere is not to get the login."""
    headers = {"Accept-Encoding": "identity"}
    with requests.get(
        address, auth=login, headers=headers, timeout=SECONDS / 2, allow_redirects=False, stream=True
    ) as response:
        content = b"".join(itertools.islice(response.iter_content(PIECE), MAX_PIECES))
        return response.status_code, content.decode("utf-8", "replace").strip()


def our_mlflow(at: Examination) -> str:
    """What our own MLflow needs, if it is there."""
    server = at.cluster.get("apps/v1/deployments", "mlflow", at.tracking)
    if not server:
        return "none; tasks may have another"
    for name, keys in SECRETS_OF_OURS.items():
        at.secret(name, keys, at.tracking)
    for source in container(server).get("envFrom", []):
        refuse_placeholders(at.config(source["configMapRef"]["name"], at.tracking))
    return "its secrets are filled in"
