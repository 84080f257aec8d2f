"""What a run in containers makes of a task that vanished, and of an engine that is not there."""

from pathlib import Path
from typing import Any

import pytest

from dualgan.errors import DualGANError
from pipelines.containers import absolute, connect_to_engine
from pipelines.local_run import run
from pipelines.profile import load_profile


def test_a_task_that_left_nothing_fails_although_kfp_reports_success(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Engine:
        def info(self) -> dict[str, Any]:
            return {}

        def list(self, **_: Any) -> list[Any]:
            return []

        def close(self) -> None:
            pass

        containers = property(lambda self: self)

    monkeypatch.setattr("pipelines.containers.connect_to_engine", Engine)
    monkeypatch.setattr("docker.from_env", Engine)
    monkeypatch.setattr("pipelines.containers.check_images", lambda client, profile: None)
    # KFP's own runner returns 0 for a container that it does not find any more.
    monkeypatch.setattr("kfp.local.docker_task_handler.run_docker_container", lambda **_: 0)
    parameters = {"tracking_uri": f"sqlite:///{tmp_path}/mlflow/mlflow.db"}
    with pytest.raises(DualGANError, match="task dataset: it ended without leaving its results"):
        run(load_profile("local"), parameters, tmp_path / "results", "docker")


def test_an_engine_that_does_not_answer_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    with pytest.raises(DualGANError, match=r"^no Docker engine answers \(.*\); start one, or set DOCKER_HOST$"):
        connect_to_engine()


def test_paths_mean_the_same_in_a_container(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "faces").mkdir()
    named = absolute(
        {"dataset": "faces", "options": {"init_from": "old/model-7"}, "tracking_uri": "sqlite:///store/mlflow.db"}
    )
    assert named["dataset"] == str(tmp_path / "faces")
    assert named["options"] == {"init_from": str(tmp_path / "old" / "model-7")}
    assert named["tracking_uri"] == f"sqlite:///{tmp_path}/store/mlflow.db"
