"""python -m pipelines doctor --cluster: is everything there that a profile's pipeline needs on a cluster?"""

import argparse
import json
import os
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from dualgan.errors import EXIT_FAILED, BadInput
from pipelines.profile import load_profile

if TYPE_CHECKING:
    from pipelines.doctor.check import Check

HELP = """Look at a cluster with the credentials of your kubeconfig and list what a profile's pipeline needs there:
Kubeflow Pipelines, MLflow, pools of accelerators, secrets, rights. It changes nothing.
Each line says ok, missing or cannot tell, and what to do. What runs can do without is marked (optional).
Exit codes: 0 all that is required is there; 1 something is missing or could not be seen, or the cluster does not
answer; 2 wrong input."""
FLAGS = {
    "--profile": ("ascend910-vs-gpu", "whose needs (default: ascend910-vs-gpu)"),
    "--context": (None, "a context of the kubeconfig (default: the current one)"),
    "--namespace": ("kubeflow", "where KFP executes runs (default: kubeflow)"),
    "--kfp-namespace": ("kubeflow", "where KFP itself is (default: kubeflow)"),
    "--tracking-namespace": ("dualgan-parity", "where our own MLflow is, if it is (default: dualgan-parity)"),
    "--service-account": (None, "that tasks have (default: pipeline-runner, in another namespace default-editor)"),
    "--endpoint": (None, "address of KFP as seen from here (default: KFP_ENDPOINT, else its service is asked)"),
    "--tracking-uri": (None, "address of MLflow as seen from here (default: MLFLOW_TRACKING_URI, else that of tasks)"),
}


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--cluster", action="store_true", help="look at a cluster (`python -m dualgan doctor`: here)")
    for flag, (default, text) in FLAGS.items():
        command.add_argument(flag, default=default, help=text)
    command.add_argument("--json", action="store_true", help="print the list as JSON")


def doctor(options: argparse.Namespace) -> tuple[str, int]:
    """The list as text or JSON, and the exit code: 0 if all that is required is there, else 1.

    BadInput and DualGANError as the help says.
    """
    # Kubernetes' client takes a second to import.
    from pipelines.doctor.check import Place
    from pipelines.doctor.checks import check_all
    from pipelines.doctor.cluster import Cluster, Unknown
    from pipelines.doctor.needs import needs_of

    if not options.cluster:
        raise BadInput("say --cluster; for the accelerators of this machine: python -m dualgan doctor")
    profile, cluster = load_profile(options.profile), Cluster(options.context)
    try:
        version = cluster.version()
    except Unknown:
        version = "of an unknown version"
    account = "pipeline-runner" if options.namespace == options.kfp_namespace else "default-editor"
    place = Place(
        options.kfp_namespace,
        options.namespace,
        options.tracking_namespace,
        options.service_account or account,
        options.endpoint or os.environ.get("KFP_ENDPOINT", ""),
        options.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", ""),
    )
    checks = list(check_all(cluster, place, needs_of(profile)))
    unmet = [check for check in checks if check.required and check.status != "ok"]
    code = EXIT_FAILED if unmet else 0
    if options.json:
        result = {"kubernetes": version, "profile": options.profile, "ready": not unmet}
        return json.dumps({**result, "checks": [asdict(check) for check in checks]}, indent=2), code
    end = _sum(checks, unmet)
    return "\n".join([f"Kubernetes {version}, profile {options.profile}", *_lines(checks), "", end]), code


def _sum(checks: "Sequence[Check]", unmet: "Sequence[Check]") -> str:
    total = sum(check.required for check in checks)
    if not unmet:
        return f"ready: all {total} requirements are met"
    unseen = sum(check.status == "cannot tell" for check in unmet)
    parts = [f"{len(unmet) - unseen} of {total} requirements are not met"] if len(unmet) > unseen else []
    return ", ".join([*parts, *([f"{unseen} of {total} could not be seen"] if unseen else [])])


def _lines(checks: "Sequence[Check]") -> list[str]:
    lines = []
    for check in checks:
        optional = "" if check.required or check.status == "ok" else " (optional)"
        lines.append(f"{check.status:<12} {check.subject}: {check.detail}{optional}")
        if check.advice:
            lines.append(textwrap.indent(check.advice, " " * 13 + "-> "))
    return lines
