"""From a source to the files of its images: each is written once."""

import hashlib
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated, NamedTuple

from pydantic import BaseModel, StringConstraints, ValidationError

from components.common.console import Progress
from components.common.s3 import TransferInterrupted
from components.dataset.archive import members
from components.dataset.checksums import Expectation, require
from components.dataset.layout import Layout, find_layout
from components.dataset.options import FetchOptions
from components.dataset.sources import (
    ARCHIVE_ENDINGS,
    SYNTHETIC,
    Download,
    LocalArchive,
    LocalFolder,
    S3Location,
    Source,
    is_taken,
)
from dualgan.dataset_folder import DESCRIPTION, is_image_name
from dualgan.errors import BadInput, DualGANError
from dualgan.names import plain_name

# A dataset.json is some hundred bytes.
MAX_MANIFEST = 1 << 20

log = logging.getLogger(__name__)


class Manifest(BaseModel):
    """What a dataset.json that came with a source says of its images."""

    name: str
    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Collected(NamedTuple):
    """The images of a source by their names in it, where they belong, and what the source says of itself.

    Of two images of one name there are both, in the order of their coming. ``sha256`` (hex) is an archive's.
    """

    images: list[tuple[str, Path]]
    layout: Layout
    sha256: str | None
    manifest: Manifest | None


def read_manifest(content: bytes) -> Manifest | None:
    """Return what the content of a dataset.json says, None if it is none of ours."""
    try:
        return Manifest.model_validate_json(content)
    except ValidationError:
        return None


def name_of(collected: Collected, wanted: Source) -> str:
    """Return the name of a dataset: what its manifest says, unless that is no name or belongs to another dataset.

    A folder, such as a mirror, may say that it was drawn; an archive may come from anybody.
    """
    manifest = collected.manifest
    if manifest is None or manifest.name == wanted.name:
        return wanted.name
    is_of_another = is_taken(manifest.name) and (collected.sha256 or manifest.name != SYNTHETIC)
    if manifest.name == plain_name(manifest.name) and not is_of_another:
        return manifest.name
    said = "%s: its dataset.json names it %.60r, which is no name or another dataset's; it is called %s"
    log.info(said, wanted.source, manifest.name, wanted.name)
    return wanted.name


def collect(wanted: Source, expected: Expectation | None, work: Path, options: FetchOptions) -> Collected:
    """Write all images of ``wanted`` to files below ``work``, a folder on the disk of the destination.

    What comes over a network goes on with what an earlier try left in ``work``/transfer. Raises BadInput for a source
    that is missing, damaged, hostile or no dataset, DualGANError if work fails or an archive is not as ``expected``.
    """
    match wanted:
        case LocalFolder():
            return _collect_folder(wanted, work)
        case Download():
            archive, sha256 = _download(wanted, expected, work, options)
        case S3Location():
            found = _collect_s3(wanted, work, options)
            if isinstance(found, Collected):
                return found
            archive, sha256 = found
        case LocalArchive():
            with wanted.path.open("rb") as file:
                archive, sha256 = wanted.path, hashlib.file_digest(file, "sha256").hexdigest()
    require(expected, "sha256", sha256, wanted.source)
    return _collect_archive(archive, sha256, wanted.source, work, options)


def _download(wanted: Download, expected: Expectation | None, work: Path, options: FetchOptions) -> tuple[Path, str]:
    """The archive from the first of the mirrors that has what is expected, and its SHA-256."""
    # HTTP is a library that local sources do without.
    from components.dataset.download import download

    failed: list[DualGANError] = []
    for url in wanted.urls:
        label = wanted.source if len(wanted.urls) == 1 else url
        try:
            archive, sha256 = download(url, work / "transfer", options, label)
            require(expected, "sha256", sha256, label)
            return archive, sha256
        except DualGANError as error:
            if url != wanted.urls[-1]:
                log.info("%s; trying the next address", error)
            failed.append(error)
    kinds = [type(error) for error in failed]
    kind = TransferInterrupted if TransferInterrupted in kinds else kinds[-1]
    where = "" if len(wanted.urls) == 1 else f"{wanted.source}: no address has it: "
    raise kind(where + "; ".join([*map(str, failed), *filter(None, [wanted.advice])]))


def _collect_archive(archive: Path, sha256: str, label: str, work: Path, options: FetchOptions) -> Collected:
    """Unpack all that may be an image of a dataset; which are is known when all names are."""
    log.info("unpacking %s", label)
    images: list[tuple[str, Path]] = []
    names, manifests = [], {}
    with Progress("unpacking", None, "files") as progress:
        for member in members(archive, work, options, label):
            names.append(member.name)
            progress.advance(1)
            base = member.name.rpartition("/")[2]
            if is_image_name(base):
                file = _new_file(work, member.name, len(images))
                images.append((member.name, file))
                with file.open("xb") as target:
                    target.writelines(member.chunks)
            elif base == DESCRIPTION:
                manifests[member.name] = next(member.chunks, b"")
    layout = find_layout(names, label)
    said = manifests.get(layout.root + DESCRIPTION, b"")
    images = [(name, file) for name, file in images if name in layout.slots]
    return Collected(images, layout, sha256, read_manifest(said))


def _collect_folder(wanted: LocalFolder, work: Path) -> Collected:
    layout = find_layout(_names(wanted.path), wanted.source)
    log.info("copying %d images", len(layout.slots))
    images = [(name, _new_file(work, name, number)) for number, name in enumerate(layout.slots)]
    with Progress("copying", len(images), "images") as progress:
        for name, file in images:
            shutil.copyfile(wanted.path / name, file)
            progress.advance(1)
    manifest = wanted.path / layout.root / DESCRIPTION
    return Collected(images, layout, None, read_manifest(manifest.read_bytes() if manifest.is_file() else b""))


def _new_file(work: Path, name: str, number: int) -> Path:
    # Names of a source may be too long, or there twice: numbers are not.
    return work / "images" / f"{number}{PurePosixPath(name).suffix.lower()}"


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
    from components.dataset.download import download_archive, download_objects

    label, bucket, key = wanted.source, wanted.bucket, wanted.key
    client = s3.client(options.retries, options.idle_timeout, options.jobs)
    prefix = f"{key}/" if key else ""
    with s3.failures(label, bucket):
        is_archive = key.lower().endswith(ARCHIVE_ENDINGS) and s3.object_at(client, bucket, key) is not None
        below = {}
        for entry in [] if is_archive else s3.objects_below(client, bucket, prefix):
            below[entry.key.removeprefix(prefix)] = entry
            if len(below) > options.max_files:
                raise BadInput(f"{label}: refused, it holds more than {options.max_files} files")
        if not below and not is_archive and (not key or s3.object_at(client, bucket, key) is None):
            raise BadInput(f"{label}: nothing is there; check bucket and key")
    if not below:
        return download_archive(client, bucket, key, work / "transfer", options)
    layout = find_layout(below, label)
    objects = {name: below[name] for name in layout.slots}
    if sum(entry.size for entry in objects.values()) > options.max_size:
        raise BadInput(f"{label}: refused, its images have more than {options.max_size} bytes")
    images = download_objects(client, bucket, objects, work / "transfer", options, label)
    with s3.failures(label, bucket):
        manifest = below.get(layout.root + DESCRIPTION)
        said = s3.read_object(client, bucket, manifest.key, MAX_MANIFEST) if manifest else b""
    return Collected(images, layout, None, read_manifest(said))
