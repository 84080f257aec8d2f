"""A training on an NPU uses one card and folders that CANN can write to, whatever the launcher left."""

import os
from pathlib import Path

import pytest

from dualgan.devices.npu_environment import FOLDER_VARIABLES, prepare_folders, prepare_single_card
from dualgan.errors import BadInput


def test_what_a_launcher_leaves_out_is_filled_in() -> None:
    environment: dict[str, str] = {}
    prepare_single_card(environment)
    assert environment == {"RANK_ID": "0", "RANK_SIZE": "1", "JOB_ID": "10087", "ASCEND_DEVICE_ID": "0"}


def test_what_a_launcher_says_of_its_one_card_is_kept() -> None:
    environment = {"ASCEND_DEVICE_ID": "1", "DEVICE_ID": "3", "JOB_ID": "7"}
    prepare_single_card(environment)
    assert (environment["ASCEND_DEVICE_ID"], environment["DEVICE_ID"], environment["JOB_ID"]) == ("1", "3", "7")


def test_the_physical_number_of_a_card_is_left_to_the_adapter_to_translate() -> None:
    environment = {"DEVICE_ID": "5"}
    prepare_single_card(environment)
    assert "ASCEND_DEVICE_ID" not in environment


def test_what_describes_a_cluster_is_taken_out() -> None:
    cluster = {"RANK_TABLE_FILE": "/t.json", "CM_CHIEF_IP": "10.0.0.1", "CM_WORKER_SIZE": "1", "PATH": "/bin"}
    prepare_single_card(cluster)
    assert set(cluster) == {"PATH", "RANK_ID", "RANK_SIZE", "JOB_ID", "ASCEND_DEVICE_ID"}


@pytest.mark.parametrize("name", ["RANK_SIZE", "CM_WORKER_SIZE"])
def test_several_cards_are_refused(name: str) -> None:
    with pytest.raises(BadInput, match=f"{name}=8, but a training uses one card"):
        prepare_single_card({name: "8"})


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
    prepare_folders(first)
    prepare_folders(second)
    own = temporary / f"dualgan-ascend-{os.getuid()}"
    assert first == second == dict.fromkeys(FOLDER_VARIABLES, str(own))
    assert own.stat().st_mode & 0o777 == 0o700


def test_folders_that_are_named_are_kept(temporary: Path, tmp_path: Path) -> None:
    environment = {"ASCEND_WORK_PATH": str(tmp_path)}
    prepare_folders(environment)
    assert environment["ASCEND_WORK_PATH"] == str(tmp_path) and environment["ASCEND_CACHE_PATH"] != str(tmp_path)


def test_a_folder_that_is_named_must_be_there(temporary: Path) -> None:
    with pytest.raises(BadInput, match="ASCEND_WORK_PATH=/no/such: no folder that this user may write to"):
        prepare_folders({"ASCEND_WORK_PATH": "/no/such"})


def test_a_current_folder_that_can_be_written_to_is_not_left(temporary: Path) -> None:
    before = Path.cwd()
    prepare_folders({})
    assert Path.cwd() == before


def test_another_s_folder_is_not_taken(temporary: Path, tmp_path: Path) -> None:
    (temporary / f"dualgan-ascend-{os.getuid()}").symlink_to(tmp_path)
    environment: dict[str, str] = {}
    prepare_folders(environment)
    assert Path(environment["ASCEND_WORK_PATH"]).parent == temporary
    assert not Path(environment["ASCEND_WORK_PATH"]).is_symlink()


def test_a_current_folder_of_another_user_is_left(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may write everywhere: the answer is that of another user.
    plain, current = os.access, Path.cwd()
    monkeypatch.setattr(os, "access", lambda path, mode: path != os.curdir and plain(path, mode))
    prepare_folders({})
    assert current != Path.cwd() and Path.cwd().parent == temporary
