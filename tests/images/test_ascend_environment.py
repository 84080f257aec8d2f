"""The scripts of the ascend image, without the image: which files they source, and which Python they choose."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from components.common.revision import WORKING_TREE

SCRIPTS = WORKING_TREE / "images" / "ascend"


def environment(root: Path, **variables: str) -> dict[str, str]:
    """What ascend-env.sh makes of ``variables`` where CANN lies in ``root``."""
    shown = subprocess.run(
        ["/bin/bash", "-c", f". {SCRIPTS}/ascend-env.sh; env -0"],
        env={"PATH": os.environ["PATH"], "DUALGAN_ASCEND_ROOT": str(root), **variables},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return dict(line.split("=", 1) for line in shown.split("\0") if "=" in line)


@pytest.mark.parametrize(
    "file", ["cann/set_env.sh", "ascend-toolkit/set_env.sh", "nnae/set_env.sh", "tfplugin/set_env.sh"]
)
def test_the_environments_of_cann_and_its_adapter_are_made_wherever_a_version_has_them(
    tmp_path: Path, file: str
) -> None:
    (tmp_path / file).parent.mkdir()
    (tmp_path / file).write_text("export PYTHONPATH=/plugin:$PYTHONPATH\n")
    assert environment(tmp_path, PYTHONPATH="/given")["PYTHONPATH"] == "/plugin:/given"


@pytest.mark.parametrize("package", ["npu_bridge", "npu_device"])
def test_an_adapter_that_is_a_wheel_in_a_folder_can_be_imported(tmp_path: Path, package: str) -> None:
    (tmp_path / "tfplugin" / package).mkdir(parents=True)
    assert environment(tmp_path, PYTHONPATH="/given")["PYTHONPATH"] == f"{tmp_path}/tfplugin:/given"
    (tmp_path / "wheel" / package).mkdir(parents=True)
    named = environment(tmp_path, TFPLUGIN_INSTALL_PATH=str(tmp_path / "wheel"))
    assert named["PYTHONPATH"] == str(tmp_path / "wheel")


def test_a_physical_card_is_not_made_a_logical_one(tmp_path: Path) -> None:
    assert "ASCEND_DEVICE_ID" not in environment(tmp_path, DEVICE_ID="5")
    assert environment(tmp_path)["ASCEND_DEVICE_ID"] == "0"
    both = environment(tmp_path, DEVICE_ID="0", ASCEND_DEVICE_ID="0", RANK_TABLE_FILE="/somewhere/hccl.json")
    assert (both["DEVICE_ID"], both["ASCEND_DEVICE_ID"]) == ("0", "0") and "RANK_TABLE_FILE" not in both


def python(folder: Path, name: str, *, has_tensorflow: bool) -> None:
    """A Python ``folder``/python3.7 that says its ``name``, with or without a TensorFlow to be found."""
    folder.mkdir()
    packages = folder / "packages"
    (packages / "tensorflow").mkdir(parents=True)
    path = f"PYTHONPATH={packages}:$PYTHONPATH " if has_tensorflow else ""
    program = folder / "python3.7"
    program.write_text(f'#!/bin/bash\nexport NAME={name}\n{path}exec {sys.executable} -S "$@"\n')
    program.chmod(0o755)


def chosen(*folders: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """What trainer-python starts where ``folders`` come first on PATH: its name and the variables of vendors."""
    shown = "import os; print(os.environ['NAME'], os.environ.get('LD_LIBRARY_PATH'))"
    return subprocess.run(
        ["/bin/bash", str(SCRIPTS / "trainer-python"), "-c", shown],
        env={"PATH": os.pathsep.join([*map(str, folders), "/usr/bin", "/bin"]), **variables},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_python_without_tensorflow_is_passed_over_unless_it_is_named_and_variables_are_given_back(
    tmp_path: Path,
) -> None:
    python(tmp_path / "anaconda", "anaconda", has_tensorflow=False)
    python(tmp_path / "vendor", "vendor", has_tensorflow=True)
    answer = chosen(tmp_path / "anaconda", tmp_path / "vendor", DUALGAN_VENDOR_LD_LIBRARY_PATH="/vendor/lib")
    assert answer.stdout.split() == ["vendor", "/vendor/lib"], answer.stderr
    named = str(tmp_path / "anaconda" / "python3.7")
    answer = chosen(DUALGAN_BASE_PYTHON=named)
    assert answer.returncode == 2 and f"no Python with TensorFlow in this image (tried: {named})" in answer.stderr
