"""A folder that appears whole or not at all."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def staged(destination: Path) -> Iterator[Path]:
    """A temporary folder beside ``destination``, on the same file system; what is in its ``dataset`` folder
    at the end becomes ``destination``, which must be missing or an empty folder.

    After an error nothing is left of it, not even parents of ``destination`` that were missing before.
    """
    missing = [parent for parent in destination.parents if not parent.exists()]
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with _temporary_folder(destination) as work:
            (work / "dataset").mkdir()
            yield work
            (work / "dataset").replace(destination)
    except BaseException:
        for parent in missing:
            with contextlib.suppress(OSError):
                parent.rmdir()
        raise


@contextlib.contextmanager
def _temporary_folder(destination: Path) -> Iterator[Path]:
    work = Path(tempfile.mkdtemp(prefix=f".{destination.name[:100]}.", dir=destination.parent))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
