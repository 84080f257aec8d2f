"""What a training finds on a machine: libraries, devices and folders; and what it records of it."""

import json
import os
from pathlib import Path

import pytest

from components.train.runtimes import python_of, trainer_environment
from dualgan.doctor import known_hole
from dualgan.environment import default_cache_folder, recorded_environment
from tests.components.dualgan.devices.double import npu_trainer
from tests.components.dualgan.trainer import Trainer


def test_the_doctor_says_which_libraries_and_devices_there_are() -> None:
    answer = Trainer(python_of("tf2"), trainer_environment({}))("doctor", "--json")
    assert answer.returncode == 0, answer.stderr
    content = json.loads(answer.stdout)
    assert content["usable"] and content["devices"]["cpu"]["usable"]
    assert set(content["versions"]) == {"python", "tensorflow", "numpy", "pillow"}
    npu = content["devices"]["npu"]
    assert not npu["usable"] and "no npu_bridge in this Python" in npu["reason"]


def test_a_device_that_is_asked_for_and_not_there_is_a_failure(pytestconfig: pytest.Config) -> None:
    """npu_bridge without a card: the double is importable, but npu-smi is not on PATH."""
    bare = npu_trainer(pytestconfig, PATH="/no/such/folder")
    answer = bare("doctor", "--device", "npu")
    assert answer.returncode == 1
    assert answer.stdout.splitlines()[-1] == "device npu: not usable"
    assert "npu_bridge is here but no card" in answer.stdout


@pytest.mark.parametrize(
    ("package", "content", "named"),
    [
        ("PIL", "__version__ = '8.4.0'", "pillow 8.4.0 is too old: 9.1 or newer is needed; install pillow>=9.1"),
        ("numpy", "raise RuntimeError('another ABI\\nmore')", "numpy cannot be imported: another ABI"),
        ("tensorflow", "raise OSError('libcublas: no')", "TensorFlow cannot be used: libcublas: no"),
        ("numpy", "raise SystemExit", "numpy cannot be imported: SystemExit"),
        ("tensorflow", "raise SystemExit('no licence')", "TensorFlow cannot be used: no licence (SystemExit)"),
        # What generated code of protobuf 3 says with protobuf 4.
        ("tensorflow", "raise TypeError('Descriptors cannot not be created directly.\\nIf')", "install protobuf<3.21"),
    ],
)
def test_a_library_that_cannot_be_used_is_named_by_the_doctor_and_by_every_other_command(
    tmp_path: Path, package: str, content: str, named: str
) -> None:
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text(content)
    environment = trainer_environment({})
    trainer = Trainer(python_of("tf2"), {**environment, "PYTHONPATH": f"{tmp_path}:{environment['PYTHONPATH']}"})
    answer = trainer("doctor")
    assert answer.returncode == 1 and "Traceback" not in answer.stderr
    (line,) = [line for line in answer.stdout.splitlines() if line.startswith("cpu ")]
    assert "not usable: " in line and named in line
    answer = trainer("verify", "golden.npz")
    (line,) = [line for line in answer.stderr.splitlines() if line.startswith("error: ")]
    assert answer.returncode == 2 and named in line and "Traceback" not in answer.stderr


def test_no_variable_that_may_be_a_secret_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = ("TF_TOKEN_app_terraform_io", "TF_VAR_db_password", "ASCEND_API_KEY", "CUDA_TOKEN", "MKL_SECRET")
    for name in secrets:
        monkeypatch.setenv(name, "hunter2")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "\udcff")
    record = recorded_environment({"kind": "cpu"}, "2.21.0", "")
    assert "hunter2" not in json.dumps(record)
    assert record["variables"]["TF_ENABLE_ONEDNN_OPTS"] == "0"
    assert record["variables"]["CUDA_VISIBLE_DEVICES"] == "\\udcff"


@pytest.mark.parametrize("home", ["/proc", "nowhere"])
def test_without_a_home_to_write_to_images_are_kept_in_a_temporary_folder_and_a_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], home: str
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    # What no HOME and a user whom no file knows come to.
    monkeypatch.setenv("HOME", home) if home != "nowhere" else monkeypatch.setattr(os.path, "expanduser", str)
    assert default_cache_folder() == tmp_path / f"dualgan-cache-{os.getuid()}"
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: ") and "--cache-dir names another folder" in line
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert default_cache_folder() == tmp_path / "cache" / "dualgan"


@pytest.mark.parametrize(
    ("version", "named"),
    [
        ((3, 11, 7), "Python 3.11.10 mends it"),
        ((3, 7, 16), "Python 3.11 mends it"),
        ((3, 11, 10), ""),
        ((3, 12, 6), ""),
        ((3, 13, 0), ""),
    ],
)
def test_a_python_with_a_known_hole_is_named(version: tuple[int, ...], named: str) -> None:
    assert named in known_hole(version)
    assert bool(named) == bool(known_hole(version))
