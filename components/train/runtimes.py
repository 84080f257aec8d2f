"""Runtimes: which Python interpreter runs the trainer, and which code it runs.

``python -m components.train.runtimes`` sets up the second one: TensorFlow 1.15.0 in an environment of its own, if a
Python 3.7 is found. Without one that is no failure: a line says so, and everything that needs no second runtime works.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from dualgan.dataset_folder import digest_of
from dualgan.errors import BadInput, DualGANError

RUNTIMES = ("tf1", "tf2")
WORKING_TREE = Path(__file__).resolve().parents[2]
TF1_VENV = WORKING_TREE / ".venv-tf1"
# Written into the environment last.
READY = "ready"
# What variables of servers begin with, passwords among them.
KEYS = ("AWS_", "MLFLOW_", "KFP_", "DUALGAN_DATASET_LOGIN")
# A container image that holds the second runtime says with this where it is.
TF1_VARIABLE = "DUALGAN_TF1_PYTHON"
# Names a Python 3.7 to set up the second runtime with.
EXPLICIT_VARIABLE = "TF1_PYTHON"
# An image without a repository says with this what it was built from.
COMMIT_VARIABLE = "DUALGAN_GIT_COMMIT"
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


def code_commit() -> str | None:
    """Return the commit, with "-dirty" if tracked files were changed since; None if neither git nor the image knows."""
    if os.environ.get(COMMIT_VARIABLE):
        return os.environ[COMMIT_VARIABLE]
    command = ["git", "-C", str(WORKING_TREE), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None


def code_digest(folder: Path = TRAINER) -> str:
    """Return a SHA-256 (hex) of the Python files below ``folder``, their names included: the same in any checkout."""
    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*.py")}
    return digest_of((name, hashlib.sha256(file.read_bytes()).hexdigest()) for name, file in sorted(files.items()))


def candidates() -> Iterator[Path]:
    """Where a Python 3.7 may be: on PATH, then among pyenv's versions, the newest first."""
    if on_path := shutil.which("python3.7"):
        yield Path(on_path)
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(root.glob("versions/3.7*/bin/python3.7"), reverse=True)


def starts_as_python_37(python: Path) -> bool:
    """Whether ``python`` really is one: a shim of a version manager may be there and not start."""
    try:
        probe = [str(python), "-c", "import sys, venv; print(sys.version_info[:2])"]
        answer = subprocess.run(probe, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and answer.stdout.strip() == "(3, 7)"


def find_python() -> Path | None:
    """Return a Python 3.7 of this machine. Raises BadInput if the one that TF1_PYTHON names is none."""
    explicit = os.environ.get(EXPLICIT_VARIABLE)
    if not explicit:
        return next(filter(starts_as_python_37, candidates()), None)
    if not starts_as_python_37(Path(explicit)):
        raise BadInput(f"{EXPLICIT_VARIABLE}={explicit}: not a Python 3.7 that starts")
    return Path(explicit)


def set_up(python: Path, uv: str, venv: Path, lock: Path) -> None:
    """Make ``venv`` from ``python`` with exactly what ``lock`` holds; nothing is left if that fails."""
    commands = [
        [uv, "venv", "--quiet", "--clear", "--python", str(python), str(venv)],
        [uv, "pip", "sync", "--quiet", "--python", str(venv / "bin/python"), "--require-hashes", str(lock)],
    ]
    (venv / READY).unlink(missing_ok=True)
    for command in commands:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode:
            shutil.rmtree(venv, ignore_errors=True)
            reason = answer.stderr.strip().splitlines() or ["no reason given"]
            raise DualGANError(f"{' '.join(command[:3])} failed: {reason[-1].strip()}")
    (site_packages,) = venv.glob("lib/python3.7/site-packages")
    (site_packages / "dualgan-parity.pth").write_text(f"{WORKING_TREE / 'components'}\n")


def main() -> int:
    parser = argparse.ArgumentParser(description="Set up the second runtime, TensorFlow 1.15.")
    parser.add_argument("--uv", required=True)
    parser.add_argument("--venv", required=True, type=Path)
    parser.add_argument("--lock", required=True, type=Path)
    parser.add_argument("--optional", action="store_true", help="do without it if it cannot be installed")
    options = parser.parse_args()
    stamp, left_out = options.venv / READY, "the second runtime, TensorFlow 1.15, is left out"
    try:
        python = find_python()
        if python is None:
            print(f"no Python 3.7 found: {left_out} (TF1_PYTHON=/path names one)")
            return 0
        digest = hashlib.sha256(options.lock.read_bytes()).hexdigest()
        if stamp.is_file() and stamp.read_text() == digest and starts_as_python_37(options.venv / "bin" / "python"):
            return 0
        print(f"setting up {options.venv}: TensorFlow 1.15.0 on {python}")
        set_up(python, options.uv, options.venv, options.lock)
        stamp.write_text(digest)
    except DualGANError as error:
        if options.optional and not os.environ.get(EXPLICIT_VARIABLE):
            print(f"{left_out}: {error}")
            return 0
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
