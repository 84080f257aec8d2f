"""What a run in containers makes of a task that vanished, and of an engine that is not there."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from docker.errors import APIError, ImageNotFound, NotFound

from components.common.docker_engine import connect_to_engine
from components.common.revision import COMMIT_VARIABLE, REVISION_LABEL
from dualgan.errors import BadInput, DualGANError
from pipelines import containers
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

    def create(self, *_: Any, **settings: Any) -> "Engine":
        assert settings["read_only"] and settings["network_mode"] == "none"
        if isinstance(self.ending, ImageNotFound):
            raise self.ending
        return self

    def start(self) -> None:
        pass

    def logs(self, **_: Any) -> Any:
        yield b"printed\n"
        raise self.ending

    def reload(self) -> None:
        raise self.ending

    def kill(self) -> None:
        raise self.ending

    def remove(self, force: bool) -> None:
        raise self.ending


@pytest.mark.parametrize(
    ("ending", "kind", "said"),
    [
        (NotFound("no such container"), DualGANError, "task dataset: it ended without leaving its results"),
        (APIError("no space left on device"), DualGANError, "task dataset: Docker: no space left on device"),
        (requests.ConnectionError("engine gone"), DualGANError, r"task dataset: Docker: engine gone \(all of it: "),
        (ImageNotFound("no such image"), BadInput, "image dualgan-parity/cpu:.*: not on this machine"),
    ],
)
def test_a_container_that_vanished_or_cannot_run_fails_its_task(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ending: Exception, kind: type[DualGANError], said: str
) -> None:
    monkeypatch.setattr("pipelines.containers.connect_to_engine", lambda: Engine(ending))
    monkeypatch.setattr("pipelines.containers.require_images", lambda profile: None)
    parameters = {"tracking_uri": f"sqlite:///{tmp_path}/mlflow/mlflow.db"}
    with pytest.raises(kind, match=said):
        run(load_profile("local"), parameters, tmp_path / "results", "docker")
    if kind is DualGANError:
        (log,) = tmp_path.glob("results/runs/*/log.txt")
        assert log.read_text() == "--- dataset\nprinted\n"
        assert '"failed"' in log.with_name("run.json").read_text()


@pytest.mark.parametrize("built", ["aaaa", "bbbb", None])
def test_an_image_of_other_code_is_said_to_be_and_used(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], built: str | None
) -> None:
    labels = {REVISION_LABEL: built} if built else {}
    images = SimpleNamespace(get=lambda _: SimpleNamespace(labels=labels))
    monkeypatch.setattr("pipelines.containers.connect_to_engine", lambda: SimpleNamespace(images=images))
    monkeypatch.setenv(COMMIT_VARIABLE, "aaaa")
    containers.require_images(load_profile("ascend910"))
    said = capsys.readouterr().out
    assert said.count("is of revision bbbb, this code of aaaa; `make images` builds it anew") == 2 * (built == "bbbb")


def test_an_engine_that_does_not_answer_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    with pytest.raises(DualGANError, match=r"^no Docker engine answers \(.*\); start one, or set DOCKER_HOST$"):
        connect_to_engine()


def test_a_file_that_another_process_removes_while_owners_change_is_no_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given: set[str] = set()

    def chown(path: Path, *_: int, follow_symlinks: bool) -> None:
        if path.name == "removed":
            raise FileNotFoundError(path)
        given.add(path.name)

    for name in ("a", "removed", "z"):
        (tmp_path / "store" / name).mkdir(parents=True)
    monkeypatch.setattr(os, "chown", chown)
    for starter, expected in ((1000, set()), (0, {"store", "a", "z"})):
        monkeypatch.setattr(os, "getuid", lambda starter=starter: starter)
        containers._give([tmp_path / "store"], containers.IMAGE_USER)
        assert given == expected
