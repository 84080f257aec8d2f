"""Which commit of the code runs."""

import os
import subprocess

from components.train.runtimes import WORKING_TREE

# An image without a repository says with this what it was built from.
COMMIT_VARIABLE = "DUALGAN_GIT_COMMIT"


def code_commit() -> str | None:
    """The commit, with "-dirty" where tracked files were changed since; None where neither git nor the image knows."""
    if os.environ.get(COMMIT_VARIABLE):
        return os.environ[COMMIT_VARIABLE]
    command = [
        "git",
        "-C",
        str(WORKING_TREE),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=12",
        "--exclude=*",
    ]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None
