"""Errors that several steps raise, and log lines that a terminal cannot obey."""

import errno
import logging
from pathlib import Path
from typing import Any

from dualgan.errors import DualGANError, printable

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class TransferBroken(DualGANError):
    """A transfer ended early; the same command goes on where it stopped, if the server allows."""


def os_failure(error: OSError, destination: Path) -> DualGANError:
    """Return ``error`` as a failure in one line; ``destination`` is what was to be made."""
    reason = error.strerror or str(error)
    if error.errno in NO_SPACE:
        return DualGANError(f"{destination}: no space left for it ({reason}); free some, or name a folder elsewhere")
    return DualGANError(f"{error.filename or destination}: {reason}")


def make_logs_printable() -> None:
    """Have every logger of this process, libraries' included, say what servers answered as ``printable`` shows it."""
    make = logging.getLogRecordFactory()
    if getattr(make, "is_printable", False):
        return

    def make_printable(*arguments: Any, **options: Any) -> logging.LogRecord:
        record = make(*arguments, **options)
        if not (text := record.getMessage()).isprintable():
            record.msg, record.args = printable(text), ()
        if record.exc_info:
            record.exc_text = printable(logging.Formatter().formatException(record.exc_info))
        return record

    make_printable.is_printable = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(make_printable)
