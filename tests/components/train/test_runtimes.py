"""Finding a Python 3.7: one that is on PATH but does not start counts for nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from components.train.runtimes import find_python
from dualgan.errors import BadInput


def program(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def nothing_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose only python3.7 is a version manager's shim that does not start."""
    program(tmp_path / "bin" / "python3.7", "echo 'python3.7: command not found' >&2; exit 127")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.delenv("TF1_PYTHON", raising=False)
    return tmp_path


def test_a_shim_that_does_not_start_is_passed_over(nothing_found: Path) -> None:
    assert find_python() is None
    real = program(nothing_found / "pyenv" / "versions" / "3.7.9" / "bin" / "python3.7", "echo '(3, 7)'")
    assert find_python() == real


@pytest.mark.parametrize("named", ["/nowhere/python3.7", sys.executable])
def test_a_python_that_is_named_and_is_none_is_an_error(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    monkeypatch.setenv("TF1_PYTHON", named)
    with pytest.raises(BadInput, match=f"TF1_PYTHON={named}: not a Python 3.7"):
        find_python()


def test_without_one_a_line_says_so_and_nothing_fails(nothing_found: Path) -> None:
    arguments = ["--uv", "uv", "--venv", str(nothing_found / "venv"), "--lock", "requirements/tf1.txt"]
    answer = subprocess.run(
        [sys.executable, "-m", "components.train.runtimes", *arguments], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0 and not (nothing_found / "venv").exists()
    assert len(answer.stdout.splitlines()) == 1 and "no Python 3.7 found" in answer.stdout
