"""What a cluster needs before a profile's pipeline can run on it, one function a subject."""

from pipelines.cluster_doctor.api import CannotTellError, Cluster, Right, ServiceAccount
from pipelines.cluster_doctor.check import APPLY, Check, Checks, Place, Subject, secret, without_placeholder
from pipelines.cluster_doctor.kfp import (
    kubeflow_pipelines,
    launcher_for_arm64,
    mlflow_plugin,
    object_store,
    priority_of_runs,
)
from pipelines.cluster_doctor.needs import Needs
from pipelines.cluster_doctor.nodes import accelerator_pools, ascend_device_plugin, quotas

# What manifests/secrets.example.yaml has.
SECRETS_OF_MLFLOW = {
    "mlflow-database": frozenset({"username", "password"}),
    "mlflow-artifacts": frozenset({"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}),
    "mlflow-admin": frozenset({"username", "password", "flask-secret-key"}),
}
SECRETS_OF_RUNS = {
    "kfp-mlflow-credentials": frozenset({"username", "password"}),
    "dualgan-parity-s3": frozenset({"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}),
}
CONFIG_MAPS_OF_RUNS = {"dualgan-parity": frozenset({"MLFLOW_TRACKING_URI"})}
KFP_GROUP = "pipelines.kubeflow.org"
# KFP's launcher reads the object store's address and keys in the pod of a task.
RIGHTS_OF_TASKS = (Right("get", "secrets"), Right("get", "configmaps"))
RIGHTS_OF_KFP = (Right("get", "secrets", name="kfp-mlflow-credentials"),)
RIGHTS_OF_RETRAIN = tuple(
    Right(verb, resource, KFP_GROUP) for resource in ("runs", "experiments") for verb in ("create", "list")
)
RETRAIN = "dualgan-parity-retrain"


def check_all(cluster: Cluster, place: Place, needs: Needs) -> Checks:
    """Every check, in the order in which an admin would set things up."""
    for subject in SUBJECTS:
        try:
            yield from subject(cluster, place, needs)
        except CannotTellError as error:
            name = subject.__name__.replace("_", " ")
            yield Check(name, "cannot tell", str(error), "ask somebody who may, or for the right to look")


def namespaces(cluster: Cluster, place: Place, needs: Needs) -> Checks:
    for name, advice in {
        place.kfp: "install Kubeflow Pipelines, or name its namespace with --kfp-namespace",
        place.runs: "name the namespace in which runs execute with --namespace",
        place.tracking: APPLY,
    }.items():
        there = cluster.namespace(name) is not None
        yield Check("namespace", "ok" if there else "missing", name, "" if there else advice)


def secrets_and_config_maps(cluster: Cluster, place: Place, needs: Needs) -> Checks:
    for name, keys in {**SECRETS_OF_RUNS, **needs.secrets}.items():
        yield secret(cluster, place.runs, name, keys | SECRETS_OF_RUNS.get(name, frozenset()))
    for name, keys in SECRETS_OF_MLFLOW.items():
        yield secret(cluster, place.tracking, name, keys)
    for name, stated in {**CONFIG_MAPS_OF_RUNS, **needs.config_maps}.items():
        yield _config_map(cluster, place.runs, name, stated | CONFIG_MAPS_OF_RUNS.get(name, frozenset()))


def _config_map(cluster: Cluster, namespace: str, name: str, keys: frozenset[str]) -> Check:
    subject, found = f"config map {namespace}/{name}", cluster.config_map(namespace, name)
    if found is None:
        return Check(subject, "missing", "it is not there", APPLY)
    if not keys <= set(found):
        return Check(subject, "missing", f"it lacks {', '.join(sorted(keys - set(found)))}", APPLY)
    return without_placeholder(subject, "\n".join(found.values()), f"{len(keys)} keys that tasks read")


def rights(cluster: Cluster, place: Place, needs: Needs) -> Checks:
    advice = "name the account of tasks with --service-account; KFP's is pipeline-runner, a profile's default-editor"
    yield _rights(cluster, place, ServiceAccount(place.runs, place.account), RIGHTS_OF_TASKS, advice)
    yield _rights(cluster, place, ServiceAccount(place.kfp, "ml-pipeline"), RIGHTS_OF_KFP, APPLY)
    if (cluster.kfp_health(place.kfp) or {}).get("multi_user"):
        yield _rights(cluster, place, ServiceAccount(place.runs, RETRAIN), RIGHTS_OF_RETRAIN, APPLY)


def _rights(cluster: Cluster, place: Place, account: ServiceAccount, wanted: tuple[Right, ...], advice: str) -> Check:
    subject = f"rights of {account.namespace}/{account.name}"
    refused = [str(right) for right in wanted if not cluster.may(account, place.runs, right)]
    if refused:
        return Check(subject, "missing", f"in {place.runs} it may not {', '.join(refused)}", advice)
    return Check(subject, "ok", ", ".join(map(str, wanted)))


def mlflow(cluster: Cluster, place: Place, needs: Needs) -> Checks:
    server = cluster.deployment(place.tracking, "mlflow")
    if server is None:
        yield Check("MLflow", "missing", f"no deployment mlflow in {place.tracking}", APPLY)
        return
    sources = server.spec.template.spec.containers[0].env_from or []
    for name in [source.config_map_ref.name for source in sources if source.config_map_ref]:
        text = "\n".join((cluster.config_map(place.tracking, name) or {}).values())
        yield without_placeholder("MLflow's storage", text, name)
    running = (server.status.available_replicas or 0) > 0
    advice = f"kubectl describe pods -n {place.tracking}; kubectl logs -n {place.tracking} deploy/mlflow"
    if running:
        yield Check("MLflow", "ok", "runs")
    else:
        yield Check("MLflow", "missing", "no pod is available", advice)
    for claim in cluster.volume_claims(place.tracking):
        bound = claim.status.phase == "Bound"
        advice = "" if bound else "kubectl get storageclass: one must be the default"
        yield Check(f"volume {claim.metadata.name}", "ok" if bound else "missing", claim.status.phase, advice)


def retrain_schedule(cluster: Cluster, place: Place, needs: Needs) -> Checks:
    job, name = cluster.cron_job(place.runs, RETRAIN), "schedule of retrains"
    if job is None or job.spec.suspend:
        detail = f"no cron job {RETRAIN}" if job is None else "it is suspended"
        yield Check(name, "missing", detail, "apply an overlay of a pool: manifests/overlays/", required=False)
    else:
        yield Check(
            name, "ok", f"{job.spec.schedule} ({job.spec.time_zone or 'the time of the cluster'})", required=False
        )


SUBJECTS: tuple[Subject, ...] = (
    namespaces,
    kubeflow_pipelines,
    launcher_for_arm64,
    priority_of_runs,
    mlflow_plugin,
    object_store,
    secrets_and_config_maps,
    mlflow,
    accelerator_pools,
    ascend_device_plugin,
    quotas,
    rights,
    retrain_schedule,
)
