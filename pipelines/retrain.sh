#!/usr/bin/env bash
# Submit a retrain if one is due: for GitHub, GitLab, Jenkins or a terminal. Needs Python 3.11 and make.
#
# KFP_ENDPOINT and MLFLOW_TRACKING_URI say where the cluster is, KFP_EXISTING_TOKEN and MLFLOW_TRACKING_USERNAME and
# _PASSWORD who asks. PROFILE, DATASET, DATASET_DIGEST, MAX_AGE_DAYS and FORCE=1 are optional; WAIT=1 waits for the
# verdict, and TIMEOUT (seconds) not longer than that. Exit codes: see parity retrain --help.
set -euo pipefail
cd "$(dirname "$0")/.."

arguments=(--profile "${PROFILE:-ascend910-vs-gpu}")
[ -z "${DATASET:-}" ] || arguments+=(--dataset "$DATASET")
[ -z "${DATASET_DIGEST:-}" ] || arguments+=(--dataset-digest "$DATASET_DIGEST")
[ -z "${MAX_AGE_DAYS:-}" ] || arguments+=(--max-age-days "$MAX_AGE_DAYS")
[ -z "${FORCE:-}" ] || arguments+=(--force)
[ -z "${WAIT:-}" ] || arguments+=(--wait)
[ -z "${TIMEOUT:-}" ] || arguments+=(--timeout "$TIMEOUT")

[ -x .venv/bin/python ] && [ -e .venv/ready ] || make env
.venv/bin/parity check "${PROFILE:-ascend910-vs-gpu}" ${DATASET:+--dataset "$DATASET"}
exec .venv/bin/parity retrain "${arguments[@]}"
