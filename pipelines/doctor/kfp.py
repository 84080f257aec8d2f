"""Kubeflow Pipelines: its version, its settings, its object store."""

import re
from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from pipelines.cluster_doctor.api import Cluster
from pipelines.cluster_doctor.check import APPLY, Check, Checks, Place, secret, without_placeholder
from pipelines.cluster_doctor.needs import Needs

# Its launcher runs on the node of a task, and Ascend servers are arm64: the first release with such images.
OLDEST = (2, 17)
INSTALL = f"install KFP {OLDEST[0]}.{OLDEST[1]} or newer"


class _SpecPatch(BaseModel):
    """What KFP merges into the workflow of every run."""

    podPriorityClassName: str | None = None


class _PluginSettings(BaseModel):
    authType: str = "kubernetes"
    injectUserEnvVars: bool = False


class _Plugin(BaseModel):
    endpoint: str
    settings: _PluginSettings = _PluginSettings()


class _Plugins(BaseModel):
    mlflow: _Plugin | None = None


class _ServerConfig(BaseModel):
    """config.json of KFP's API server."""

    plugins: _Plugins = _Plugins()


class _SecretReference(BaseModel):
    secretName: str
    accessKeyKey: str
    secretKeyKey: str


class _Credentials(BaseModel):
    secretRef: _SecretReference | None = None


class _ProviderDefault(BaseModel):
    credentials: _Credentials = _Credentials()


class _Provider(BaseModel):
    """An object store, as KFP's launcher is told of it."""

    default: _ProviderDefault = _ProviderDefault()


def kubeflow_pipelines(cluster: Cluster, place: Place, needs: Needs) -> Checks:
    server = cluster.deployment(place.kfp, "ml-pipeline")
    if server is None:
        yield Check("KFP", "missing", f"no deployment ml-pipeline in {place.kfp}", f"{INSTALL}; see --kfp-namespace")
        return
    yield _version("KFP version", server.spec.template.spec.containers[0].image)
    health = cluster.kfp_health(place.kfp)
    if health is None:
        advice = f"kubectl logs -n {place.kfp} deployment/ml-pipeline"
        yield Check("KFP API", "missing", "its health endpoint does not answer", advice)
    else:
        users = "many users" if health.get("multi_user") else "one user"
        yield Check("KFP API", "ok", f"answers; for {users}")


def launcher_for_arm64(cluster: Cluster, place: Place, needs: Needs) -> Checks:
    image = _variables(cluster, place).get("V2_LAUNCHER_IMAGE")
    arm = any((node.metadata.labels or {}).get("kubernetes.io/arch") == "arm64" for node in cluster.nodes())
    if image and arm:
        yield _version("KFP launcher for arm64", image)


def _version(subject: str, image: str) -> Check:
    found = re.search(r":v?(\d+)\.(\d+)(\.\d+)?", image)
    if not found:
        advice = f"see that it is {OLDEST[0]}.{OLDEST[1]} or newer"
        return Check(subject, "cannot tell", f"{image} has no version in its tag", advice, required=False)
    new = (int(found[1]), int(found[2])) >= OLDEST
    return Check(subject, "ok" if new else "missing", found[0].strip(":"), "" if new else INSTALL)


def priority_of_runs(cluster: Cluster, place: Place, needs: Needs) -> Checks:
    subject = "priority of runs"
    advice = f"kubectl patch deployment ml-pipeline -n {place.kfp} --patch-file manifests/kfp/api-server-patch.yaml"
    try:
        patch = _SpecPatch.model_validate_json(_variables(cluster, place).get("COMPILED_PIPELINE_SPEC_PATCH") or "{}")
    except ValidationError:
        yield Check(subject, "missing", "COMPILED_PIPELINE_SPEC_PATCH of KFP's API server is no JSON object", advice)
        return
    given = patch.podPriorityClassName
    if given is None:
        yield Check(subject, "missing", "KFP gives runs no priority class", advice, required=False)
    elif cluster.priority_class(given) is None:
        yield Check(subject, "missing", f"KFP gives runs {given}, a priority class that is not there", APPLY)
    else:
        yield Check(subject, "ok", given, required=False)


def mlflow_plugin(cluster: Cluster, place: Place, needs: Needs) -> Checks:
    """KFP's own: tracking works without it, but 2.17.0 comes with one that asks a host of its own."""
    subject, advice = "KFP's MLflow plugin", "see docs/cluster.md: merge manifests/kfp/mlflow-plugin.json"
    name = _mounted_config(cluster.deployment(place.kfp, "ml-pipeline"))
    if name is None:
        yield Check(subject, "cannot tell", "its settings are those inside KFP's image", advice, required=False)
        return
    content = (cluster.config_map(place.kfp, name) or {}).get("config.json", "")
    try:
        plugin = _ServerConfig.model_validate_json(content).plugins.mlflow
    except ValidationError:
        yield Check(subject, "missing", f"config.json in config map {name} is not what KFP reads", advice)
        return
    if plugin is None:
        yield Check(subject, "missing", f"config map {name} does not set it", advice, required=False)
    elif wrong := _faults(plugin, place):
        yield Check(subject, "missing", "; ".join(wrong), advice)
    else:
        yield Check(subject, "ok", plugin.endpoint, required=False)


def _faults(plugin: _Plugin, place: Place) -> list[str]:
    found = []
    if f".{place.tracking}" not in plugin.endpoint:
        found.append(f"its endpoint is {plugin.endpoint}")
    if plugin.settings.authType != "basic-auth":
        found.append(f"its authType is {plugin.settings.authType}, not basic-auth")
    if not plugin.settings.injectUserEnvVars:
        found.append("injectUserEnvVars is off: tasks do not learn of KFP's runs")
    return found


def _mounted_config(server: Any) -> str | None:
    """The config map that KFP's API server reads its settings from, None where that is its image."""
    if server is None:
        return None
    pod = server.spec.template.spec
    maps = {volume.name: volume.config_map.name for volume in pod.volumes or [] if volume.config_map}
    places = {"/config", "/config/config.json"}
    mounted = [mount.name for mount in pod.containers[0].volume_mounts or [] if mount.mount_path in places]
    return maps.get(mounted[0]) if mounted else None


def _variables(cluster: Cluster, place: Place) -> Mapping[str, str]:
    server = cluster.deployment(place.kfp, "ml-pipeline")
    container = server.spec.template.spec.containers[0] if server else None
    return {entry.name: entry.value for entry in (container.env if container else None) or []}


def object_store(cluster: Cluster, place: Place, needs: Needs) -> Checks:
    subject, settings = "KFP's object store", cluster.config_map(place.runs, "kfp-launcher") or {}
    root = settings.get("defaultPipelineRoot")
    if not root:
        yield Check(subject, "missing", f"no defaultPipelineRoot in config map {place.runs}/kfp-launcher", APPLY)
        return
    yield without_placeholder(subject, "\n".join(settings.values()), root)
    try:
        content = yaml.safe_load(settings.get("providers", "")) or {}
        providers = TypeAdapter(dict[str, _Provider]).validate_python(content)
    except (yaml.YAMLError, ValidationError):
        yield Check(
            subject, "missing", f"providers in config map {place.runs}/kfp-launcher is not what KFP reads", APPLY
        )
        return
    for provider in providers.values():
        reference = provider.default.credentials.secretRef
        if reference:
            keys = frozenset({reference.accessKeyKey, reference.secretKeyKey})
            yield secret(cluster, place.runs, reference.secretName, keys)
