#!/usr/bin/env bash
# A real Kubeflow Pipelines on this machine, from nothing to a verdict: kind, KFP's release manifests, ours, one run.
#
#   manifests/kind/cluster.sh up     makes the cluster; 15 minutes, most of them downloads
#   manifests/kind/cluster.sh run    submits profile "kind", waits, and ends with the exit code of its verdict
#   manifests/kind/cluster.sh down   removes the cluster
#
# Needs docker, kind (https://kind.sigs.k8s.io), kubectl and jq, 4 cores, 12 GiB of memory, 30 GiB of disk, and the
# images of `make images`.
set -euo pipefail
cd "$(dirname "$0")/../.."

cluster=dualgan-parity
kfp_release=2.17.0
kfp=https://github.com/kubeflow/pipelines/manifests/kustomize
kubectl() { command kubectl --context "kind-$cluster" "$@"; }

# Whatever of it is there already stays: a try that broke off is gone on with.
up() {
  local image
  kind get clusters 2>/dev/null | grep -qx "$cluster" || kind create cluster --name "$cluster" --wait 5m
  for image in cpu:dev tf1:dev "mlflow:$(mlflow_version)"; do
    kind load docker-image "dualgan-parity/$image" --name "$cluster"
  done
  kubectl apply -k "$kfp/cluster-scoped-resources?ref=$kfp_release"
  kubectl wait --for condition=established --timeout=60s crd/applications.app.k8s.io
  kubectl apply -k "$kfp/env/platform-agnostic?ref=$kfp_release"
  kubectl wait --for=condition=Available deployment --all --namespace kubeflow --timeout=20m
  kubectl apply -k manifests/overlays/local-storage
  kubectl get secret dualgan-parity-s3 --namespace kubeflow >/dev/null 2>&1 || secrets | kubectl apply -f -
  kubectl rollout status deployment/mlflow --namespace dualgan-parity --timeout=10m
  make_task_account
  settings_of_kfp
}

mlflow_version() { .venv/bin/python -c 'from importlib.metadata import version; print(version("mlflow"))'; }

# The secrets of secrets.example.yaml: S3's keys are those that KFP made, all other values are drawn once.
secrets() {
  local access secret task_password
  access=$(key_of_kfp accesskey) secret=$(key_of_kfp secretkey) task_password=$(openssl rand -hex 16)
  secret_yaml mlflow-database dualgan-parity username=mlflow "password=$(openssl rand -hex 16)"
  secret_yaml mlflow-artifacts dualgan-parity "AWS_ACCESS_KEY_ID=$access" "AWS_SECRET_ACCESS_KEY=$secret"
  secret_yaml mlflow-admin dualgan-parity username=admin "password=$(openssl rand -hex 16)" \
    "flask-secret-key=$(openssl rand -hex 32)"
  secret_yaml mlflow-accounts dualgan-parity "tasks=$task_password"
  secret_yaml kfp-mlflow-credentials kubeflow username=tasks "password=$task_password"
  secret_yaml dualgan-parity-s3 kubeflow "AWS_ACCESS_KEY_ID=$access" "AWS_SECRET_ACCESS_KEY=$secret"
}

key_of_kfp() { value_of mlpipeline-minio-artifact kubeflow "$1"; }

# NAME NAMESPACE KEY: the value of a key of a secret in the cluster.
value_of() { kubectl get secret "$1" --namespace "$2" --output "jsonpath={.data.$3}" | base64 -d; }

# NAME NAMESPACE KEY=VALUE...: a secret as YAML.
secret_yaml() {
  local name=$1 namespace=$2
  shift 2
  echo ---
  kubectl create secret generic "$name" --namespace "$namespace" "${@/#/--from-literal=}" --dry-run=client --output yaml
}

# MLflow's first account makes the one that tasks log in with.
make_task_account() {
  local job
  job=mlflow-accounts-$(date +%s)
  kubectl create job "$job" --namespace dualgan-parity --from=cronjob/mlflow-accounts
  kubectl wait "job/$job" --namespace dualgan-parity --for=condition=complete --timeout=10m
}

# What docs/cluster.md tells an admin to set in KFP itself.
settings_of_kfp() {
  local folder
  folder=$(mktemp -d)
  kubectl exec --namespace kubeflow deployment/ml-pipeline -c ml-pipeline-api-server -- cat /config/config.json \
    >"$folder/config.json"
  jq -s '.[0] * .[1]' "$folder/config.json" manifests/kfp/mlflow-plugin.json >"$folder/merged.json"
  kubectl create configmap kfp-api-server-config --namespace kubeflow --from-file=config.json="$folder/merged.json" \
    --dry-run=client --output yaml | kubectl apply -f -
  kubectl patch deployment ml-pipeline --namespace kubeflow --patch-file manifests/kfp/api-server-patch.yaml
  kubectl patch configmap workflow-controller-configmap --namespace kubeflow \
    --patch-file manifests/kfp/workflow-controller-patch.yaml
  kubectl rollout restart deployment/workflow-controller --namespace kubeflow
  kubectl rollout status deployment/workflow-controller --namespace kubeflow --timeout=5m
  kubectl rollout status deployment/ml-pipeline --namespace kubeflow --timeout=10m
  rm -r "$folder"
}

# NAMESPACE WHAT PORTS COMMAND...: run a command while a port of the cluster is one of this machine.
forwarded() {
  local namespace=$1 what=$2 ports=$3 code=0
  shift 3
  command kubectl --context "kind-$cluster" port-forward --namespace "$namespace" "$what" "$ports" >/dev/null 2>&1 &
  local forwarding=$!
  "$@" || code=$?
  kill "$forwarding" 2>/dev/null || true
  wait "$forwarding" 2>/dev/null || true
  return "$code"
}

run() {
  export KFP_ENDPOINT=http://localhost:8080 MLFLOW_TRACKING_URI=http://localhost:5000
  MLFLOW_TRACKING_USERNAME=$(value_of kfp-mlflow-credentials kubeflow username)
  MLFLOW_TRACKING_PASSWORD=$(value_of kfp-mlflow-credentials kubeflow password)
  export MLFLOW_TRACKING_USERNAME MLFLOW_TRACKING_PASSWORD
  # The API server itself: logs of tasks are not behind its pages.
  forwarded kubeflow service/ml-pipeline 8080:8888 forwarded dualgan-parity service/mlflow 5000:5000 \
    .venv/bin/parity submit --profile kind --timeout 3600
}

down() { kind delete cluster --name "$cluster"; }

case "${1:-}" in
  up | run | down) "$1" ;;
  *) echo "usage: $0 up|run|down" >&2; exit 2 ;;
esac
