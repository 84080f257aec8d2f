"""Setting up the second runtime: a Python 3.7 that is on PATH but does not start counts for nothing."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.common.revision import WORKING_TREE


def program(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose only python3.7 is a version manager's shim that does not start."""
    program(tmp_path / "bin" / "python3.7", "echo 'python3.7: command not found' >&2; exit 127")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.delenv("TF1_PYTHON", raising=False)
    return tmp_path


def set_up(machine: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """Set up an environment with an installer that has no network."""
    uv = program(machine / "uv", "echo downloading >&2; echo 'error: no network' >&2; exit 2")
    command = [str(WORKING_TREE / "requirements" / "tf1.sh"), str(uv), str(machine / "venv"), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_without_one_a_line_says_so_and_nothing_fails(machine: Path) -> None:
    answer = set_up(machine)
    assert answer.returncode == 0 and not (machine / "venv").exists()
    assert len(answer.stdout.splitlines()) == 1 and "no Python 3.7 found" in answer.stdout


def test_a_shim_is_passed_over_and_what_cannot_be_installed_fails_unless_it_is_optional(machine: Path) -> None:
    real = program(machine / "pyenv" / "versions" / "3.7.9" / "bin" / "python3.7", "echo '(3, 7)'")
    answer = set_up(machine)
    assert answer.returncode == 1 and f"TensorFlow 1.15.0 on {real}" in answer.stdout
    assert answer.stderr == "error: TensorFlow 1.15 cannot be installed: error: no network\n"
    answer = set_up(machine, "--optional")
    assert answer.returncode == 0 and "is left out: it cannot be installed: error: no network" in answer.stdout
    assert not (machine / "venv").exists()


@pytest.mark.parametrize("missing", ["PYENV_ROOT", "HOME"])
def test_a_python_on_path_is_found_in_a_folder_with_a_space_and_without_a_home(
    machine: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    real = program(machine / "my tools" / "python3.7", "echo '(3, 7)'")
    monkeypatch.setenv("PATH", f"{real.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("PYENV_ROOT")
    monkeypatch.delenv(missing, raising=False)
    assert f"TensorFlow 1.15.0 on {real}\n" in set_up(machine).stdout


@pytest.mark.stress
def test_a_shim_that_hangs_is_given_up_after_30_seconds(machine: Path) -> None:
    program(machine / "bin" / "python3.7", "sleep 50; echo '(3, 7)'")
    began = time.monotonic()
    assert "no Python 3.7 found" in set_up(machine).stdout
    assert time.monotonic() - began < 45


@pytest.mark.parametrize("named", ["/nowhere/python3.7", sys.executable])
def test_a_python_that_is_named_and_is_none_is_an_error(
    machine: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.setenv("TF1_PYTHON", named)
    answer = set_up(machine, "--optional")
    assert answer.returncode == 2 and answer.stderr == f"error: TF1_PYTHON={named}: not a Python 3.7 that starts\n"
