"""From a source to its images: each is written once, with its checksum."""

import hashlib
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated, NamedTuple

from pydantic import BaseModel, StringConstraints, ValidationError

from components.common.console import Progress
from components.common.errors import TransferBroken
from components.dataset.archive import CHUNK, members
from components.dataset.catalogue import SYNTHETIC, is_taken
from components.dataset.layout import Layout, find_layout
from components.dataset.lock import Expectation, require
from components.dataset.options import FetchOptions
from components.dataset.sources import ARCHIVE_ENDINGS, Download, LocalArchive, LocalFolder, S3Location
from dualgan.dataset_folder import DESCRIPTION, is_image_name
from dualgan.errors import BadInput, DualGANError
from dualgan.names import plain_name

# A dataset.json is some hundred bytes.
MAX_MANIFEST = 1 << 20

NotDrawn = Download | S3Location | LocalArchive | LocalFolder

log = logging.getLogger(__name__)


class Manifest(BaseModel):
    """What a dataset.json that came with a source says of its images."""

    name: str
    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class CollectedImage(NamedTuple):
    """The file of an image, and the SHA-256 (hex) of it."""

    file: Path
    sha256: str


class Collected(NamedTuple):
    """The images of a source by their names in it, where they belong, and what the source says of itself.

    Of two images of one name there are both, in the order of their coming. ``sha256`` (hex) is an archive's.
    """

    images: dict[str, list[CollectedImage]]
    layout: Layout
    sha256: str | None
    manifest: Manifest | None


def collect(wanted: NotDrawn, expected: Expectation | None, work: Path, options: FetchOptions) -> Collected:
    """Write all images of ``wanted`` to files below ``work``, a folder on the disk of the destination.

    What comes over a network goes on with what an earlier try left in ``work``/transfer. Raises BadInput if the source
    is not there, may not be read, is damaged, hostile or no dataset; DualGANError if a transfer or the disk fails, or
    an archive is not as ``expected``.
    """
    match wanted:
        case LocalFolder():
            return _collect_folder(wanted, work)
        case LocalArchive():
            with wanted.path.open("rb") as file:
                archive, sha256 = wanted.path, hashlib.file_digest(file, "sha256").hexdigest()
            require(expected, "sha256", sha256, wanted.source)
        case Download():
            archive, sha256 = _download(wanted, expected, work, options)
        case S3Location():
            found = _collect_s3(wanted, work, options)
            if isinstance(found, Collected):
                return found
            archive, sha256 = found
            require(expected, "sha256", sha256, wanted.source)
    return _collect_archive(archive, sha256, wanted.source, work, options)


def read_manifest(content: bytes) -> Manifest | None:
    """Return what the content of a dataset.json says, None if it is none of ours."""
    try:
        return Manifest.model_validate_json(content)
    except ValidationError:
        return None


def name_of(collected: Collected, wanted: NotDrawn) -> str:
    """Return the name of a dataset: what its manifest says, unless that is no name or belongs to another dataset.

    A folder, such as a mirror, may say that it was drawn; an archive may come from anybody.
    """
    manifest = collected.manifest
    if manifest is None or manifest.name == wanted.name:
        return wanted.name
    if manifest.name != plain_name(manifest.name):
        reason = "which is not a name of letters, numbers, spaces and .,+@()=-_"
    elif is_taken(manifest.name) and (collected.sha256 or manifest.name != SYNTHETIC):
        reason = "which is another dataset's"
    else:
        return manifest.name
    said = "%s: its dataset.json names it %.60r, %s; it is called %s"
    log.info(said, wanted.source, manifest.name, reason, wanted.name)
    return wanted.name


