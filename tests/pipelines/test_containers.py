"""What a run in containers makes of a task that vanished, and of an engine that is not there."""

from pathlib import Path
from typing import Any

import pytest
from docker.errors import APIError, NotFound

from dualgan.errors import DualGANError
from pipelines.containers import connect_to_engine
from pipelines.local_run import run
from pipelines.profile import load_profile


class Engine:
    """An engine whose containers end as ``ending`` says."""

    def __init__(self, ending: Exception) -> None:
        self.ending, self.status, self.id = ending, "running", "1"
        self.containers = self

    def info(self) -> dict[str, Any]:
        return {}

    def list(self, **_: Any) -> list[Any]:
        return []

    def run(self, *_: Any, **settings: Any) -> "Engine":
        assert settings["read_only"] and settings["network_mode"] == "none"
        return self

    def reload(self) -> None:
        raise self.ending

    def remove(self, force: bool) -> None:
        raise self.ending


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        (NotFound("no such container"), "task dataset: it ended without leaving its results"),
        (APIError("no space left on device"), "task dataset: Docker: no space left on device"),
    ],
)
def test_a_container_that_vanished_or_cannot_run_fails_its_task(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ending: Exception, said: str
) -> None:
    monkeypatch.setattr("pipelines.containers.connect_to_engine", lambda: Engine(ending))
    monkeypatch.setattr("pipelines.containers.require_images", lambda profile: None)
    parameters = {"tracking_uri": f"sqlite:///{tmp_path}/mlflow/mlflow.db"}
    with pytest.raises(DualGANError, match=said):
        run(load_profile("local"), parameters, tmp_path / "results", "docker")


def test_an_engine_that_does_not_answer_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    with pytest.raises(DualGANError, match=r"^no Docker engine answers \(.*\); start one, or set DOCKER_HOST$"):
        connect_to_engine()
