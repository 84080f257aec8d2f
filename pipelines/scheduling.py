"""Requests of each task to a cluster: resources, nodes, a user, time, another try, credentials."""

from collections.abc import Collection
from typing import Any

from kfp import kubernetes

from pipelines.profile import Profile, Resources, Variables

# What a task may speak with, and how the variables begin that it then needs.
S3, MLFLOW = "s3", "mlflow"
SERVERS = {S3: "AWS_", MLFLOW: "MLFLOW_"}
SHARED_MEMORY = "/dev/shm"
# Network policies and the doctor find the tasks by it.
LABEL = ("app.kubernetes.io/part-of", "dualgan-parity")
ARCHITECTURE = "kubernetes.io/arch"
BACK_OFF, BACK_OFF_FACTOR = "60s", 2.0
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
    for toleration in resources.tolerations:
        kubernetes.add_toleration(task, **toleration.model_dump(exclude_none=True))
    kubernetes.set_security_context(
        task, run_as_user=resources.user.uid, run_as_group=resources.user.gid, run_as_non_root=True
    )
    # Without a limit a pod whose image or secret is missing waits until somebody looks.
    kubernetes.set_timeout(task, resources.time_limit)


def apply_defaults(task: Any, profile: Profile, resources: Resources, servers: Collection[str], retries: int) -> None:
    """Give a task what every task of ``profile`` gets: resources, a label, other tries, and what its servers ask for.

    Results of earlier runs are never taken instead: KFP knows a task by its image's name, and not by what is in the
    image or behind a dataset's address.

    Args:
        task: KFP's.
        profile: Whose secrets and config maps there are.
        resources: What the task asks for.
        servers: Those that the task speaks with; a variable for another one is not given to it.
        retries: Further tries.
    """
    request_resources(task, resources)
    task.set_caching_options(False)
    kubernetes.add_pod_label(task, *LABEL)
    for secret in profile.secrets:
        if variables := _needed(secret, task.name, servers):
            kubernetes.use_secret_as_env(task, secret.name, variables, optional=secret.optional)
    for config in profile.config_maps:
        if variables := _needed(config, task.name, servers):
            kubernetes.use_config_map_as_env(task, config.name, variables, optional=config.optional)
    if profile.image_pull_secrets:
        kubernetes.set_image_pull_secrets(task, list(profile.image_pull_secrets))
    if retries:
        window = retry_window(retries, resources.time_limit)
        task.set_retry(retries, BACK_OFF, BACK_OFF_FACTOR, f"{window}s")


def _needed(stated: Variables, task: str, servers: Collection[str]) -> dict[str, str]:
    """The variables for ``servers``, and those that are for none of SERVERS, which every task has; or as stated."""
    if stated.tasks is not None:
        return dict(stated.variables) if task.split("-", maxsplit=1)[0] in stated.tasks else {}
    left_out = tuple(prefix for server, prefix in SERVERS.items() if server not in servers)
    return {key: name for key, name in stated.variables.items() if not name.startswith(left_out)}


def retry_window(retries: int, time_limit: int) -> int:
    """Return the seconds within which a task may be tried again, from the start of its first try.

    KFP calls it the longest back-off. Argo ends a try that is still running then, so it must hold all the tries.

    Args:
        retries: Further tries.
        time_limit: Seconds that each try may take.
    """
    return (retries + 1) * time_limit + MAX_WAITING_SECONDS
