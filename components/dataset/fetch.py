"""The dataset step: from the name of a source to a dataset folder."""

import contextlib
import json
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from components.common.errors import TransferBroken, os_failure
from components.common.files import locked, write_file
from components.dataset import lock
from components.dataset.lock import Expectation, expectation, require
from components.dataset.options import FetchOptions
from components.dataset.sources import Source, Synthetic, parse_source
from components.dataset.verify import check
from dualgan.dataset_folder import Description, content_digest, describe, image_counts
from dualgan.errors import BadInput, DualGANError
from dualgan.names import MAX_FILE_NAME_BYTES, shortened

# Errors after which the same command can go on with what has been transferred.
RESUMABLE = (TransferBroken, KeyboardInterrupt, SystemExit)

log = logging.getLogger(__name__)


class _Origin(BaseModel):
    """What dataset.json says of the archive that a dataset comes from."""

    archive_sha256: str | None = None


def fetch(source: str, destination: Path, options: FetchOptions | None = None) -> Description:
    """Make ``destination`` the dataset folder of ``source`` (see sources.FORMS), whole or not at all.

    ``destination`` may be missing or empty. One that holds this source's dataset already, unchanged, is left as it is.
    Of processes that fetch to one destination at once one works, and the others wait for it. What a broken or
    interrupted transfer brought stays beside ``destination``, and the next call goes on with it.

    Args:
        source: What to fetch.
        destination: Where to.
        options: Checksums, limits, how to transfer.

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
    if not (destination / "dataset.json").is_file():
        raise BadInput(f"{destination}: is not empty and not a dataset folder; {other}")
    description = describe(destination)
    if description.source != wanted.source:
        raise BadInput(f"{destination}: holds the dataset of {description.source}, not of {wanted.source}; {other}")
    try:
        sha256 = _Origin.model_validate_json((destination / "dataset.json").read_bytes()).archive_sha256
        kind, actual = ("sha256", sha256) if sha256 else ("digest", description.digest)
        require(expected, kind, actual, str(destination))
        return check(destination)
    except (DualGANError, ValueError) as error:
        raise BadInput(f"{error}, after removing this folder") from None


def _fetch(wanted: Source, expected: Expectation | None, destination: Path, options: FetchOptions) -> Description:
    with _staged(destination, wanted.source) as work:
        folder = work / "dataset"
        if isinstance(wanted, Synthetic):
            # Drawing needs libraries that nothing else does.
            from components.dataset.synthetic.generate import generate

            generate(wanted.options, folder)
            description = Description(wanted.name, wanted.source, image_counts(folder), content_digest(folder))
            sha256 = None
        else:
            description, sha256 = _collect_and_place(wanted, expected, work, options)
        if sha256 is None:
            require(expected, "digest", description.digest, wanted.source)
        if options.lock is not None and expected is None and lock.is_remote(wanted):
            kind, checksum = ("sha256", sha256) if sha256 else ("digest", description.digest)
            lock.record(options.lock, wanted.source, kind, checksum)
        content = description._asdict() | ({"archive_sha256": sha256} if sha256 else {})
        write_file(folder / "dataset.json", json.dumps(content, indent=2, sort_keys=True) + "\n")
    return description


def _collect_and_place(
    wanted: Source, expected: Expectation | None, work: Path, options: FetchOptions
) -> tuple[Description, str | None]:
    """Fill ``work``/dataset from what is not drawn here: its description, and an archive's SHA-256."""
    from components.dataset.collection import collect, name_of
    from components.dataset.placement import place_images

    assert not isinstance(wanted, Synthetic)
    collected = collect(wanted, expected, work, options)
    placed = place_images(collected, work / "dataset", wanted.source, options)
    manifest = collected.manifest
    if manifest is not None and manifest.digest != placed.digest_of_all:
        raise BadInput(
            f"{wanted.source}: its images are not those that its dataset.json was written for (digest "
            f"{placed.digest_of_all}, it says {manifest.digest}); repair it, or remove its dataset.json"
        )
    return Description(name_of(collected, wanted), wanted.source, placed.counts, placed.digest), collected.sha256


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
    origin, transfer = work / "source", work / "transfer"
    if work.exists() and not (origin.is_file() and origin.read_bytes() == os.fsencode(source)):
        shutil.rmtree(work)
    _remove_all_but_transfer(work)
    for folder in (transfer, work / "dataset", work / "images"):
        folder.mkdir(parents=True, exist_ok=True)
    origin.write_bytes(os.fsencode(source))
    try:
        yield work
        (work / "dataset").replace(destination)
    except RESUMABLE:
        if any(file.stat().st_size for file in transfer.rglob("*") if file.is_file()):
            _remove_all_but_transfer(work)
        else:
            shutil.rmtree(work, ignore_errors=True)
        raise
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    shutil.rmtree(work, ignore_errors=True)


def _remove_all_but_transfer(work: Path) -> None:
    for folder in ("dataset", "images"):
        shutil.rmtree(work / folder, ignore_errors=True)
