"""Kubeflow Pipelines: whether it answers, its release, and the settings that decide what becomes of a run."""

import json
import re
from typing import Any

from components.common.yaml_files import parse_yaml
from dualgan.errors import BadInput, DualGANError
from pipelines.doctor.check import APPLY, Check, Checks, Examination, container, placeholder, within
from pipelines.kfp_api import KfpApi, Lost, endpoint

# Its launcher runs on the node of a task, and Ascend servers are arm64: the first release with such images.
OLDEST = (2, 17)
ON_ERROR, ON_FAILURE = "a node that is lost", "a trainer that dies"
RETRIED = {"Always": {ON_ERROR, ON_FAILURE}, "OnError": {ON_ERROR}, "OnFailure": {ON_FAILURE}, "": {ON_FAILURE}}


def kfp_api(at: Examination) -> Checks:
    """Whether KFP answers: at an address that is given, with the user's login, else as the service ml-pipeline."""
    namespace = at.place.kfp
    advice = f"kubectl logs -n {namespace} deployment/ml-pipeline; is KFP elsewhere: --kfp-namespace, --endpoint"
    try:
        many = _asked_from_here(at)
    except DualGANError as error:
        yield Check("KFP API", "missing", str(error), advice)
        return
    if many is None:
        status, body = at.cluster.ask_service(namespace, "ml-pipeline:8888", "/apis/v2beta1/healthz")
        if status != 200 or not body.startswith("{"):
            yield Check("KFP API", "missing", f"ml-pipeline of {namespace} does not answer ({status})", advice)
            return
        many = bool(json.loads(body).get("multi_user"))
    yield Check("KFP API", "ok", f"answers; for {'many users' if many else 'one user'}")


def _asked_from_here(at: Examination) -> bool | None:
    """Whether KFP has many users, None if its address is not given or not to be reached from here."""
    if not at.place.kfp_address:
        return None
    api = KfpApi(endpoint(at.place.kfp_address, at.place.runs, retries=0))
    try:
        many = api.has_many_users()
        # What a submission asks first, with the login that it has.
        api.find_experiment("dualgan-parity")
    except Lost:
        return None
    return many


def kfp_version(at: Examination) -> Checks:
    """The release, which KFP's API does not tell: the tag of its server's image."""
    image = "".join(one["image"] for one in _server(at).get("containers", [])[:1])
    found = re.search(r":v?(\d+)\.(\d+)[^@]*", image)
    oldest = ".".join(map(str, OLDEST))
    if not found:
        detail = f"{image or 'no server of KFP'} has no version in its tag"
        yield Check("KFP version", "cannot tell", detail, f"see that it is {oldest} or newer", required=False)
    elif (int(found[1]), int(found[2])) < OLDEST:
        yield Check("KFP version", "missing", found[0].strip(":"), f"install KFP {oldest} or newer")
    else:
        yield Check("KFP version", "ok", found[0].strip(":"))


def priority_of_runs(at: Examination) -> Checks:
    """The priority class that KFP's server gives to every run: one that is not there stops them all."""
    subject, patch = "priority of runs", "COMPILED_PIPELINE_SPEC_PATCH"
    variables = {
        one["name"]: one.get("value") for part in _server(at).get("containers", []) for one in part.get("env", [])
    }
    try:
        name = within(json.loads(variables.get(patch) or "{}"), "podPriorityClassName")
        if not isinstance(name, str | None):
            raise ValueError(name)
    except ValueError:
        yield Check(subject, "missing", f"{patch} of KFP's API server is no JSON object")
        return
    if not name:
        advice = "manifests/kfp/api-server-patch.yaml gives one"
        yield Check(subject, "missing", "KFP gives runs no priority class", advice, required=False)
    elif not at.cluster.get("priorityclasses", name):
        yield Check(subject, "missing", f"KFP gives runs {name}, which is not there", APPLY)
    else:
        yield Check(subject, "ok", name)


