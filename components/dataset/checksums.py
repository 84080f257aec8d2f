"""Checksums: which one a source must have, those of first use in ``datasets.lock``, and that of a dataset folder.

    {"http://host/faces.zip": {"sha256": "..."}, "s3://bucket/faces": {"digest": "..."}}

``sha256`` is an archive's, ``digest`` that of a dataset that comes without one: dualgan.dataset_folder.content_digest.
An entry is written if a checksum is known from nowhere else, and later fetches must match it; whoever means to accept
another content removes it. The file belongs under version control.
"""

import json
import logging
import re
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from components.common.files import locked, os_failure, write_file
from components.dataset.images import check_images, log_bad_images
from components.dataset.options import FetchOptions
from components.dataset.sources import Download, S3Location, Source
from dualgan import dataset_folder
from dualgan.dataset_folder import DESCRIPTION, DOMAINS, SPLITS, Description, content_digest, list_images
from dualgan.errors import BadInput, DualGANError
from dualgan.json_files import MAX_BYTES, read_bounded

log = logging.getLogger(__name__)


class Expectation(NamedTuple):
    """A SHA-256 (hex) of an archive, of a dataset that comes without one its digest; ``said_by`` is for messages."""

    checksum: str
    said_by: str


def expectation(wanted: Source, options: FetchOptions) -> Expectation | None:
    """Return what ``--sha256``, the catalogue or the file of first uses says of a source, the first that does."""
    if options.sha256:
        checksum = options.sha256.strip().lower().removeprefix("sha256:")
        if not re.fullmatch(r"[0-9a-f]{64}", checksum):
            raise BadInput(f"--sha256 {options.sha256}: not a SHA-256, which has 64 hexadecimal digits")
        return Expectation(checksum, "--sha256")
    if isinstance(wanted, Download) and wanted.sha256:
        return Expectation(wanted.sha256, "the catalogue")
    if options.lock is not None and is_remote(wanted):
        for checksum in _read(options.lock).get(wanted.source, {}).values():
            return Expectation(checksum, f"{options.lock}, where its first use is recorded,")
    return None


def is_remote(wanted: Source) -> bool:
    """Return whether others keep the source: then what it was at first use is worth a record."""
    return isinstance(wanted, Download | S3Location)


def require(expected: Expectation | None, kind: str, actual: str, label: str) -> None:
    """Raise DualGANError if ``actual``, the "sha256" of an archive or "digest" of a dataset, is not as expected."""
    if expected is not None and actual != expected.checksum:
        what = "SHA-256" if kind == "sha256" else "the digest"
        raise DualGANError(
            f"{label}: has {what} {actual}, but {expected.said_by} says {expected.checksum}; "
            "it is damaged or another one"
        )


def record(lock: Path, source: str, kind: str, checksum: str) -> None:
    """Remember ``checksum`` unless ``source`` has one; in a container the file may be read-only, and that is logged."""
    try:
        with locked(lock.with_name(f".{lock.name}.lock"), f"{lock}: waiting for another process that writes it"):
            entries = {source: {kind: checksum}} | _read(lock)
            write_file(lock, json.dumps(entries, indent=2, sort_keys=True) + "\n")
    except OSError as error:
        log.info("%s: not recorded there (%s): %s %s of %s", lock, error.strerror or error, kind, checksum, source)
    else:
        log.info("%s: recorded %s %s; commit it", lock, kind, checksum)


def check(folder: Path) -> Description:
    """Return what dataset.json says of ``folder``. Raises DualGANError if its images are not those described."""
    if not (folder / DESCRIPTION).is_file():
        raise BadInput(f"{folder}: not a dataset folder, it has no dataset.json; make one with `fetch`")
    try:
        said = dataset_folder.describe(folder)
        counts, digest = dataset_folder.image_counts(folder), content_digest(folder)
    except OSError as error:
        raise os_failure(error, folder) from None
    if counts != said.counts:
        raise DualGANError(
            f"{folder}: holds {_listed(counts)}, dataset.json says {_listed(said.counts)}; fetch it anew"
        )
    if digest != said.digest:
        raise DualGANError(
            f"{folder}: its images have changed (digest {digest}, dataset.json says {said.digest}); fetch it anew"
        )
    return said


def verify(folder: Path, options: FetchOptions) -> Description:
    """Do as ``check``, and open every image. Raises DualGANError if one cannot be used; each is logged."""
    images = [str(image) for split in SPLITS for domain in DOMAINS for image in list_images(folder, split, domain)]
    log.info("checking %d images", len(images))
    bad = [(image, checked.problem) for image, checked in check_images(images, options).items() if checked.problem]
    named = log_bad_images([(str(Path(image).relative_to(folder)), reason) for image, reason in bad])
    description = check(folder)
    if bad:
        raise DualGANError(f"{folder}: {len(bad)} of {len(images)} images cannot be used: {named}")
    return description


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{place} {count}" for place, count in sorted(counts.items())) or "nothing"


def _read(lock: Path) -> dict[str, dict[str, str]]:
    try:
        return TypeAdapter(dict[str, dict[str, str]]).validate_json(read_bounded(lock, MAX_BYTES))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise BadInput(f"{lock}: not a file of checksums ({reason}); restore it, or remove it") from None
