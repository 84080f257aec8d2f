"""Errors that several steps raise."""

import errno
from pathlib import Path

from dualgan.errors import DualGANError

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class TransferBroken(DualGANError):
    """A transfer ended early; the same command goes on where it stopped, if the server allows."""


def os_failure(error: OSError, destination: Path) -> DualGANError:
    """Return ``error`` as a failure in one line; ``destination`` is what was to be made."""
    reason = error.strerror or str(error)
    if error.errno in NO_SPACE:
        return DualGANError(f"{destination}: no space left for it ({reason}); free some, or name a folder elsewhere")
    return DualGANError(f"{error.filename or destination}: {reason}")
