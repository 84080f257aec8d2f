"""The doctor: a flat list of checks, each of which asks one question of the cluster, of its KFP or of its MLflow."""

import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict

from dualgan.errors import EXIT_FAILED
from pipelines.doctor.check import APPLY, Check, Checks, Examination, Place, Subject, placeholder
from pipelines.doctor.cluster import Cluster, Unknown
from pipelines.doctor.kfp import (
    failures_that_are_retried,
    kfp_api,
    kfp_version,
    mlflow_plugin,
    object_store,
    priority_of_runs,
)
from pipelines.doctor.mlflow import mlflow, our_mlflow
from pipelines.doctor.needs import needs_of
from pipelines.doctor.nodes import ascend_device_plugin, nodes, quotas
from pipelines.profile import load_profile

RETRAIN = "dualgan-parity-retrain"


def doctor(name: str, context: str | None, place: Place, as_json: bool) -> tuple[str, int]:
    """Look for what the profile called ``name`` needs on a cluster.

    Args:
        name: The profile's.
        context: A context of the kubeconfig, None for the current one.
        place: Where things are in the cluster.
        as_json: Whether the list is to be JSON instead of text.

    Returns:
        The list, and the exit code: 0 if all that is required is there, else 1.
    """
    profile, cluster = load_profile(name), Cluster(context)
    try:
        version = cluster.version()
    except Unknown:
        version = "of an unknown version"
    checks = list(check_all(Examination(cluster, place, needs_of(profile))))
    unmet = [check for check in checks if check.required and check.status != "ok"]
    code = EXIT_FAILED if unmet else 0
    if as_json:
        result = {"kubernetes": version, "profile": name, "ready": not unmet}
        return json.dumps({**result, "checks": [asdict(check) for check in checks]}, indent=2), code
    return "\n".join([f"Kubernetes {version}, profile {name}", *_lines(checks), "", _sum(checks, unmet)]), code


def check_all(at: Examination) -> Checks:
    """Yield every check, in the order in which an admin would set things up."""
    for subject in (*REQUIRED, *OPTIONAL):
        try:
            yield from subject(at)
        except Unknown as error:
            name, advice = subject.__name__.replace("_", " "), "ask somebody who may, or for the right to look"
            yield Check(name, "cannot tell", str(error), advice, required=subject in REQUIRED)


def secrets(at: Examination) -> Checks:
    for (name, required), keys in at.needs.keys("secret").items():
        yield at.secret(at.place.runs, name, keys, required)


def config_maps(at: Examination) -> Checks:
    for (name, required), keys in at.needs.keys("configMap").items():
        subject, found = f"config map {at.place.runs}/{name}", at.config(name)
        lacking = ", ".join(sorted(keys - set(found)))
        if wrong := placeholder(subject, found):
            yield wrong
        elif lacking or not found:
            yield Check(subject, "missing", f"it lacks {lacking}" if found else "it is not there", APPLY, required)
        else:
            yield Check(subject, "ok", f"{len(keys)} keys that tasks read")


def rights_of_tasks(at: Examination) -> Checks:
    """KFP's launcher reads the object store's address and keys in the pod of a task."""
    namespace, account = at.place.runs, at.place.account
    subject = f"rights of {namespace}/{account}"
    refused = [
        f"get {kind}" for kind in ("secrets", "configmaps") if not at.cluster.can_i(namespace, account, "get", kind)
    ]
    if refused:
        advice = "name the tasks' account with --service-account; KFP's is pipeline-runner, a profile's default-editor"
        yield Check(subject, "missing", f"in {namespace} it may not {', '.join(refused)}", advice)
    else:
        yield Check(subject, "ok", "get secrets and configmaps")


def retrain_schedule(at: Examination) -> Checks:
    spec, subject = at.cluster.get("cronjobs", RETRAIN, at.place.runs).get("spec"), "schedule of retrains"
    if not spec or spec.get("suspend"):
        detail = "it is suspended" if spec else f"no cron job {RETRAIN}"
        yield Check(subject, "missing", detail, "apply an overlay of a pool", required=False)
    else:
        yield Check(subject, "ok", f"{spec['schedule']} ({spec.get('timeZone', 'the cluster')})")


REQUIRED: tuple[Subject, ...] = (
    kfp_api, object_store, secrets, config_maps, mlflow, nodes, quotas, ascend_device_plugin, rights_of_tasks
)  # fmt: skip
# What these find may be required all the same; that they cannot look is no reason to doubt.
OPTIONAL: tuple[Subject, ...] = (
    kfp_version, mlflow_plugin, priority_of_runs, failures_that_are_retried, our_mlflow, retrain_schedule
)  # fmt: skip


def _sum(checks: Sequence[Check], unmet: Sequence[Check]) -> str:
    total = sum(check.required for check in checks)
    if not unmet:
        return f"ready: all {total} requirements are met"
    unseen = sum(check.status == "cannot tell" for check in unmet)
    parts = [f"{len(unmet) - unseen} of {total} requirements are not met"] if len(unmet) > unseen else []
    return ", ".join([*parts, *([f"{unseen} of {total} could not be seen"] if unseen else [])])


def _lines(checks: Sequence[Check]) -> list[str]:
    lines = []
    for check in checks:
        optional = "" if check.required or check.status == "ok" else " (optional)"
        lines.append(f"{check.status:<12} {check.subject}: {check.detail}{optional}")
        if check.advice:
            lines.append(textwrap.indent(check.advice, " " * 13 + "-> "))
    return lines
