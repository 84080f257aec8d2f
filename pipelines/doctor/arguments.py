"""The flags of `python -m pipelines doctor`."""

import argparse

HELP = """Look at a cluster with the credentials of your kubeconfig and list what a profile's pipeline needs there:
Kubeflow Pipelines, MLflow, pools of accelerators, secrets, rights. It changes nothing.
Each line says ok, missing or cannot tell, and what to do. What runs can do without is marked (optional).
Exit codes: 0 all that is required is there; 1 something is missing or could not be seen, or the cluster does not
answer; 2 wrong input."""


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--cluster", action="store_true", help="look at a cluster (`python -m dualgan doctor`: here)")
    command.add_argument("--profile", default="ascend910-vs-gpu", help="whose needs (default: ascend910-vs-gpu)")
    command.add_argument("--context", help="a context of the kubeconfig (default: the current one)")
    command.add_argument("--namespace", default="kubeflow", help="where KFP executes runs (default: kubeflow)")
    command.add_argument("--kfp-namespace", default="kubeflow", help="where KFP itself is (default: kubeflow)")
    command.add_argument("--tracking-namespace", default="dualgan-parity", help="MLflow's (default: dualgan-parity)")
    command.add_argument(
        "--service-account", default="pipeline-runner", help="that tasks have (default: pipeline-runner)"
    )
    command.add_argument("--json", action="store_true", help="print the list as JSON")
