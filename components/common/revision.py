"""The code that runs: its folder, and its revision, the commit that an image and a package were made of."""

import os
import subprocess
from pathlib import Path

from dualgan.errors import BadInput

WORKING_TREE = Path(__file__).resolve().parents[2]
# An image without a repository says with the first what it was built from, a package with the second to its tasks.
COMMIT_VARIABLE, PACKAGE_VARIABLE = "DUALGAN_GIT_COMMIT", "DUALGAN_PACKAGE_COMMIT"
UNKNOWN = "unknown"
REVISION_LABEL = "org.opencontainers.image.revision"


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


def require_package_revision() -> None:
    """Raise BadInput unless this process's code is of the revision that the package of its task was compiled from."""
    wanted = os.environ.get(PACKAGE_VARIABLE)
    if wanted and wanted != (found := code_commit() or UNKNOWN):
        raise BadInput(
            f"this task's image is of revision {found}, its package of {wanted}: push the images of {wanted}, or "
            f"compile the package from {found}"
        )
