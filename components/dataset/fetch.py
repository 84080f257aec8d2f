"""The dataset step: from the name of a source to a dataset folder."""

import contextlib
import json
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from components.common.files import locked, os_failure, write_file
from components.common.s3 import TransferBroken
from components.dataset.checksums import Expectation, check, expectation, is_remote, record, require
from components.dataset.options import FetchOptions
from components.dataset.sources import Source, Synthetic, parse_source
from dualgan.dataset_folder import DESCRIPTION, Description, content_digest, describe, image_counts
from dualgan.errors import BadInput, DualGANError
from dualgan.names import MAX_FILE_NAME_BYTES, shortened
from dualgan.run_folder import read_json

# Errors after which the same command can go on with what has been transferred.
RESUMABLE = (TransferBroken, KeyboardInterrupt, SystemExit)

log = logging.getLogger(__name__)


def fetch(source: str, destination: Path, options: FetchOptions | None = None) -> Description:
    """Make ``destination`` the dataset folder of ``source`` (see sources.FORMS), whole or not at all.

    ``destination`` may be missing or empty. One that holds this source's dataset already, unchanged, is left as it is.
    Of processes that fetch to one destination at once one works, and the others wait for it. What a broken or
    interrupted transfer brought stays beside ``destination``, and the next call goes on with it.

    Returns:
        What dataset.json says.

    Raises:
        BadInput: The source is none or holds no dataset, or anything else is at ``destination``, which stays untouched.
        DualGANError: A transfer or the disk fails, or a checksum is another one.
    """
    options = options or FetchOptions()
    wanted = parse_source(source)
    expected = expectation(wanted, options)
    destination = Path(destination).resolve()
    try:
        there = _already_there(wanted, expected, destination)
        if there is None:
            with _alone(destination):
                there = _already_there(wanted, expected, destination)
                if there is None:
                    return _fetch(wanted, expected, destination, options)
        log.info("%s: already there", destination)
        return there
    except OSError as error:
        raise os_failure(error, destination) from None


def _already_there(wanted: Source, expected: Expectation | None, destination: Path) -> Description | None:
    if destination.exists() and not destination.is_dir():
        raise BadInput(f"{destination}: is a file; name a folder")
    if not destination.exists() or not any(destination.iterdir()):
        if destination.is_mount():
            raise BadInput(f"{destination}: a mount point cannot be replaced as a whole; name a folder inside it")
        return None
    other = "name another folder or remove this one"
    if not (destination / DESCRIPTION).is_file():
        raise BadInput(f"{destination}: is not empty and not a dataset folder; {other}")
    description = describe(destination)
    if description.source != wanted.source:
        raise BadInput(f"{destination}: holds the dataset of {description.source}, not of {wanted.source}; {other}")
    try:
        sha256 = read_json(destination / DESCRIPTION).get("archive_sha256")
        kind, actual = ("sha256", str(sha256)) if sha256 else ("digest", description.digest)
        require(expected, kind, actual, str(destination))
        return check(destination)
    except DualGANError as error:
        raise BadInput(f"{error}, after removing this folder") from None


def _fetch(wanted: Source, expected: Expectation | None, destination: Path, options: FetchOptions) -> Description:
    with _staged(destination, wanted.source) as work:
        folder, name, sha256 = work / "dataset", wanted.name, None
        # Drawing, and opening images, need libraries that nothing else does.
        if isinstance(wanted, Synthetic):
            from components.dataset.synthetic.generate import generate

            generate(wanted, folder)
        else:
            from components.dataset.collection import collect, name_of
            from components.dataset.layout import place_images

            collected = collect(wanted, expected, work, options)
            described = collected.manifest.digest if collected.manifest else None
            place_images(collected.images, collected.layout, described, folder, wanted.source, options)
            name, sha256 = name_of(collected, wanted), collected.sha256
        description = Description(name, wanted.source, image_counts(folder), content_digest(folder))
        kind, checksum = ("sha256", sha256) if sha256 else ("digest", description.digest)
        require(expected, kind, checksum, wanted.source)
        if options.lock is not None and expected is None and is_remote(wanted):
            record(options.lock, wanted.source, kind, checksum)
        content = description._asdict() | ({"archive_sha256": sha256} if sha256 else {})
        write_file(folder / DESCRIPTION, json.dumps(content, indent=2, sort_keys=True) + "\n")
    return description


def _beside(destination: Path, ending: str) -> Path:
    return destination.with_name(shortened(f".{destination.name}", MAX_FILE_NAME_BYTES, ending))


@contextlib.contextmanager
def _alone(destination: Path) -> Iterator[None]:
    """Keep other processes from making ``destination``; waits for one that is at it.

    Parents that had to be made for this and stay empty are removed again.
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
def _staged(destination: Path, source: str) -> Iterator[Path]:
    """A work folder beside ``destination``, on the same file system, for a process that is ``_alone``.

    What is in its ``dataset`` folder at the end becomes ``destination``, which must be missing or an empty folder.
    ``transfer`` in it is as the last try for the same ``source`` left it, also if that was killed. After an error
    nothing is left, but after one of RESUMABLE what is in ``transfer``.
    """
    work = _beside(destination, ".fetch")
    origin, transfer, *others = (work / name for name in ("source", "transfer", "dataset", "images"))
    if work.exists() and not (origin.is_file() and origin.read_bytes() == os.fsencode(source)):
        shutil.rmtree(work)
    for folder in others:
        shutil.rmtree(folder, ignore_errors=True)
    for folder in (transfer, *others):
        folder.mkdir(parents=True, exist_ok=True)
    origin.write_bytes(os.fsencode(source))
    is_worth_keeping = False
    try:
        yield work
        (work / "dataset").replace(destination)
    except RESUMABLE:
        is_worth_keeping = any(file.stat().st_size for file in transfer.rglob("*") if file.is_file())
        raise
    finally:
        for folder in others if is_worth_keeping else [work]:
            shutil.rmtree(folder, ignore_errors=True)
