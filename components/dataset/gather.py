"""From a source to the images that it holds, each collected once."""

import hashlib
import json
import logging
from pathlib import Path
from typing import NamedTuple

from components.dataset.archive import members
from components.dataset.collection import Collection
from components.dataset.download import download
from components.dataset.errors import TransferBroken
from components.dataset.expectation import Expectation, require
from components.dataset.layout import Layout, find_layout, is_image_name
from components.dataset.local_folder import content, names_in
from components.dataset.options import Limits, Patience
from components.dataset.progress import Progress
from components.dataset.sources import ARCHIVE_ENDINGS, Download, LocalArchive, LocalFolder, S3Location
from dualgan.errors import BadInput, DualGANError

DESCRIPTION = "dataset.json"
# A dataset.json is some hundred bytes.
LONGEST_DESCRIPTION = 1 << 20

log = logging.getLogger(__name__)


class Claim(NamedTuple):
    """What a dataset.json that came with a source says."""

    name: str
    digest: str


class Gathered(NamedTuple):
    """Where the images belong, the archive's SHA-256 (hex; None for a folder), and what the source says of itself."""

    layout: Layout
    sha256: str | None
    claim: Claim | None


def gather_download(
    wanted: Download,
    expected: Expectation | None,
    work: Path,
    transfer: Path,
    collection: Collection,
    limits: Limits,
    patience: Patience,
) -> Gathered:
    """Of the first of the mirrors that has what is expected."""
    failed: list[DualGANError] = []
    for url in wanted.urls:
        shown = wanted.source if len(wanted.urls) == 1 else url
        try:
            archive, sha256 = download(url, transfer, shown, patience)
            require(expected, "sha256", sha256, shown)
            break
        except DualGANError as error:
            if url != wanted.urls[-1]:
                log.info("%s; trying the next address", error)
            failed.append(error)
    else:
        reasons = "; ".join(str(error) for error in failed)
        kinds = [type(error) for error in failed]
        kind = TransferBroken if TransferBroken in kinds else kinds[-1]
        where = "" if len(wanted.urls) == 1 else f"{wanted.source}: no address has it: "
        raise kind(f"{where}{reasons}{'; ' if wanted.advice else ''}{wanted.advice}")
    return gather_archive(archive, sha256, wanted.source, work, collection, limits)


def gather_local_archive(
    wanted: LocalArchive, expected: Expectation | None, work: Path, collection: Collection, limits: Limits
) -> Gathered:
    with wanted.path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    require(expected, "sha256", sha256, wanted.source)
    return gather_archive(wanted.path, sha256, wanted.source, work, collection, limits)


def gather_archive(
    archive: Path, sha256: str, shown: str, work: Path, collection: Collection, limits: Limits
) -> Gathered:
    """Unpack all that may be an image of a dataset; which are is known when all names are. See archive.members for
    what is refused.
    """
    log.info("unpacking %s", shown)
    names, descriptions = [], {}
    with Progress("unpacking", archive.stat().st_size, "B") as progress:
        position = 0
        for member in members(archive, work, limits, shown):
            names.append(member.name)
            progress.advance(member.position - position)
            position = member.position
            if member.is_folder:
                continue
            if is_image_name(member.name):
                collection.add(member.name, member.chunks)
            elif member.name.rpartition("/")[2] == DESCRIPTION:
                descriptions[member.name] = next(member.chunks, b"")
    layout = find_layout(names, shown)
    return Gathered(layout, sha256, claim_of(descriptions.get(layout.root + DESCRIPTION, b"")))


def gather_local_folder(wanted: LocalFolder, collection: Collection) -> Gathered:
    layout = find_layout(names_in(wanted.path), wanted.source)
    log.info("copying %d images", len(layout.spots))
    with Progress("copying", len(layout.spots), "images") as progress:
        for name in layout.spots:
            collection.add(name, content(wanted.path / name))
            progress.advance(1)
    description = wanted.path / layout.root / DESCRIPTION
    said = b"".join(content(description)) if description.is_file() else b""
    return Gathered(layout, None, claim_of(said))


def gather_s3(
    wanted: S3Location,
    expected: Expectation | None,
    work: Path,
    transfer: Path,
    collection: Collection,
    limits: Limits,
    patience: Patience,
) -> Gathered:
    """Of the archive of this key, else of all objects below it."""
    # boto3 takes a second to import.
    from components.dataset.s3 import client, failures, object_at, objects_below, read_object
    from components.dataset.s3_archive import download_object
    from components.dataset.s3_folder import download_objects

    shown, bucket, key = wanted.source, wanted.bucket, wanted.key
    s3 = client(patience)
    prefix = f"{key}/" if key else ""
    with failures(shown, bucket):
        is_archive = key.lower().endswith(ARCHIVE_ENDINGS) and object_at(s3, bucket, key) is not None
        below = {}
        if not is_archive:
            for entry in objects_below(s3, bucket, prefix):
                below[entry.key.removeprefix(prefix)] = entry
                if len(below) > limits.files:
                    raise BadInput(f"{shown}: refused, it holds more than {limits.files} files")
        if not below and not is_archive:
            if not key or object_at(s3, bucket, key) is None:
                raise BadInput(f"{shown}: nothing is there; check bucket and key")
            is_archive = True
    if is_archive:
        archive, sha256 = download_object(s3, bucket, key, transfer, shown, patience)
        require(expected, "sha256", sha256, shown)
        return gather_archive(archive, sha256, shown, work, collection, limits)
    layout = find_layout(below, shown)
    objects = {name: below[name] for name in layout.spots}
    if sum(entry.size for entry in objects.values()) > limits.size:
        raise BadInput(f"{shown}: refused, its images have more than {limits.size} bytes")
    download_objects(s3, bucket, objects, transfer, collection, shown, patience)
    with failures(shown, bucket):
        description = below.get(layout.root + DESCRIPTION)
        said = read_object(s3, bucket, description.key, LONGEST_DESCRIPTION) if description else b""
    return Gathered(layout, None, claim_of(said))


def claim_of(description: bytes) -> Claim | None:
    """What the content of a dataset.json says; None where it is none of ours."""
    try:
        content = json.loads(description)
        name, digest = content["name"], content["digest"]
    except (ValueError, KeyError, TypeError):
        return None
    return Claim(name, digest) if isinstance(name, str) and isinstance(digest, str) else None
