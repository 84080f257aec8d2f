"""Runtimes: which Python interpreter runs the trainer, and which code it runs."""

import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from components.common.revision import WORKING_TREE
from dualgan.dataset_folder import digest_of
from dualgan.errors import BadInput

RUNTIMES = ("tf1", "tf2")
TF1_VENV = WORKING_TREE / ".venv-tf1"
# requirements/tf1.sh makes the environment, and this file in it last.
READY = "ready"
# What variables of servers begin with, passwords among them.
KEYS = ("AWS_", "MLFLOW_", "KFP_", "DUALGAN_DATASET_LOGIN")
# A container image that holds the second runtime says with this where it is.
TF1_VARIABLE = "DUALGAN_TF1_PYTHON"
TRAINER = WORKING_TREE / "components" / "dualgan"


def is_set_up(runtime: str) -> bool:
    """Return whether ``runtime`` can be used here; an environment that was only half made does not count."""
    if runtime != "tf1":
        return runtime == "tf2"
    return _tf1_python().is_file() and (TF1_VARIABLE in os.environ or (TF1_VENV / READY).is_file())


def python_of(runtime: str) -> Path:
    """Return the interpreter of ``runtime``. Raises BadInput, saying what was looked for, if it is missing."""
    if runtime not in RUNTIMES:
        raise BadInput(f"runtime {runtime}: must be one of {', '.join(RUNTIMES)}")
    if runtime == "tf2":
        return Path(sys.executable)
    python = _tf1_python()
    if not is_set_up(runtime):
        raise BadInput(
            f"runtime tf1: no Python with TensorFlow 1.15 at {python}; `make tf1` sets it up, or set {TF1_VARIABLE}"
        )
    return python


def trainer_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a trainer process: this one's without keys, and with what dualgan needs to import.

    The trainer decodes pictures of strangers, and speaks with no server.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(KEYS)}
    paths = [str(WORKING_TREE / "components"), os.environ.get("PYTHONPATH", "")]
    return {
        **inherited,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PYTHONUNBUFFERED": "1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        **variables,
    }


def _tf1_python() -> Path:
    explicit = os.environ.get(TF1_VARIABLE)
    return Path(explicit) if explicit else TF1_VENV / "bin" / "python"


def code_digest(folder: Path = TRAINER) -> str:
    """Return a SHA-256 (hex) of the Python files below ``folder``, their names included: the same in any checkout."""
    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*.py")}
    return digest_of((name, hashlib.sha256(file.read_bytes()).hexdigest()) for name, file in sorted(files.items()))
