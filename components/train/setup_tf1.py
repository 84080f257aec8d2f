"""python -m components.train.setup_tf1: TensorFlow 1.15.0 in an environment of its own, if a Python 3.7 is found.

Without a Python 3.7 that is no failure: a line says so, and everything that needs no second runtime works.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from components.train.runtimes import READY, WORKING_TREE
from dualgan.errors import BadInput, DualGANError

EXPLICIT_VARIABLE = "TF1_PYTHON"


def candidates() -> Iterator[Path]:
    """Where a Python 3.7 may be: on PATH, then among pyenv's versions, the newest first."""
    on_path = shutil.which("python3.7")
    if on_path:
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uv", required=True)
    parser.add_argument("--venv", required=True, type=Path)
    parser.add_argument("--lock", required=True, type=Path)
    parser.add_argument("--optional", action="store_true", help="do without it if it cannot be installed")
    options = parser.parse_args()
    stamp = options.venv / READY
    try:
        python = find_python()
        if python is None:
            print("no Python 3.7 found: the second runtime, TensorFlow 1.15, is left out (TF1_PYTHON=/path names one)")
            return 0
        digest = hashlib.sha256(options.lock.read_bytes()).hexdigest()
        if stamp.is_file() and stamp.read_text() == digest and starts_as_python_37(options.venv / "bin" / "python"):
            return 0
        print(f"setting up {options.venv}: TensorFlow 1.15.0 on {python}")
        set_up(python, options.uv, options.venv, options.lock)
        stamp.write_text(digest)
    except DualGANError as error:
        if options.optional and not os.environ.get(EXPLICIT_VARIABLE):
            print(f"the second runtime, TensorFlow 1.15, is left out: {error}")
            return 0
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
