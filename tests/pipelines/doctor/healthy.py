"""A cluster on which everything is as it should be, in the form in which the Kubernetes API answers."""

import base64
from typing import Any

import yaml

from pipelines.doctor.needs import SECRET, Needs, NodeNeed
from pipelines.doctor.servers import SECRETS_OF_OURS
from tests.pipelines.doctor.fake_kubernetes import FakeKubernetes, Object

RUNS, TRACKING = "kubeflow", "dualgan-parity"
PLUGIN = '{"plugins": {"mlflow": {"endpoint": "http://mlflow:5000", "settings": {"injectUserEnvVars": false}}}}'
PROVIDERS = """minio: {default: {endpoint: "seaweedfs.kubeflow:9000", credentials: {secretRef:
 {secretName: mlpipeline-minio-artifact, accessKeyKey: accesskey, secretKeyKey: secretkey}}}}"""
RETRIES = "{spec: {templateDefaults: {retryStrategy: {limit: '0', retryPolicy: Always}}}}"
# Those of kubeflow/manifests for KFP's API server.
POLICY_OF_KFP = """
podSelector: {matchExpressions: [{key: app, operator: In, values: [ml-pipeline]}]}
ingress:
  - from:
      - namespaceSelector:
          matchExpressions: [{key: app.kubernetes.io/part-of, operator: In, values: [kubeflow-profile]}]
      - podSelector: {}
"""


def healthy_cluster(needs: Needs) -> FakeKubernetes:
    """KFP for one user, MLflow, and for every need a node that meets it and has no more."""
    secrets = {(RUNS if kind == SECRET else kind, name): keys for (kind, name, _), keys in needs.keys.items()}
    maps = {
        name: dict.fromkeys(secrets.pop(("configMap", name)), "value") for place, name in [*secrets] if place != RUNS
    }
    secrets |= {(TRACKING, name): keys for name, keys in SECRETS_OF_OURS.items()}
    secrets[RUNS, "mlpipeline-minio-artifact"] = {"accesskey", "secretkey"}
    maps["dualgan-parity"]["MLFLOW_TRACKING_URI"] = "http://mlflow.dualgan-parity:5000"
    maps["workflow-controller-configmap"] = {"workflowDefaults": RETRIES}
    maps["kfp-launcher"] = {"defaultPipelineRoot": "minio://mlpipeline/v2/artifacts", "providers": PROVIDERS}
    maps["kfp-api-server-config"] = {"config.json": PLUGIN}
    maps["pipeline-install-config"] = {"defaultSecurityContextRunAsUser": ""}
    hard = {f"requests.{name}": f"{amount:f}" for need in needs.nodes for name, amount in need.resources if "/" in name}
    mlflow = {"name": "mlflow", "envFrom": [{"configMapRef": {"name": "mlflow-abc"}}]}
    return FakeKubernetes(
        [
            made("Namespace", RUNS),
            made("Namespace", TRACKING),
            *(node(f"node-{number}", need) for number, need in enumerate(needs.nodes)),
            *(secret(namespace, name, keys) for (namespace, name), keys in secrets.items()),
            *(made("ConfigMap", name, RUNS, data=data) for name, data in maps.items()),
            made("ConfigMap", "mlflow-abc", TRACKING, data={"PGHOST": "postgresql"}),
            made("PriorityClass", "dualgan-parity-training"),
            made("ResourceQuota", "pool", RUNS, spec={"hard": {**hard, "limits.memory": "200Gi", "pods": "50"}}),
            made("NetworkPolicy", "ml-pipeline", RUNS, spec=yaml.safe_load(POLICY_OF_KFP)),
            api_server(),
            _workload("Deployment", "mlflow", TRACKING, mlflow),
            device_plugin("-useAscendDocker=true", "-volcanoType=false"),
            made("CronJob", "dualgan-parity-retrain", RUNS, spec={"schedule": "17 3 * * *", "suspend": False}),
        ],
        rights={("pipeline-runner", "get", "secrets"), ("pipeline-runner", "get", "configmaps")},
    )


def made(kind: str, name: str, namespace: str | None = None, **content: Any) -> Object:
    place = {"namespace": namespace} if namespace else {}
    return {"kind": kind, "metadata": {"name": name, **place}, **content}


def secret(namespace: str, name: str, keys: set[str], value: str = "filled") -> Object:
    return made("Secret", name, namespace, data={key: base64.b64encode(value.encode()).decode() for key in keys})


def node(name: str, need: NodeNeed) -> Object:
    taints = [{"key": key, "effect": "NoSchedule"} for key in need.tolerated if key]
    found = made("Node", name, spec={"taints": taints})
    found["metadata"]["labels"] = {"kubernetes.io/arch": "arm64", **dict(need.node_selector)}
    return {**found, "status": {"allocatable": {name: f"{amount:f}" for name, amount in need.resources}}}


def _workload(kind: str, name: str, namespace: str, container: Object, volumes: list[Object] | None = None) -> Object:
    return made(kind, name, namespace, spec={"template": {"spec": {"containers": [container], "volumes": volumes}}})


def api_server() -> Object:
    patch = {"name": "COMPILED_PIPELINE_SPEC_PATCH", "value": '{"podPriorityClassName": "dualgan-parity-training"}'}
    container = {
        "name": "ml-pipeline-api-server",
        "image": "ghcr.io/kubeflow/kfp-api-server:2.17.0",
        "env": [{"name": "V2_LAUNCHER_IMAGE", "value": "ghcr.io/kubeflow/kfp-launcher:2.17.0"}, patch],
        "volumeMounts": [{"name": "config", "mountPath": "/config/config.json", "subPath": "config.json"}],
    }
    volumes = [{"name": "config", "configMap": {"name": "kfp-api-server-config"}}]
    return _workload("Deployment", "ml-pipeline", RUNS, container, volumes)


def device_plugin(*flags: str) -> Object:
    words = {"command": ["/bin/bash", "-c", "--"], "args": [f"device-plugin {' '.join(flags)} -logLevel=0"]}
    container = {"name": "device-plugin-01", "image": "ascend-k8sdeviceplugin:v26.0.0", **words}
    return _workload("DaemonSet", "ascend-device-plugin-daemonset", "kube-system", container)
