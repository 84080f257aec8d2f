"""Which code trains: the commit of the working tree or image, and a checksum of the trainer's sources."""

import hashlib
import os
import subprocess
from pathlib import Path

from components.train.runtimes import WORKING_TREE
from dualgan.dataset_folder import digest_of

# An image without a repository says with this what it was built from.
COMMIT_VARIABLE = "DUALGAN_GIT_COMMIT"
TRAINER = WORKING_TREE / "components" / "dualgan"


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
