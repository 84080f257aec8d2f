"""A run on this machine whose trainer is killed, as often as its profile allows and once more."""

import subprocess
import sys
from pathlib import Path

import pytest

from components.tracking.store import store_uri
from tests.components.train.killing import killed_at

PROFILE = """
description: one leg against a recorded reference
image: dualgan-parity/cpu:dev
dataset: synthetic://?n=10&size=32
recorded_reference: published
retries: {retries}
legs:
  - {{name: cpu-tf2, runtime: tf2, device: cpu}}
options: {{image_size: 32, gcn: 2, dcn: 2, threads: 1, max_steps: 100, save_freq: 10, sample_freq: 0}}
"""

pytestmark = pytest.mark.system()


def run(folder: Path, retries: int) -> "subprocess.CompletedProcess[str]":
    folder.mkdir()
    profile = folder / "one-leg.yaml"
    profile.write_text(PROFILE.format(retries=retries))
    arguments = ["run", "--profile", str(profile), "--results", str(folder), "--tracking-uri", store_uri(folder)]
    return subprocess.run(
        [sys.executable, "-m", "pipelines", *arguments], capture_output=True, text=True, timeout=600, check=False
    )


def weights(folder: Path) -> bytes:
    (file,) = folder.glob("runs/*/*/train-*/model/checkpoint/step-000100/model.data-*")
    return file.read_bytes()


def test_as_often_as_the_profile_allows_the_weights_are_those_of_a_run_in_peace(tmp_path: Path) -> None:
    calm = run(tmp_path / "calm", retries=0)
    assert calm.returncode in (0, 3, 4), calm.stdout + calm.stderr
    with killed_at((15, 35, 55)) as killed:
        disturbed = run(tmp_path / "disturbed", retries=3)
    assert disturbed.returncode in (0, 3, 4), disturbed.stdout + disturbed.stderr
    assert len(killed) == 3 and "killed by SIGKILL, out of memory?" in disturbed.stdout
    assert weights(tmp_path / "disturbed") == weights(tmp_path / "calm")


def test_once_more_and_the_run_fails_with_the_reason(tmp_path: Path) -> None:
    with killed_at((0, 0)) as killed:
        answer = run(tmp_path / "run", retries=1)
    assert len(killed) == 2 and answer.returncode == 1
    (line,) = answer.stderr.splitlines()
    assert "leg cpu-tf2: killed by SIGKILL, out of memory? (try 2 of 2)" in line