class _Images:
    """Images that are being written, each to a file in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        self.by_name: dict[str, list[CollectedImage]] = {}

    def add(self, name: str, chunks: Iterable[bytes]) -> None:
        sha256 = hashlib.sha256()
        # Names of a source may be too long, or there twice: numbers are not.
        file = self._folder / f"{self._count}{PurePosixPath(name).suffix.lower()}"
        self._count += 1
        with file.open("xb") as target:
            for chunk in chunks:
                sha256.update(chunk)
                target.write(chunk)
        self.by_name.setdefault(name, []).append(CollectedImage(file, sha256.hexdigest()))


def _download(wanted: Download, expected: Expectation | None, work: Path, options: FetchOptions) -> tuple[Path, str]:
    """The archive from the first of the mirrors that has what is expected, and its SHA-256."""
    # HTTP is a library that local sources do without.
    from components.dataset.download import download

    failed: list[DualGANError] = []
    for url in wanted.urls:
        label = wanted.source if len(wanted.urls) == 1 else url
        try:
            archive, sha256 = download(url, work / "transfer", options.transfer, options.limits.size, label)
            require(expected, "sha256", sha256, label)
            return archive, sha256
        except DualGANError as error:
            if url != wanted.urls[-1]:
                log.info("%s; trying the next address", error)
            failed.append(error)
    kinds = [type(error) for error in failed]
    kind = TransferBroken if TransferBroken in kinds else kinds[-1]
    where = "" if len(wanted.urls) == 1 else f"{wanted.source}: no address has it: "
    raise kind(where + "; ".join([*map(str, failed), *([wanted.advice] if wanted.advice else [])]))


def _collect_archive(archive: Path, sha256: str, label: str, work: Path, options: FetchOptions) -> Collected:
    """Unpack all that may be an image of a dataset; which are is known when all names are."""
    log.info("unpacking %s", label)
    images, names, manifests = _Images(work / "images"), [], {}
    with Progress("unpacking", None, "files") as progress:
        for member in members(archive, work, options.limits, label):
            names.append(member.name)
            progress.advance(1)
            base = member.name.rpartition("/")[2]
            if is_image_name(base):
                images.add(member.name, member.chunks)
            elif base == DESCRIPTION:
                manifests[member.name] = next(member.chunks, b"")
    layout = find_layout(names, label)
    return Collected(images.by_name, layout, sha256, read_manifest(manifests.get(layout.root + DESCRIPTION, b"")))


def _collect_folder(wanted: LocalFolder, work: Path) -> Collected:
    layout = find_layout(_names(wanted.path), wanted.source)
    log.info("copying %d images", len(layout.slots))
    images = _Images(work / "images")
    with Progress("copying", len(layout.slots), "images") as progress:
        for name in layout.slots:
            with (wanted.path / name).open("rb", buffering=0) as file:
                images.add(name, iter(lambda: file.read(CHUNK), b""))
            progress.advance(1)
    manifest = wanted.path / layout.root / DESCRIPTION
    said = manifest.read_bytes() if manifest.is_file() else b""
    return Collected(images.by_name, layout, None, read_manifest(said))


def _names(folder: Path, prefix: str = "", above: tuple[Path, ...] = ()) -> Iterator[str]:
    """The files below ``folder``, and its folders with a "/" at their end; links in a circle are not followed."""
    for child in folder.iterdir():
        if child.is_dir():
            yield f"{prefix}{child.name}/"
            if not child.name.startswith(".") and not any(child.samefile(other) for other in (*above, folder)):
                yield from _names(child, f"{prefix}{child.name}/", (*above, folder))
        elif child.is_file():
            yield f"{prefix}{child.name}"


def _collect_s3(wanted: S3Location, work: Path, options: FetchOptions) -> Collected | tuple[Path, str]:
    """All objects below a key, or the archive that it names and its SHA-256."""
    # boto3 takes a second to import.
    from components.common import s3
    from components.dataset.s3 import download_archive, download_objects

    label, bucket, key, limits, transfer = wanted.source, wanted.bucket, wanted.key, options.limits, options.transfer
    client = s3.client(transfer.retries, transfer.idle_timeout, transfer.jobs)
    prefix = f"{key}/" if key else ""
    with s3.failures(label, bucket):
        is_archive = key.lower().endswith(ARCHIVE_ENDINGS) and s3.object_at(client, bucket, key) is not None
        below = {}
        for entry in [] if is_archive else s3.objects_below(client, bucket, prefix):
            below[entry.key.removeprefix(prefix)] = entry
            if len(below) > limits.files:
                raise BadInput(f"{label}: refused, it holds more than {limits.files} files")
        if not below and not is_archive and (not key or s3.object_at(client, bucket, key) is None):
            raise BadInput(f"{label}: nothing is there; check bucket and key")
    if not below:
        return download_archive(client, bucket, key, work / "transfer", transfer, limits.size, label)
    layout = find_layout(below, label)
    objects = {name: below[name] for name in layout.slots}
    if sum(entry.size for entry in objects.values()) > limits.size:
        raise BadInput(f"{label}: refused, its images have more than {limits.size} bytes")
    files = download_objects(client, bucket, objects, work / "transfer", transfer, label)
    with s3.failures(label, bucket):
        manifest = below.get(layout.root + DESCRIPTION)
        said = s3.read_object(client, bucket, manifest.key, MAX_MANIFEST) if manifest else b""
    images = {name: [CollectedImage(partial.file, partial.sha256)] for name, partial in files.items()}
    return Collected(images, layout, None, read_manifest(said))
