"""CANN is given folders that it can write to, wherever a training is started."""

import os
from pathlib import Path

import pytest

from dualgan.devices import npu_environment
from dualgan.errors import BadInput


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, and another one to be in."""
    (tmp_path / "temporary").mkdir()
    (tmp_path / "current").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.chdir(tmp_path / "current")
    return tmp_path / "temporary"


def test_every_process_of_a_user_gets_the_same_folder(temporary: Path) -> None:
    first: dict[str, str] = {}
    second = {"ASCEND_CACHE_PATH": ""}
    npu_environment.prepare_folders(first)
    npu_environment.prepare_folders(second)
    assert (
        first
        == second
        == dict.fromkeys(npu_environment.FOLDER_VARIABLES, str(temporary / f"dualgan-ascend-{os.getuid()}"))
    )
    assert (temporary / f"dualgan-ascend-{os.getuid()}").stat().st_mode & 0o777 == 0o700


def test_folders_that_are_named_are_kept(temporary: Path, tmp_path: Path) -> None:
    environment = {"ASCEND_WORK_PATH": str(tmp_path)}
    npu_environment.prepare_folders(environment)
    assert environment["ASCEND_WORK_PATH"] == str(tmp_path) and environment["ASCEND_CACHE_PATH"] != str(tmp_path)


def test_a_folder_that_is_named_must_be_there(temporary: Path) -> None:
    with pytest.raises(BadInput, match="ASCEND_WORK_PATH=/no/such: no folder that this user may write to"):
        npu_environment.prepare_folders({"ASCEND_WORK_PATH": "/no/such"})


def test_a_current_folder_that_can_be_written_to_is_not_left(temporary: Path) -> None:
    before = Path.cwd()
    npu_environment.prepare_folders({})
    assert Path.cwd() == before


def test_another_s_folder_is_not_taken(temporary: Path, tmp_path: Path) -> None:
    (temporary / f"dualgan-ascend-{os.getuid()}").symlink_to(tmp_path)
    environment: dict[str, str] = {}
    npu_environment.prepare_folders(environment)
    assert Path(environment["ASCEND_WORK_PATH"]).parent == temporary
    assert not Path(environment["ASCEND_WORK_PATH"]).is_symlink()


def test_a_current_folder_of_another_user_is_left(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may write everywhere: the answer is that of another user.
    plain, current = os.access, Path.cwd()
    monkeypatch.setattr(os, "access", lambda path, mode: path != os.curdir and plain(path, mode))
    npu_environment.prepare_folders({})
    assert current != Path.cwd() and Path.cwd().parent == temporary
