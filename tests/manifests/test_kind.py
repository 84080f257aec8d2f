"""The cluster of one machine: what its script refers to is there."""

import re
import subprocess
from pathlib import Path

import pytest

from pipelines.profile import load_profile

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "manifests" / "kind" / "cluster.sh"


def test_files_images_and_secrets_of_the_script_are_there() -> None:
    text, profile = SCRIPT.read_text(), load_profile("kind")
    named = set(re.findall(r"manifests/(?:overlays|kfp)/[\w./-]+", text))
    assert len(named) >= 4 and [name for name in sorted(named) if not (ROOT / name).exists()] == []
    (loaded,) = re.findall(r"for image in (.*); do", text)
    used = {profile.image, *(leg.image or profile.image for leg in profile.legs)}
    assert used == {f"dualgan-parity/{image}" for image in loaded.split() if not image.startswith('"mlflow')}
    example = (ROOT / "manifests" / "secrets.example.yaml").read_text()
    names = set(re.findall(r"metadata: \{name: ([\w-]+), namespace: ([\w-]+)\}", example))
    assert set(re.findall(r"^  secret_yaml ([\w-]+) ([\w-]+) ", text, re.MULTILINE)) == names


@pytest.mark.parametrize("arguments", [(), ("everything",)])
def test_an_unknown_verb_is_told_what_there_is(arguments: tuple[str, ...]) -> None:
    answer = subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, check=False)
    assert answer.returncode == 2 and "up|run|down" in answer.stderr
