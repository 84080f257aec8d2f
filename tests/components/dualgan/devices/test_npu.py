"""What a user is told of an adapter that does not load, which CANN is found, and what a process gets for one card."""

import json
import os
from pathlib import Path

import pytest

from components.train.runtimes import python_of, trainer_environment
from dualgan.devices import npu, open_device
from dualgan.devices.npu_options import Cann
from dualgan.errors import BadInput
from tests.components.dualgan.devices.double import DOUBLE, double_environment, npu_trainer
from tests.components.dualgan.trainer import Trainer

LOADER = "libge_runner.so: cannot open shared object file: No such file or directory"


def test_without_an_adapter_the_environment_is_left_as_it_is() -> None:
    before = dict(os.environ)
    with pytest.raises(BadInput, match=r"no npu_bridge in this Python .No module named 'npu_bridge'."):
        open_device("npu")
    assert os.environ == before


def test_what_is_printed_meanwhile_is_caught(capfd: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []
    with npu.standard_output_caught(lines):
        os.write(1, b"from a library\n\n")
    os.write(1, b"afterwards\n")
    assert lines == ["from a library"] and capfd.readouterr().out == "afterwards\n"


@pytest.mark.parametrize("adapter", ["npu_bridge", "npu_device"])
def test_the_loader_s_words_are_the_reason_and_json_stays_json(pytestconfig: pytest.Config, adapter: str) -> None:
    broken = {"NPU_BRIDGE_DOUBLE_BROKEN": LOADER}
    if adapter == "npu_bridge":
        trainer = npu_trainer(pytestconfig, **broken)
    else:
        environment = {**double_environment("8.0", "910B3", DOUBLE / "tensorflow2"), **broken}
        trainer = Trainer(python_of("tf2"), trainer_environment(environment))
    answer = trainer("doctor", "--device", "npu", "--json")
    assert answer.returncode == 1
    reason = json.loads(answer.stdout)["devices"]["npu"]["reason"]
    assert f"{adapter} is in this Python but does not load ({LOADER})" in reason


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(npu.ROOT_VARIABLE, str(tmp_path))
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
def test_cann_s_version_stands_in_an_install_info_and_the_driver_s_in_its_own_file(root: Path, file: str) -> None:
    assert npu.installed() == Cann(None, None, root)
    write(root / file, "package_name=Ascend-cann-toolkit\nversion=8.1.RC1\ninnerversion=V100R001C21SPC001B238\n")
    write(root / "driver" / "version.info", "Version=21.0.2\nascendhal_version=4.0.0\n")
    assert npu.installed() == Cann("8.1.RC1", "21.0.2", root)


@pytest.mark.parametrize(
    ("link", "folder", "version"),
    [
        ("ascend-toolkit/latest", "ascend-toolkit/5.0.4.alpha005", "5.0.4.alpha005"),
        ("cann", "cann-8.5.0", "8.5.0"),
    ],
)
def test_a_folder_s_name_is_the_last_resort(root: Path, link: str, folder: str, version: str) -> None:
    (root / folder).mkdir(parents=True)
    (root / link).symlink_to(root / folder)
    assert npu.installed().version == version


def test_what_is_linked_as_latest_counts_before_other_versions(root: Path) -> None:
    for version in ("5.0.4", "7.0.0"):
        info = root / "ascend-toolkit" / version / "x86_64-linux" / "ascend_toolkit_install.info"
        write(info, f"version={version}\n")
    (root / "ascend-toolkit" / "latest").symlink_to(root / "ascend-toolkit" / "5.0.4")
    assert npu.installed().version == "5.0.4"


@pytest.mark.parametrize(
    ("text", "number"), [("5.0.4.alpha005", (5, 0, 4)), ("6.3.RC2", (6, 3)), ("8.0.0", (8, 0, 0)), ("latest", None)]
)
def test_versions_compare_by_their_numbers(text: str, number: tuple[int, ...] | None) -> None:
    assert Cann(text, None, Path("/")).number == number


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This user's folder among those for temporary files; the current folder is another one."""
    (tmp_path / "temporary").mkdir()
    (tmp_path / "current").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.chdir(tmp_path / "current")
    return tmp_path / "temporary" / f"dualgan-ascend-{os.getuid()}"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"RANK_ID": "0", "RANK_SIZE": "1", "JOB_ID": "10087", "ASCEND_DEVICE_ID": "0"}),
        # What a launcher says of its one card.
        (
            {"ASCEND_DEVICE_ID": "1", "DEVICE_ID": "3", "JOB_ID": "7"},
            {"ASCEND_DEVICE_ID": "1", "DEVICE_ID": "3", "JOB_ID": "7"},
        ),
        # The physical number of a card is left to the adapter to translate.
        ({"DEVICE_ID": "5"}, {"DEVICE_ID": "5", "ASCEND_DEVICE_ID": None}),
        # What describes a cluster.
        (
            {"RANK_TABLE_FILE": "/t.json", "CM_CHIEF_IP": "10.0.0.1", "CM_WORKER_SIZE": "1", "PATH": "/bin"},
            {"RANK_TABLE_FILE": None, "CM_CHIEF_IP": None, "CM_WORKER_SIZE": None, "PATH": "/bin"},
        ),
        ({"ASCEND_WORK_PATH": "/tmp", "ASCEND_CACHE_PATH": ""}, {"ASCEND_WORK_PATH": "/tmp"}),
    ],
)
def test_a_process_gets_what_one_card_needs(own: Path, given: dict[str, str], expected: dict[str, str | None]) -> None:
    environment, before = dict(given), Path.cwd()
    npu.prepare_environment(environment)
    assert {name: environment.get(name) for name in expected} == expected
    assert environment["ASCEND_CACHE_PATH"] == str(own) and own.stat().st_mode & 0o777 == 0o700
    assert Path.cwd() == before


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("RANK_SIZE", "8", "RANK_SIZE=8, but a training uses one card"),
        ("CM_WORKER_SIZE", "8", "CM_WORKER_SIZE=8, but a training uses one card"),
        ("ASCEND_WORK_PATH", "/no/such", "ASCEND_WORK_PATH=/no/such: no folder that this user may write to"),
    ],
)
def test_several_cards_and_folders_that_are_not_there_are_refused(own: Path, name: str, value: str, named: str) -> None:
    with pytest.raises(BadInput, match=named):
        npu.prepare_environment({name: value})


def test_another_s_folder_is_not_taken(own: Path, tmp_path: Path) -> None:
    own.symlink_to(tmp_path)
    environment: dict[str, str] = {}
    npu.prepare_environment(environment)
    taken = Path(environment["ASCEND_WORK_PATH"])
    assert taken.parent == own.parent and not taken.is_symlink()


def test_a_current_folder_of_another_user_is_left(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may write everywhere: the answer is that of another user.
    plain = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != os.curdir and plain(path, mode))
    npu.prepare_environment({})
    assert Path.cwd() == own
