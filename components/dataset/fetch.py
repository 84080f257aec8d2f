"""The dataset step: from the name of a source to a dataset folder, and from that to a mirror in a bucket."""

import contextlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from components.common import s3
from components.common.console import Progress
from components.common.files import locked, os_failure, write_file
from components.dataset.checksums import Expectation, check, expectation, is_remote, record, require, verify
from components.dataset.collection import MAX_MANIFEST, collect, name_of, read_manifest
from components.dataset.layout import place_images
from components.dataset.options import FetchOptions
from components.dataset.sources import Source, Synthetic, parse_source
from components.dataset.synthetic.generate import generate
from dualgan.dataset_folder import (
    DESCRIPTION,
    DOMAINS,
    SPLITS,
    Description,
    content_digest,
    describe,
    image_counts,
    list_images,
)
from dualgan.errors import BadInput, DualGANError
from dualgan.names import MAX_FILE_NAME_BYTES, shortened
from dualgan.run_folder import read_json

# Errors after which the same command can go on with what has been transferred.
RESUMABLE = (s3.TransferInterrupted, KeyboardInterrupt, SystemExit)

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
        if isinstance(wanted, Synthetic):
            generate(wanted, folder)
        else:
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
    """Keep other processes from making ``destination``; wait for one that is at it, and leave no empty parents."""
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


def mirror(source: str, target: str, options: FetchOptions | None = None) -> Description:
    """Put the dataset of ``source``, or the one that is in a dataset folder, at ``target`` (s3://bucket/prefix).

    dataset.json is written last: a prefix that has one is whole, and left alone. One that a mirror was killed at is
    gone on with; what a mirror that fails has written is removed. Raises BadInput if the target holds anything else.
    """
    options = options or FetchOptions()
    address = s3.parse_address(target)
    folder = Path(source).expanduser()
    try:
        if (folder / DESCRIPTION).is_file():
            return _upload(folder, verify(folder, options), address, options)
        with tempfile.TemporaryDirectory(prefix="dataset-") as scratch:
            fetched = Path(scratch) / "dataset"
            return _upload(fetched, fetch(source, fetched, options), address, options)
    except OSError as error:
        raise os_failure(error, Path(target)) from None


def _upload(folder: Path, description: Description, address: s3.S3Address, options: FetchOptions) -> Description:
    # boto3 takes a second to import.
    from boto3.s3.transfer import TransferConfig

    bucket, label = address.bucket, str(address)
    client = s3.client(options.retries, options.idle_timeout, options.jobs)
    prefix = f"{address.key}/" if address.key else ""
    images = [image for split in SPLITS for domain in DOMAINS for image in list_images(folder, split, domain)]
    files = {f"{prefix}{image.relative_to(folder).as_posix()}": image for image in images}
    sizes = {name: image.stat().st_size for name, image in files.items()}
    key = f"{prefix}{DESCRIPTION}"
    written: list[str] = []

    def upload(name: str) -> None:
        # Several files go at once already; a large one still goes in parts.
        client.upload_file(str(files[name]), bucket, name, Config=TransferConfig(use_threads=False))
        written.append(name)
        progress.advance(sizes[name])

    with s3.failures(label, bucket):
        there = {entry.key: entry.size for entry in s3.objects_below(client, bucket, prefix)}
        manifest = read_manifest(s3.read_object(client, bucket, key, MAX_MANIFEST)) if key in there else None
        foreign = [other for other in there if other not in files and other != key]
        if foreign or (key in there and (manifest is None or manifest.digest != description.digest)):
            what = foreign[0] if foreign else "another dataset"
            raise BadInput(f"{label}: holds something else already ({what}); name another prefix")
        if there.items() >= sizes.items() and key in there:
            log.info("%s: already there", label)
            return description
        log.info("uploading %d images to %s", len(files), label)
        try:
            with ThreadPoolExecutor(options.jobs) as pool, Progress("uploading", sum(sizes.values()), "B") as progress:
                list(pool.map(upload, files))
            client.upload_file(str(folder / DESCRIPTION), bucket, key)
        except BaseException:
            for name in set(written) - set(there):
                client.delete_object(Bucket=bucket, Key=name)
            raise
    return description
