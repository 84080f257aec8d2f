"""Files that appear whole or not at all, locks between processes, and what to say of a disk that refuses."""

import contextlib
import errno
import logging
from collections.abc import Iterator
from pathlib import Path

from dualgan.errors import DualGANError
from dualgan.run_folder import whole_file

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

log = logging.getLogger(__name__)


def write_file(path: Path, content: str | bytes) -> None:
    """Write ``content`` to ``path``, whole or not at all, even if the machine fails; text is UTF-8."""
    with whole_file(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def locked(path: Path, waiting: str) -> Iterator[None]:
    """Hold the lock file ``path``, which exists only meanwhile and ends with its holder, even one that is killed.

    Missing parents are made; ``waiting`` is logged if another process holds the lock.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    is_first = True
    while not lock.is_locked:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            # FileLock itself would wait forever for a file that cannot be made.
            path.touch()
            lock.acquire(blocking=not is_first)
        except Timeout:
            log.info("%s", waiting)
            is_first = False
        except FileNotFoundError:
            # The holder has failed, and removed the folder that it had made; otherwise nothing can be made here.
            if path.parent.exists():
                raise
    try:
        yield
    finally:
        # Removed while it is held: whoever waits for it notices that the file is no longer the one at its path.
        path.unlink(missing_ok=True)
        lock.release()


def os_failure(error: OSError, destination: Path) -> DualGANError:
    """Return ``error`` as a failure in one line; ``destination`` is what was to be made."""
    reason = error.strerror or str(error)
    if error.errno in NO_SPACE:
        return DualGANError(f"{destination}: no space left for it ({reason}); free some, or name a folder elsewhere")
    return DualGANError(f"{error.filename or destination}: {reason}")
