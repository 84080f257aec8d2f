"""The list of checks: each asks one question of the cluster, of its KFP or of its MLflow."""

from pipelines.doctor.check import APPLY, Check, Checks, Place, Subject, placeholder, secret
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
from pipelines.doctor.needs import Needs
from pipelines.doctor.nodes import ascend_device_plugin, nodes, quotas

RETRAIN = "dualgan-parity-retrain"


def check_all(cluster: Cluster, place: Place, needs: Needs) -> Checks:
    """Every check, in the order in which an admin would set things up."""
    for subject in (*REQUIRED, *OPTIONAL):
        try:
            yield from subject(cluster, place, needs)
        except Unknown as error:
            name, advice = subject.__name__.replace("_", " "), "ask somebody who may, or for the right to look"
            yield Check(name, "cannot tell", str(error), advice, required=subject in REQUIRED)


def secrets(cluster: Cluster, place: Place, needs: Needs) -> Checks:
    for (name, required), keys in needs.keys("secret").items():
        yield secret(cluster, place.runs, name, keys, required)


def config_maps(cluster: Cluster, place: Place, needs: Needs) -> Checks:
    for (name, required), keys in needs.keys("configMap").items():
        subject, found = f"config map {place.runs}/{name}", cluster.get("configmaps", name, place.runs).get("data", {})
        lacking = ", ".join(sorted(keys - set(found)))
        if wrong := placeholder(subject, found):
            yield wrong
        elif lacking or not found:
            yield Check(subject, "missing", f"it lacks {lacking}" if found else "it is not there", APPLY, required)
        else:
            yield Check(subject, "ok", f"{len(keys)} keys that tasks read")


def rights_of_tasks(cluster: Cluster, place: Place, needs: Needs) -> Checks:
    """KFP's launcher reads the object store's address and keys in the pod of a task."""
    wanted, account = ("secrets", "configmaps"), f"{place.runs}/{place.account}"
    refused = [f"get {kind}" for kind in wanted if not cluster.allows(place.runs, place.account, "get", kind)]
    if refused:
        advice = "name the tasks' account with --service-account; KFP's is pipeline-runner, a profile's default-editor"
        detail = f"in {place.runs} it may not {', '.join(refused)}"
        yield Check(f"rights of {account}", "missing", detail, advice)
    else:
        yield Check(f"rights of {account}", "ok", "get secrets and configmaps")


def retrain_schedule(cluster: Cluster, place: Place, needs: Needs) -> Checks:
    spec = cluster.get("cronjobs", RETRAIN, place.runs).get("spec")
    if not spec or spec.get("suspend"):
        detail = "it is suspended" if spec else f"no cron job {RETRAIN}"
        yield Check("schedule of retrains", "missing", detail, "apply an overlay of a pool", required=False)
    else:
        yield Check("schedule of retrains", "ok", f"{spec['schedule']} ({spec.get('timeZone', 'the cluster')})")


REQUIRED: tuple[Subject, ...] = (
    kfp_api,
    object_store,
    secrets,
    config_maps,
    mlflow,
    nodes,
    quotas,
    ascend_device_plugin,
    rights_of_tasks,
)
# What these find may be required all the same; that they cannot look is no reason to doubt.
OPTIONAL: tuple[Subject, ...] = (
    kfp_version,
    mlflow_plugin,
    priority_of_runs,
    failures_that_are_retried,
    our_mlflow,
    retrain_schedule,
)
