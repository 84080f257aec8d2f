"""A cluster on which everything is as it should be, in the form in which the Kubernetes API answers."""

import base64
from typing import Any

from pipelines.doctor.mlflow import SECRETS_OF_OURS
from pipelines.doctor.needs import Needs, NodeNeed
from tests.pipelines.doctor.fake_kubernetes import FakeKubernetes, Object

PLUGIN = """{"plugins": {"mlflow": {"endpoint": "http://mlflow.dualgan-parity:5000",
 "settings": {"authType": "basic-auth", "injectUserEnvVars": false}}}}"""
PROVIDERS = """minio: {default: {endpoint: "seaweedfs.kubeflow:9000", credentials: {secretRef:
 {secretName: mlpipeline-minio-artifact, accessKeyKey: accesskey, secretKeyKey: secretkey}}}}"""
RETRIES = "{spec: {templateDefaults: {retryStrategy: {limit: '0', retryPolicy: Always}}}}"


def healthy_cluster(needs: Needs) -> FakeKubernetes:
    """KFP for one user, MLflow, and for every wish of ``needs`` a node that meets it and no more."""
    runs, tracking = "kubeflow", "dualgan-parity"
    secrets = {(runs, name): keys for (name, _), keys in needs.keys("secret").items()}
    secrets |= {(tracking, name): keys for name, keys in SECRETS_OF_OURS.items()}
    secrets[runs, "mlpipeline-minio-artifact"] = {"accesskey", "secretkey"}
    maps = {name: dict.fromkeys(keys, "value") for (name, _), keys in needs.keys("configMap").items()}
    maps["dualgan-parity"]["MLFLOW_TRACKING_URI"] = "http://mlflow.dualgan-parity:5000"
    maps["workflow-controller-configmap"] = {"workflowDefaults": RETRIES}
    maps["kfp-launcher"] = {"defaultPipelineRoot": "minio://mlpipeline/v2/artifacts", "providers": PROVIDERS}
    maps["kfp-api-server-config"] = {"config.json": PLUGIN}
    accelerators = {name for need in needs.nodes for name in need.accelerators}
    return FakeKubernetes(
        objects=[
            _object("Namespace", runs),
            _object("Namespace", tracking),
            *(node(f"node-{number}", need) for number, need in enumerate(needs.nodes)),
            *(_secret(namespace, name, keys) for (namespace, name), keys in secrets.items()),
            *(_object("ConfigMap", name, runs, data=data) for name, data in maps.items()),
            _object("ConfigMap", "mlflow-abc", tracking, data={"PGHOST": "postgresql"}),
            _object("PriorityClass", "dualgan-parity-training", value=1000),
            _object("ResourceQuota", "pool", runs, spec={"hard": {f"requests.{name}": "4" for name in accelerators}}),
            api_server(runs),
            _deployment("mlflow", tracking, {"name": "mlflow", "envFrom": [{"configMapRef": {"name": "mlflow-abc"}}]}),
            device_plugin("-useAscendDocker=true", "-volcanoType=false"),
            _cron_job(runs),
        ],
        rights={
            ("pipeline-runner", "get", "secrets"),
            ("pipeline-runner", "get", "configmaps"),
        },
    )


def _object(kind: str, name: str, namespace: str | None = None, **content: Any) -> Object:
    place = {"namespace": namespace} if namespace else {}
    return {"kind": kind, "metadata": {"name": name, **place}, **content}


def _secret(namespace: str, name: str, keys: set[str]) -> Object:
    return _object("Secret", name, namespace, data={key: base64.b64encode(b"filled").decode() for key in keys})


def node(name: str, need: NodeNeed) -> Object:
    labels = {"kubernetes.io/arch": "arm64", **dict(need.node_selector)}
    tolerated = [dict(one) for one in need.tolerations]
    taints = [{"key": one["key"], "effect": one.get("effect", "NoSchedule")} for one in tolerated if "key" in one]
    return {
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"taints": taints},
        "status": {
            "allocatable": {resource: f"{amount:f}" for resource, amount in need.resources},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def _deployment(name: str, namespace: str, container: Object, volumes: list[Object] | None = None) -> Object:
    template = {"spec": {"containers": [container], "volumes": volumes or []}}
    spec = {"selector": {"matchLabels": {"app": name}}, "template": template}
    return _object("Deployment", name, namespace, spec=spec, status={"availableReplicas": 1})


def api_server(namespace: str) -> Object:
    container = {
        "name": "ml-pipeline-api-server",
        "image": "ghcr.io/kubeflow/kfp-api-server:2.17.0",
        "env": [
            {"name": "V2_LAUNCHER_IMAGE", "value": "ghcr.io/kubeflow/kfp-launcher:2.17.0"},
            {
                "name": "COMPILED_PIPELINE_SPEC_PATCH",
                "value": '{"podPriorityClassName": "dualgan-parity-training"}',
            },
        ],
        "volumeMounts": [{"name": "config", "mountPath": "/config/config.json", "subPath": "config.json"}],
    }
    volumes = [{"name": "config", "configMap": {"name": "kfp-api-server-config"}}]
    return _deployment("ml-pipeline", namespace, container, volumes)


def device_plugin(*flags: str) -> Object:
    container = {
        "name": "device-plugin-01",
        "image": "ascend-k8sdeviceplugin:v26.0.0",
        "command": ["/bin/bash", "-c", "--"],
        "args": [f"device-plugin {' '.join(flags)} -logLevel=0"],
    }
    template = {"spec": {"containers": [container]}}
    spec = {"selector": {"matchLabels": {"name": "ascend-device-plugin-ds"}}, "template": template}
    return _object("DaemonSet", "ascend-device-plugin-daemonset", "kube-system", spec=spec)


def _cron_job(namespace: str) -> Object:
    container = {"name": "retrain", "image": "dualgan-parity/cpu:dev"}
    template = {"spec": {"containers": [container], "restartPolicy": "Never"}}
    spec = {"schedule": "17 3 * * *", "timeZone": "Etc/UTC", "suspend": False}
    job = {"jobTemplate": {"spec": {"template": template}}}
    return _object("CronJob", "dualgan-parity-retrain", namespace, spec={**spec, **job})
