"""CANN's version is read as its installers write it, and a process gets what one card needs."""

import os
from pathlib import Path

import pytest

from dualgan.devices import npu_machine
from dualgan.devices.npu_machine import FOLDER_VARIABLES, prepare_folders, prepare_single_card
from dualgan.errors import BadInput


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(npu_machine.ROOT_VARIABLE, str(tmp_path))
    return tmp_path


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.mark.parametrize(
    "file",
    [
        "ascend-toolkit/latest/aarch64-linux/ascend_toolkit_install.info",
        "ascend-toolkit/latest/ascend_toolkit_install.info",
        "nnae/latest/ascend_nnae_install.info",
        "cann/x86_64-linux/ascend_toolkit_install.info",
        "cann-8.5.0/aarch64-linux/ascend_toolkit_install.info",
    ],
)
def test_the_version_stands_in_an_install_info(root: Path, file: str) -> None:
    write(root / file, "package_name=Ascend-cann-toolkit\nversion=8.1.RC1\ninnerversion=V100R001C21SPC001B238\n")
    assert npu_machine.installed().version == "8.1.RC1"


def test_what_is_linked_as_latest_counts_before_other_versions(root: Path) -> None:
    for version in ("5.0.4", "7.0.0"):
        info = root / "ascend-toolkit" / version / "x86_64-linux" / "ascend_toolkit_install.info"
        write(info, f"version={version}\n")
    (root / "ascend-toolkit" / "latest").symlink_to(root / "ascend-toolkit" / "5.0.4")
    assert npu_machine.installed().version == "5.0.4"


def test_a_folder_s_name_is_the_last_resort(root: Path) -> None:
    (root / "ascend-toolkit" / "5.0.4.alpha005").mkdir(parents=True)
    (root / "ascend-toolkit" / "latest").symlink_to(root / "ascend-toolkit" / "5.0.4.alpha005")
    assert npu_machine.installed().version == "5.0.4.alpha005"


def test_a_folder_s_name_may_begin_with_cann(root: Path) -> None:
    (root / "cann-8.5.0").mkdir()
    (root / "cann").symlink_to("cann-8.5.0")
    assert npu_machine.installed().version == "8.5.0" and npu_machine.installed().number == (8, 5, 0)


def test_the_driver_has_a_file_of_its_own(root: Path) -> None:
    write(root / "driver" / "version.info", "Version=21.0.2\nascendhal_version=4.0.0\n")
    assert npu_machine.installed().driver == "21.0.2"


def test_nothing_installed_is_no_error(root: Path) -> None:
    assert npu_machine.installed() == npu_machine.Cann(None, None, root)


@pytest.mark.parametrize(
    ("text", "number"), [("5.0.4.alpha005", (5, 0, 4)), ("6.3.RC2", (6, 3)), ("8.0.0", (8, 0, 0)), ("latest", None)]
)
def test_versions_compare_by_their_numbers(text: str, number: tuple[int, ...] | None) -> None:
    assert npu_machine.version_number(text) == number


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
