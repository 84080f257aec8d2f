"""Requests of each task to a cluster: resources, nodes, a user, time, another try, credentials."""

from collections.abc import Collection
from typing import Any

from kfp import kubernetes

from components.dataset.sources import S3Location, parse_source
from pipelines.profile import STEP_SECONDS, LegProfile, NodeRequirement, Profile, Resources, Variables

# What a task may speak with, and how the variables begin that it then needs.
S3, MLFLOW = "s3", "mlflow"
SERVERS = {S3: "AWS_", MLFLOW: "MLFLOW_"}
SHARED_MEMORY = "/dev/shm"
# Kinds of tasks whose inputs name the run.
CACHED = ("dataset", "train", "sample")
# Network policies and the doctor find the tasks by it.
LABEL = ("app.kubernetes.io/part-of", "dualgan-parity")
ARCHITECTURE = "kubernetes.io/arch"
BACK_OFF, BACK_OFF_FACTOR = "60s", 2.0
# A large image may have to come from its registry first.
PREFLIGHT_SECONDS = 1800
# How long all the tries of a task may wait for their pods: other trainings queue for the same cards.
MAX_WAITING_SECONDS = 90 * 24 * 3600


def request_resources(task: Any, resources: Resources) -> None:
    """Ask for what ``resources`` say, an accelerator included."""
    task.set_cpu_request(resources.cpu)
    task.set_cpu_limit(resources.cpu)
    task.set_memory_request(resources.memory)
    task.set_memory_limit(resources.memory)
    if resources.accelerator:
        task.set_accelerator_type(resources.accelerator)
        task.set_accelerator_limit(resources.accelerator_count)
    if resources.shared_memory:
        kubernetes.empty_dir_mount(task, "dshm", SHARED_MEMORY, medium="Memory", size_limit=resources.shared_memory)
    if resources.architecture in ("amd64", "arm64"):
        kubernetes.add_node_selector(task, ARCHITECTURE, resources.architecture)
    for key, value in resources.node_selector.items():
        kubernetes.add_node_selector(task, key, value)
    # KFP makes an alternative of each call, so what must hold goes into one.
    if required := [_expression(one) for one in resources.node_affinity if one.weight is None]:
        kubernetes.add_node_affinity(task, required)
    for preferred in resources.node_affinity:
        if preferred.weight is not None:
            kubernetes.add_node_affinity(task, [_expression(preferred)], weight=preferred.weight)
    for toleration in resources.tolerations:
        kubernetes.add_toleration(task, **toleration.model_dump(exclude_none=True))
    kubernetes.set_security_context(
        task, run_as_user=resources.user.uid, run_as_group=resources.user.gid, run_as_non_root=True
    )
    # Without a limit a pod whose image or secret is missing waits until somebody looks.
    kubernetes.set_timeout(task, resources.time_limit)


def _expression(requirement: NodeRequirement) -> dict[str, Any]:
    return {**requirement.model_dump(include={"key", "operator"}), "values": list(requirement.values)}


def apply_defaults(task: Any, profile: Profile, leg: LegProfile | None, retries: int) -> None:
    """Give a task what every task of ``profile`` gets: resources, labels, other tries, and what its servers ask for.

    Results of earlier runs are not taken instead: KFP's cache knows a task by its image's name, and not by what is in
    the image or behind a dataset's address. Those of CACHED have the run's id among their inputs, so only a run that
    is added to it (``Package.added_to``) takes them.

    Args:
        task: KFP's, whose name begins with its kind.
        leg: Whose image the task runs in; None for the profile's own.
        retries: Further tries.
    """
    kind = task.name.partition("-")[0]
    resources = resources_of(kind, profile, leg)
    request_resources(task, resources)
    task.set_caching_options(kind in CACHED)
    for label in {**profile.labels, **resources.labels, LABEL[0]: LABEL[1]}.items():
        kubernetes.add_pod_label(task, *label)
    for annotation in {**profile.annotations, **resources.annotations}.items():
        kubernetes.add_pod_annotation(task, *annotation)
    servers = servers_of(kind, profile, leg)
    for secret in profile.secrets:
        if variables := _needed(secret, kind, servers):
            kubernetes.use_secret_as_env(task, secret.name, variables, optional=secret.optional)
    for config in profile.config_maps:
        if variables := _needed(config, kind, servers):
            kubernetes.use_config_map_as_env(task, config.name, variables, optional=config.optional)
    if profile.image_pull_secrets:
        kubernetes.set_image_pull_secrets(task, list(profile.image_pull_secrets))
    if retries:
        # KFP calls it the longest back-off. Argo ends a try that is still running then, so it must hold all the tries.
        window = (retries + 1) * resources.time_limit + MAX_WAITING_SECONDS
        task.set_retry(retries, BACK_OFF, BACK_OFF_FACTOR, f"{window}s")


def resources_of(kind: str, profile: Profile, leg: LegProfile | None) -> Resources:
    """Return what a task asks for in the image of ``leg``, or in the profile's own."""
    asked: Resources = profile.resources
    if leg:
        asked = leg.resources
        if leg.device == "cpu" and asked.architecture is None:
            asked = asked.model_copy(update={"architecture": profile.resources.architecture})
    if leg and kind in ("publish", "preflight"):
        # A node that the image is made for, and no accelerator.
        of_node = ("architecture", "node_selector", "node_affinity", "tolerations", "user")
        asked = profile.resources.model_copy(update={name: getattr(asked, name) for name in of_node})
    if kind == "train":
        return asked
    if kind == "preflight":
        return asked.model_copy(update={"cpu": "500m", "memory": "2Gi", "time_limit": PREFLIGHT_SECONDS})
    limit = min(asked.time_limit, profile.resources.time_limit)
    if kind == "publish":
        limit = int(profile.mlflow_hours * 3600) + STEP_SECONDS
    return asked.model_copy(update={"time_limit": limit})


def servers_of(kind: str, profile: Profile, leg: LegProfile | None) -> tuple[str, ...]:
    """Return the servers that a task speaks with. Strangers may have made a dataset: its task gets no key of MLflow."""
    mirror = (S3,) if profile.checkpoints else ()
    # A dataset may be named only when a run is submitted.
    source = (S3,) if not profile.dataset or isinstance(parse_source(profile.dataset), S3Location) else ()
    servers = {
        "preflight": () if leg else (S3, MLFLOW),
        "dataset": source,
        "train": (MLFLOW, *mirror),
        "sample": mirror,
        "compare": (MLFLOW,),
        "publish": (MLFLOW,),
    }
    return servers.get(kind, ())


def _needed(stated: Variables, kind: str, servers: Collection[str]) -> dict[str, str]:
    """Return the variables for ``servers``, and those for none of SERVERS, which every task has; or as stated."""
    if stated.tasks is not None:
        return dict(stated.variables) if kind in stated.tasks else {}
    left_out = tuple(prefix for server, prefix in SERVERS.items() if server not in servers)
    return {key: name for key, name in stated.variables.items() if not name.startswith(left_out)}
