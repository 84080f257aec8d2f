"""The list of what a profile's pipeline needs on a cluster, and whether it is there."""

import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from dualgan.errors import EXIT_FAILED
from pipelines.profile import load_profile

if TYPE_CHECKING:
    from pipelines.doctor.check import Check, Place


def doctor(name: str, context: str | None, place: "Place", as_json: bool) -> tuple[str, int]:
    """Look for what the profile called ``name`` needs on a cluster.

    Args:
        context: A context of the kubeconfig, None for the current one.
        as_json: Whether the list is to be JSON instead of text.

    Returns:
        The list, and the exit code: 0 if all that is required is there, else 1.
    """
    from pipelines.doctor.checks import check_all
    from pipelines.doctor.cluster import Cluster, Unknown
    from pipelines.doctor.needs import needs_of

    profile, cluster = load_profile(name), Cluster(context)
    try:
        version = cluster.version()
    except Unknown:
        version = "of an unknown version"
    checks = list(check_all(cluster, place, needs_of(profile)))
    unmet = [check for check in checks if check.required and check.status != "ok"]
    code = EXIT_FAILED if unmet else 0
    if as_json:
        result = {"kubernetes": version, "profile": name, "ready": not unmet}
        return json.dumps({**result, "checks": [asdict(check) for check in checks]}, indent=2), code
    end = _sum(checks, unmet)
    return "\n".join([f"Kubernetes {version}, profile {name}", *_lines(checks), "", end]), code


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
