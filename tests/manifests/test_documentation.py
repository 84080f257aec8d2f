"""docs/cluster.md says nothing of the manifests that is not so."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from pipelines.profile import load_profile
from pipelines.scheduling import ARCHITECTURE
from tests.manifests.rendered import MANIFESTS, OVERLAYS, ROOT, example_secrets, of_kind, rendered
from tests.parity.parsing import parse

TEXT = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
ADMINS_PART = TEXT.partition("## For the admin")[2].partition("\n## ")[0]


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", ADMINS_PART, flags=re.DOTALL)


def _commands() -> list[list[str]]:
    """Every command of the shell blocks, split at pipes."""
    lines = "\n".join(_blocks("sh")).replace("\\\n", " ").splitlines()
    parts = [part for line in lines for part in re.split(r"\s(?:\||&&)\s", line)]
    return [shlex.split(part.partition(" > ")[0]) for part in parts if part.strip(" &")]


def test_every_file_that_is_named_is_there() -> None:
    named = set(re.findall(r"(?:manifests|overlays|base|pools|kfp)/[\w./-]+\.(?:yaml|json)", ADMINS_PART))
    assert named
    for path in named:
        place = ROOT / path if path.startswith("manifests/") else MANIFESTS / path
        assert place.is_file(), path


def test_the_table_of_overlays_is_complete() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \|", ADMINS_PART, flags=re.MULTILINE)
    assert sorted(rows) == OVERLAYS


def test_commands_of_this_software_are_understood() -> None:
    ours = [words for words in _commands() if words[0] == "parity"]
    assert ours
    for words in ours:
        parse(words)


def test_secrets_that_are_named_are_in_the_example() -> None:
    names = {name for _, name in example_secrets()}
    for name in ("mlflow-artifacts", "dualgan-parity-s3", "mlflow-admin", "kfp-mlflow-credentials"):
        assert f"`{name}`" in ADMINS_PART and name in names


@pytest.mark.system("kubectl")
def test_kubectl_has_the_commands_and_the_objects_are_rendered() -> None:
    ours = {
        f"{one['kind'].lower()}/{one['metadata']['name']}"
        for one in of_kind(rendered("local-storage"), "Deployment", "Service")
    }
    for words in [words for words in _commands() if words[0] == "kubectl"]:
        answer = subprocess.run(
            ["kubectl", words[1], "--help"], capture_output=True, text=True, timeout=60, check=False
        )
        assert answer.returncode == 0, words
        for flag in [word.partition("=")[0] for word in words if word.startswith("--") and word != "--"]:
            subject = words[1:3] if words[1] in {"create", "rollout"} else words[1:2]
            helped = subprocess.run(
                ["kubectl", *subject, "--help"], capture_output=True, text=True, timeout=60, check=False
            )
            assert f"{flag}=" in helped.stdout, f"{flag} of kubectl {' '.join(subject)}"
        if "dualgan-parity" in words:
            assert ours & set(words), words


@pytest.mark.system("kubectl")
def test_the_folder_of_a_site_builds(tmp_path: Path) -> None:
    (example,) = _blocks("yaml")
    shutil.copytree(MANIFESTS, tmp_path / "manifests")
    site = tmp_path / "site"
    site.mkdir()
    (site / "kustomization.yaml").write_text(example)
    answer = subprocess.run(
        ["kubectl", "kustomize", str(site)], capture_output=True, text=True, timeout=120, check=False
    )
    assert answer.returncode == 0, answer.stderr
    objects = tuple(yaml.safe_load_all(answer.stdout))
    assert len(of_kind(objects, "StatefulSet")) == len(of_kind(objects, "ResourceQuota")) == 1
    images = re.findall(r"image: (\S+)", answer.stdout)
    assert "registry.my-company.net/dualgan-parity/mlflow:3.17.2" in images


def test_the_labels_that_nodes_must_have_are_those_that_profiles_select() -> None:
    profile = load_profile("ascend910-vs-gpu")
    selectors = [leg.resources.node_selector for leg in profile.legs]
    selectors += [{ARCHITECTURE: leg.resources.architecture or ""} for leg in profile.legs if leg.device == "npu"]
    labels = {f"`{key}={value}`" for selector in selectors for key, value in selector.items()}
    assert labels and all(label in ADMINS_PART for label in labels)