def mlflow_plugin(at: Examination) -> Checks:
    """KFP's own MLflow plugin: it must not set variables that tasks have from secrets and config maps already."""
    subject, advice = "KFP's MLflow plugin", "see docs/cluster.md: merge manifests/kfp/mlflow-plugin.json"
    launcher, name = at.config("kfp-launcher").get("plugins.mlflow"), _mounted_config(_server(at))
    content = at.config(name, at.place.kfp).get("config.json", "") if name else "{}"
    try:
        plugin = within(json.loads(content), "plugins", "mlflow")
        injects = within(json.loads(launcher or "{}"), "settings", "injectUserEnvVars")
        injects = within(plugin or {}, "settings", "injectUserEnvVars") if injects is None else injects
    except ValueError:
        yield Check(subject, "missing", f"{name or 'plugins.mlflow of kfp-launcher'} is not what KFP reads", advice)
        return
    if injects and (plugin or not name):
        detail = "injectUserEnvVars is true: a task's pod, which then has a variable of MLflow twice, is refused"
        yield Check(subject, "missing", detail, "set it to false, in config.json and in kfp-launcher")
    elif not plugin:
        detail = f"config map {name} does not set it" if name else "its settings are those inside KFP's image"
        yield Check(subject, "missing" if name else "cannot tell", detail, advice, required=False)
    else:
        yield Check(subject, "ok", f"{within(plugin, 'endpoint')}; an address that is wrong costs a line in the log")


def failures_that_are_retried(at: Examination) -> Checks:
    """What Argo makes of a task's retries: KFP leaves to its configuration which failures they are for."""
    subject, name = "failures that are retried", "workflow-controller-configmap"
    found = at.config(name, at.place.kfp)
    try:
        # Argo reads each key as YAML of its own, or all of them from one called config.
        stated = within(parse_yaml(found.get("config") or "{}", name), "workflowDefaults")
        defaults = stated or parse_yaml(found.get("workflowDefaults") or "{}", name)
        policy = str(within(defaults, "spec", "templateDefaults", "retryStrategy", "retryPolicy") or "")
    except (BadInput, ValueError):
        policy = "unknown"
    if not found or policy not in RETRIED:
        detail = f"{name} of {at.place.kfp} does not say"
        yield Check(subject, "cannot tell", detail, "see docs/cluster.md", required=False)
        return
    left = {ON_ERROR, ON_FAILURE} - RETRIED[policy]
    detail = " and ".join(sorted(RETRIED[policy])) + "".join(f", not {one}" for one in left)
    advice = "manifests/kfp/workflow-controller-patch.yaml makes Argo retry both" if left else ""
    yield Check(subject, "missing" if left else "ok", detail, advice, required=False)


def object_store(at: Examination) -> Checks:
    """Where KFP keeps artifacts, and the keys for it; without settings of its own KFP uses its own store."""
    subject, settings = "KFP's object store", at.config("kfp-launcher")
    try:
        providers = dict(parse_yaml(settings.get("providers") or "{}", "providers")).values()
        given = [within(provider, "default", "credentials", "secretRef") for provider in providers]
        wanted = {one["secretName"]: {one["accessKeyKey"], one["secretKeyKey"]} for one in given if one is not None}
    except (BadInput, ValueError, TypeError, KeyError):
        yield Check(subject, "missing", "providers in kfp-launcher is not what KFP reads", APPLY)
        return
    fine = Check(subject, "ok", settings.get("defaultPipelineRoot") or "the one that KFP brings")
    yield placeholder(subject, settings) or fine
    for name, keys in wanted.items():
        if (name, True) not in at.needs.keys("secret"):
            yield at.secret(at.place.runs, name, keys)


def _server(at: Examination) -> dict[str, Any]:
    """The pod of KFP's API server, whatever its deployment is called; empty if none is to be seen."""
    for deployment in at.cluster.list("deployments", at.place.kfp):
        if deployment["metadata"]["name"] == "ml-pipeline" or "api-server" in container(deployment).get("image", ""):
            return dict(deployment["spec"]["template"]["spec"])
    return {}


def _mounted_config(pod: dict[str, Any]) -> str | None:
    """The config map that KFP's API server reads its settings from, None if that is its image."""
    maps = {one["name"]: one["configMap"]["name"] for one in pod.get("volumes") or [] if "configMap" in one}
    mounts = [mount for one in pod.get("containers", []) for mount in one.get("volumeMounts") or []]
    places = {"/config", "/config/config.json"}
    return next((maps[one["name"]] for one in mounts if one["mountPath"] in places and one["name"] in maps), None)
