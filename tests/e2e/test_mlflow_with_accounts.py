"""The whole job with an MLflow that asks for a login: retrain, run, publish, promote, by one who is no admin."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import requests

from components.tracking.comparison_view import has_view
from components.tracking.runs import find_experiment, leg_runs, version_with_alias
from components.tracking.store import connect
from components.tracking.ui import comparison_url
from tests.components.tracking.conftest import database, with_login
from tests.components.tracking.observed import history, images
from tests.components.tracking.servers import LoginServer, variables
from tests.pipelines.kfp_server import running_kfp

__all__ = ["database", "with_login"]

pytestmark = [pytest.mark.system(), pytest.mark.timeout(1500)]
STEPS = 30
# What so few steps measure of speed, pictures and curves is chance: every bound is wide, so that the verdict is pass.
PROFILE = """
description: Small enough for a test, and wide enough to pass.
image: dualgan-parity/cpu:dev
dataset: synthetic://?n=10&size=32
reference: plain
seeds: [0, 1]
mlflow_hours: 0
legs:
  - {name: plain, runtime: tf2, device: cpu, environment: {TF_ENABLE_ONEDNN_OPTS: "0"}}
  - {name: tuned, runtime: tf2, device: cpu}
options: {image_size: 32, gcn: 4, dcn: 4, threads: 1, max_steps: 30, sample_freq: 15, save_freq: 0}
bounds: {max_loss_ratio: 10, gross_loss_ratio: 10, max_reconstruction_ratio: 10, max_distance_ratio: 10,
  min_sharpness_ratio: 0.001, min_speed_ratio: 0.001}
"""


@pytest.fixture(scope="module")
def login(with_login: LoginServer) -> Mapping[str, str]:
    """The variables of a task's pod."""
    return {**variables(with_login.new_account("tasks")), "MLFLOW_TRACKING_URI": with_login.address}


def pipelines(*arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pipelines", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=800, check=False, env={**os.environ, **more})


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("profile") / "tiny.yaml"
    file.write_text(PROFILE)
    return file


def retrain(profile: Path, login: Mapping[str, str], kfp: str) -> str:
    answer = pipelines("retrain", "--profile", str(profile), "--no-wait", KFP_ENDPOINT=kfp, no_proxy="*", **login)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


@pytest.fixture(scope="module")
def published(login: Mapping[str, str], profile: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a run on this machine that made its model champion, before and after a retrain was asked for."""
    results = tmp_path_factory.mktemp("results")
    with running_kfp() as kfp:
        # Nobody has published anything: the model is not there, which is no matter of permission.
        assert "due: there is no champion yet" in retrain(profile, login, kfp.url) and len(kfp.runs) == 1

        answer = pipelines("run", "--profile", str(profile), "--results", str(results), **login)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        assert "MLflow lacks" not in answer.stdout
        assert "model: dualgan-synthetic version 1, challenger and champion" in answer.stdout

        # The champion is found, and what it was made by is known.
        assert "not due: nothing changed since the champion, version 1" in retrain(profile, login, kfp.url)
        assert len(kfp.runs) == 1
    return results


def test_from_the_first_retrain_to_the_champion_and_the_page_that_compares(
    with_login: LoginServer, login: Mapping[str, str], published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in login.items():
        monkeypatch.setenv(name, value)
    client = connect(with_login.address)
    champion = version_with_alias(client, "dualgan-synthetic", "champion")
    assert champion and champion.tags["verdict"] == "pass"
    experiment = find_experiment(client, "synthetic")
    assert experiment
    pipeline_run_id = champion.tags["pipeline_run_id"]
    runs = leg_runs(client, experiment, pipeline_run_id)
    assert sorted((run.data.tags["leg"], run.data.tags["seed"]) for run in runs) == [
        ("plain", "0"), ("plain", "1"), ("tuned", "0"), ("tuned", "1"),
    ]  # fmt: skip
    for run in runs:
        assert [point[0] for point in history(client, run, "loss/A_loss")] == list(range(1, STEPS + 1))
        assert images(client, run)
    assert has_view(client, experiment, pipeline_run_id)
    page = comparison_url(with_login.address, experiment, pipeline_run_id)
    account = (login["MLFLOW_TRACKING_USERNAME"], login["MLFLOW_TRACKING_PASSWORD"])
    assert requests.get(page, auth=account, timeout=60).ok


def test_an_account_that_may_not_change_the_model_is_told_so_at_once(
    with_login: LoginServer, login: Mapping[str, str], published: Path
) -> None:
    (records,) = published.glob("runs/*/*/train-tuned-seed-0/records")
    command = [sys.executable, "-m", "parity", "publish", str(records), str(published / "latest")]
    command += ["--model", str(records.with_name("model")), "--hours", "1"]
    others = {**os.environ, **login, **variables(with_login.new_account("others"))}
    answer = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=others)
    assert answer.returncode == 1 and "waiting for MLflow" not in answer.stdout
    (line,) = answer.stderr.splitlines()
    assert line.startswith(f"error: {with_login.address}: not allowed: ") and "write access" in line
