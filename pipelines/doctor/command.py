"""python -m pipelines doctor --cluster: is everything there that a profile's pipeline needs on a cluster?"""

import argparse
import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict

from dualgan.errors import EXIT_FAILED, BadInput
from pipelines.cluster_doctor.api import CannotTellError, Cluster
from pipelines.cluster_doctor.check import Check, Place
from pipelines.cluster_doctor.checks import check_all
from pipelines.cluster_doctor.needs import needs_of
from pipelines.profile import load_profile


def doctor(options: argparse.Namespace) -> tuple[str, int]:
    """The list as text or JSON, and the exit code: 0 where all that is required is there, else 1.

    BadInput and DualGANError as the help says.
    """
    if not options.cluster:
        raise BadInput("say --cluster; for the accelerators of this machine: python -m dualgan doctor")
    profile, cluster = load_profile(options.profile), Cluster(options.context)
    version = _version(cluster)
    needs = needs_of(profile)
    place = Place(options.kfp_namespace, options.namespace, options.tracking_namespace, options.service_account)
    checks = list(check_all(cluster, place, needs))
    unmet = [check for check in checks if check.required and check.status != "ok"]
    code = EXIT_FAILED if unmet else 0
    if options.json:
        result = {"kubernetes": version, "profile": options.profile, "ready": not unmet}
        return json.dumps({**result, "checks": [asdict(check) for check in checks]}, indent=2), code
    total = sum(check.required for check in checks)
    end = f"{len(unmet)} of {total} requirements are not met" if unmet else f"ready: all {total} requirements are met"
    return "\n".join([f"Kubernetes {version}, profile {options.profile}", *_lines(checks), "", end]), code


def _version(cluster: Cluster) -> str:
    try:
        return cluster.version()
    except CannotTellError:
        return "of an unknown version"


def _lines(checks: Sequence[Check]) -> list[str]:
    lines = []
    for check in checks:
        optional = "" if check.required or check.status == "ok" else " (optional)"
        lines.append(f"{check.status:<12} {check.subject}: {check.detail}{optional}")
        if check.advice:
            lines.append(textwrap.indent(check.advice, " " * 13 + "-> "))
    return lines
