"""docs/cluster.md says nothing of the manifests that is not so."""

import re
import shlex
import subprocess

import pytest

from pipelines.profile import load_profile
from tests.manifests.rendered import (
    EXAMPLE,
    MANIFESTS,
    OPTIONS,
    OVERLAYS,
    ROOT,
    example_secrets,
    identity,
    of_kind,
    rendered,
    runs_namespace,
)
from tests.parity.parsing import parse

TEXT = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
ADMINS_PART = TEXT.partition("\n## Submit")[0]
# Commands of kubectl that have commands of their own.
GROUPS = {"create", "rollout", "set"}


def _commands() -> list[list[str]]:
    """Every command of the shell blocks, split at pipes."""
    blocks = re.findall(r"```sh\n(.*?)```", ADMINS_PART, flags=re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    parts = [part for line in lines for part in re.split(r"\s(?:\||&&)\s", line)]
    return [shlex.split(part.partition(" > ")[0]) for part in parts if part.strip(" &")]


def test_files_components_secrets_and_labels_that_are_named_are_there() -> None:
    named = set(re.findall(r"(?:manifests|overlays|base|pools|kfp)/[\w./-]+\.(?:yaml|json|example)", ADMINS_PART))
    assert named
    for path in named:
        place = ROOT / path if path.startswith("manifests/") else MANIFESTS / path
        assert place.exists(), path
    rows = re.findall(r"^\| `([\w/-]+)` \|", ADMINS_PART, flags=re.MULTILINE)
    assert sorted(rows) == sorted([*OVERLAYS, "pools/ascend", "pools/gpu", *OPTIONS, "multi-user"])
    secrets = {name for _, name in example_secrets()}
    for name in ("mlflow-artifacts", "dualgan-parity-s3", "mlflow-admin", "mlflow-accounts", "kfp-mlflow-credentials"):
        assert f"`{name}`" in ADMINS_PART and name in secrets
    npus = [leg.resources for leg in load_profile("ascend910-vs-gpu").legs if leg.device == "npu"]
    labels = [{"kubernetes.io/arch": one.architecture, **one.node_selector} for one in npus]
    assert npus and all(f"`{key}={value}`" in ADMINS_PART for one in labels for key, value in one.items())


def test_the_tasks_of_a_platform_engineer_are_its_chapters_and_our_commands_are_understood() -> None:
    chapters = re.findall(r"^## (.*)", TEXT, flags=re.MULTILINE)
    assert chapters == ["Install", "One team", "Many teams", "Upgrade", "Back up", "Remove", "Submit", "Retrain"]
    ours = [words for words in _commands() if words[0] == "parity"]
    assert ours
    for words in ours:
        parse(words)


@pytest.mark.system("kubectl")
def test_kubectl_has_the_commands_and_their_flags() -> None:
    for words in [words for words in _commands() if words[0] == "kubectl"]:
        subject = words[1:3] if words[1] in GROUPS else words[1:2]
        helped = subprocess.run(
            ["kubectl", *subject, "--help"], capture_output=True, text=True, timeout=60, check=False
        )
        assert helped.returncode == 0 and f"kubectl {' '.join(subject)} " in helped.stdout, words
        for flag in [word.partition("=")[0] for word in words if word.startswith("--") and word != "--"]:
            assert f"{flag}=" in helped.stdout, f"{flag} of kubectl {' '.join(subject)}"


@pytest.mark.system("kubectl")
def test_objects_that_commands_name_are_rendered() -> None:
    """In our namespace; a job is what an earlier command has made."""
    objects = {identity(one).lower() for name in ("every-option", "a-team") for one in rendered(name)}
    made: set[str] = set()
    for words in [words for words in _commands() if "dualgan-parity" in words]:
        named = [word.removeprefix("--from=") for word in words if re.match(r"(--from=)?[a-z]+/[\w-]+$", word)]
        named += [f"networkpolicy/{words[3]}"] if words[1:3] == ["delete", "networkpolicy"] else []
        assert named, words
        for one in named:
            kind, name = one.split("/")
            assert f"{kind}/dualgan-parity/{name}" in {*objects, *made}, one
        if words[1:3] == ["create", "job"]:
            made.add(f"job/dualgan-parity/{words[3]}")


@pytest.mark.system("kubectl")
def test_removing_a_team_leaves_nothing_of_it() -> None:
    (kinds,) = [words[2].split(",") for words in _commands() if words[1:2] == ["delete"] and "-l" in words]
    left = [
        one
        for one in rendered("a-team")
        if one["metadata"].get("namespace") == runs_namespace("a-team") and one["kind"].lower() not in kinds
    ]
    assert left == []


@pytest.mark.system("kubectl")
def test_the_example_of_a_site_builds() -> None:
    objects = rendered(EXAMPLE)
    assert len(of_kind(objects, "StatefulSet")) == len(of_kind(objects, "Ingress")) == 1
    (container,) = of_kind(objects, "Deployment")[0]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.my-company.net/dualgan-parity/mlflow:3.17.2"
    data = [one["data"] for one in of_kind(objects, "ConfigMap") if one["metadata"]["name"] == "dualgan-parity"]
    assert data[0]["DATASET"] == "s3://mlpipeline/faces"
