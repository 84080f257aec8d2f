"""A folder that appears whole or not at all, and what a broken transfer leaves for the next try."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from components.dataset.errors import TransferBroken
from components.dataset.flock import locked

TRANSFER = "transfer"
# Errors after which the same command can go on with what has been transferred.
RESUMABLE = (TransferBroken, KeyboardInterrupt, SystemExit)


@contextlib.contextmanager
def alone(destination: Path) -> Iterator[None]:
    """Keep other processes from making ``destination``; waits for one that is at it. Parents that had to be made for
    this and stay empty are removed again.
    """
    missing = [parent for parent in destination.parents if not parent.exists()]
    try:
        with locked(_beside(destination, ".fetch.lock"), f"{destination}: waiting for another process that makes it"):
            yield
    finally:
        for parent in missing:
            with contextlib.suppress(OSError):
                parent.rmdir()


@contextlib.contextmanager
def staged(destination: Path, source: str) -> Iterator[Path]:
    """A work folder beside ``destination``, on the same file system, for a process that is ``alone``; what is in its
    ``dataset`` folder at the end becomes ``destination``, which must be missing or an empty folder.

    ``transfer`` in it is as the last try for the same ``source`` left it, also where that was killed. After an error
    nothing is left, but after one of RESUMABLE what is in ``transfer``.
    """
    work = _beside(destination, ".fetch")
    _prepare(work, source)
    try:
        yield work
        (work / "dataset").replace(destination)
    except RESUMABLE:
        if any(file.stat().st_size for file in (work / TRANSFER).rglob("*") if file.is_file()):
            _remove_all_but_transfer(work)
        else:
            shutil.rmtree(work, ignore_errors=True)
        raise
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    shutil.rmtree(work, ignore_errors=True)


def _beside(destination: Path, ending: str) -> Path:
    return destination.with_name(f".{destination.name}{ending}")


def _prepare(work: Path, source: str) -> None:
    origin = work / "source"
    if work.exists() and not (origin.is_file() and origin.read_text(encoding="utf-8") == source):
        shutil.rmtree(work)
    _remove_all_but_transfer(work)
    for folder in (TRANSFER, "dataset", "images"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    origin.write_text(source, encoding="utf-8")


def _remove_all_but_transfer(work: Path) -> None:
    for folder in ("dataset", "images"):
        shutil.rmtree(work / folder, ignore_errors=True)
