"""The dataset step: from the name of a source to a dataset folder."""

import json
import logging
from pathlib import Path

from components.dataset import checksums, gather
from components.dataset.assemble import assemble
from components.dataset.collection import Collection
from components.dataset.digest import counts_of
from components.dataset.errors import os_failure
from components.dataset.expectation import Expectation, expectation, is_remote, require
from components.dataset.image_checks import ImageChecks
from components.dataset.options import FetchOptions
from components.dataset.sources import Download, LocalArchive, LocalFolder, Source, Synthetic, parse_source
from components.dataset.staging import TRANSFER, alone, staged
from components.dataset.verify import check
from dualgan.dataset_folder import Description, content_digest, describe, image_counts
from dualgan.errors import BadInput, DualGANError
from dualgan.run_folder import read_json

ARCHIVE_SHA256 = "archive_sha256"

log = logging.getLogger(__name__)


def fetch(source: str, destination: Path, options: FetchOptions | None = None) -> Description:
    """Make ``destination`` the dataset folder of ``source`` (see sources.FORMS), whole or not at all.

    ``destination`` may be missing or empty. One that holds this source's dataset already, unchanged, is left
    as it is. Of processes that fetch to one destination at once one works, and the others wait for it. What a broken
    or interrupted transfer brought stays beside ``destination``, and the next call goes on with it.

    Raises BadInput for a source that is not one or holds no dataset, and for anything else at ``destination``, which
    stays untouched; DualGANError where a transfer or the disk fails, or a checksum is another one.
    """
    options = options or FetchOptions()
    wanted = parse_source(source)
    expected = expectation(wanted, options)
    destination = Path(destination).resolve()
    try:
        there = _already_there(wanted, expected, destination)
        if there is None:
            with alone(destination):
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
    sha256 = read_json(destination / "dataset.json").get(ARCHIVE_SHA256)
    try:
        if sha256 is not None:
            require(expected, "sha256", str(sha256), str(destination))
        else:
            require(expected, "digest", description.digest, str(destination))
        return check(destination)
    except DualGANError as error:
        raise BadInput(f"{error}, after removing this folder") from None


def _fetch(wanted: Source, expected: Expectation | None, destination: Path, options: FetchOptions) -> Description:
    with staged(destination, wanted.source) as work:
        folder = work / "dataset"
        if isinstance(wanted, Synthetic):
            # Drawing needs libraries that nothing else does.
            from components.dataset.synthetic import generate

            generate(wanted.options, folder)
            description = Description(wanted.name, wanted.source, image_counts(folder), content_digest(folder))
            sha256 = None
        else:
            description, sha256 = _make(wanted, expected, work, options)
        if sha256 is None:
            require(expected, "digest", description.digest, wanted.source)
        if options.lock is not None and expected is None and is_remote(wanted):
            kind, checksum = ("sha256", sha256) if sha256 else ("digest", description.digest)
            checksums.record(options.lock, wanted.source, kind, checksum)
        content = description._asdict() | ({ARCHIVE_SHA256: sha256} if sha256 else {})
        text = json.dumps(content, indent=2, sort_keys=True) + "\n"
        (folder / "dataset.json").write_text(text, encoding="utf-8")
    return description


def _make(
    wanted: Source, expected: Expectation | None, work: Path, options: FetchOptions
) -> tuple[Description, str | None]:
    """Fill ``work``/dataset from what is not drawn here: its description, and an archive's SHA-256."""
    shown = wanted.source
    limits, patience, transfer = options.limits, options.patience, work / TRANSFER
    with ImageChecks(limits) as checks:
        collection = Collection(work / "images", checks)
        match wanted:
            case LocalFolder():
                gathered = gather.gather_local_folder(wanted, collection)
            case LocalArchive():
                gathered = gather.gather_local_archive(wanted, expected, work, collection, limits)
            case Download():
                gathered = gather.gather_download(wanted, expected, work, transfer, collection, limits, patience)
            case _:
                assert not isinstance(wanted, Synthetic)
                gathered = gather.gather_s3(wanted, expected, work, transfer, collection, limits, patience)
        assembled = assemble(collection, gathered.layout, work / "dataset", shown, options.quarantine)
    claim = gathered.claim
    if claim is not None and claim.digest != assembled.digest_of_all:
        raise BadInput(
            f"{shown}: its images are not those that its dataset.json was written for (digest "
            f"{assembled.digest_of_all}, it says {claim.digest}); repair it, or remove its dataset.json"
        )
    name = claim.name if claim else wanted.name
    counts = counts_of(assembled.checksums)
    return Description(name, wanted.source, counts, assembled.digest), gathered.sha256
