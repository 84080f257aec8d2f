"""A lock between processes that ends with its holder, even one that is killed."""

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path

log = logging.getLogger(__name__)


@contextlib.contextmanager
def locked(path: Path, waiting: str) -> Iterator[None]:
    """Hold the lock file ``path``, which exists only meanwhile; ``waiting`` is logged where another process holds it.

    Makes missing parents of ``path``. Raises OSError where the file system refuses.
    """
    descriptor = _acquire(path, waiting)
    try:
        yield
    finally:
        # Removed while it is held: whoever waits for it notices that the file is no longer the one at its path.
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _acquire(path: Path, waiting: str) -> int:
    said = False
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except FileNotFoundError:
            # The parent vanished with the failed work of another process; else nothing can be made here.
            if path.parent.exists():
                raise
            continue
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not said:
                    log.info("%s", waiting)
                    said = True
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_at(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
