"""What each task asks a cluster for: resources, nodes, time, another try, credentials."""

from typing import Any

from kfp import kubernetes

from pipelines.profile import LegProfile, Profile, Resources

SHARED_MEMORY = "/dev/shm"
# Network policies and the doctor find the tasks by it.
LABEL = ("app.kubernetes.io/part-of", "dualgan-parity")
BACK_OFF, BACK_OFF_FACTOR, LONGEST_BACK_OFF = "60s", 2.0, "1800s"


def place(task: Any, leg: LegProfile) -> None:
    """Ask for what ``leg`` needs, its accelerator included."""
    resources: Resources = leg.resources
    if resources.cpu:
        task.set_cpu_request(resources.cpu)
        task.set_cpu_limit(resources.cpu)
    if resources.memory:
        task.set_memory_request(resources.memory)
        task.set_memory_limit(resources.memory)
    if resources.accelerator:
        task.set_accelerator_type(resources.accelerator)
        task.set_accelerator_limit(resources.accelerator_count)
    if resources.shared_memory:
        kubernetes.empty_dir_mount(task, "dshm", SHARED_MEMORY, medium="Memory", size_limit=resources.shared_memory)
    if resources.time_limit:
        kubernetes.set_timeout(task, resources.time_limit)
    place_beside_accelerators(task, leg)


def place_beside_accelerators(task: Any, leg: LegProfile) -> None:
    """Ask for the kind of node and user that ``leg``'s image is made for, and for none of its accelerators."""
    resources: Resources = leg.resources
    for key, value in resources.node_selector.items():
        kubernetes.add_node_selector(task, key, value)
    for toleration in resources.tolerations:
        kubernetes.add_toleration(task, **toleration.model_dump(exclude_none=True))
    if resources.user:
        kubernetes.set_security_context(
            task,
            run_as_user=resources.user.uid,
            run_as_group=resources.user.gid,
            run_as_non_root=resources.user.uid > 0,
        )


def equip(task: Any, profile: Profile) -> None:
    """Give a task what every task of ``profile`` gets: credentials, addresses, a label, other tries.

    Results of earlier runs are never taken instead: KFP knows a task by its image's name, and not by what is in the
    image or behind a dataset's address.
    """
    task.set_caching_options(False)
    kubernetes.add_pod_label(task, *LABEL)
    for secret in profile.secrets:
        kubernetes.use_secret_as_env(task, secret.name, dict(secret.variables), optional=secret.optional)
    for config in profile.config_maps:
        kubernetes.use_config_map_as_env(task, config.name, dict(config.variables), optional=config.optional)
    if profile.image_pull_secrets:
        kubernetes.set_image_pull_secrets(task, list(profile.image_pull_secrets))
    if profile.retries:
        task.set_retry(profile.retries, BACK_OFF, BACK_OFF_FACTOR, LONGEST_BACK_OFF)
