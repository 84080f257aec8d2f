"""The dataset step: from the name of a source to a dataset folder."""

import logging
from pathlib import Path

from components.dataset.archive import unpack
from components.dataset.download import download_first
from components.dataset.images import copy_dataset
from components.dataset.sources import Download, LocalArchive, LocalFolder, Source, Synthetic, parse_source
from components.dataset.staging import staged
from components.dataset.synthetic import generate
from dualgan.dataset_folder import Description, content_digest, describe, image_counts
from dualgan.errors import BadInput, DualGANError
from dualgan.run_folder import write_json

log = logging.getLogger(__name__)


def fetch(source: str, destination: Path) -> Description:
    """Make ``destination`` the dataset folder of ``source`` (see sources.FORMS), whole or not at all.

    ``destination`` may be missing or empty. One that holds this source's dataset already, unchanged, is left
    as it is. Raises BadInput for a source that is not one or holds no dataset, and for anything else at
    ``destination``, which stays untouched; DualGANError where a download or the disk fails.
    """
    wanted = parse_source(source)
    destination = Path(destination).resolve()
    try:
        there = _already_there(wanted, destination)
        if there is not None:
            log.info("%s: already there", destination)
            return there
        with staged(destination) as work:
            folder = work / "dataset"
            _fill(wanted, folder, work)
            description = Description(wanted.name, wanted.source, image_counts(folder), content_digest(folder))
            write_json(folder / "dataset.json", description._asdict())
        return description
    except OSError as error:
        raise DualGANError(f"{error.filename or destination}: {error.strerror or error}") from None


def check(folder: Path) -> Description:
    """What dataset.json says of ``folder``.

    Raises BadInput where it is no dataset folder, DualGANError where its images are not those described.
    """
    if not (folder / "dataset.json").is_file():
        raise BadInput(f"{folder}: not a dataset folder, it has no dataset.json; make one with `fetch`")
    description = describe(folder)
    counts, digest = image_counts(folder), content_digest(folder)
    said = "dataset.json says"
    if counts != description.counts:
        raise DualGANError(f"{folder}: holds {_listed(counts)}, {said} {_listed(description.counts)}; fetch it anew")
    if digest != description.digest:
        raise DualGANError(
            f"{folder}: its images have changed (digest {digest}, {said} {description.digest}); fetch it anew"
        )
    return description


def _already_there(wanted: Source, destination: Path) -> Description | None:
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
        return check(destination)
    except DualGANError as error:
        raise BadInput(f"{error}, after removing this folder") from None


def _fill(wanted: Source, folder: Path, work: Path) -> None:
    match wanted:
        case Synthetic(options=options):
            generate(options, folder)
        case LocalFolder(source=shown, path=path):
            copy_dataset(path, folder, shown)
        case LocalArchive(source=shown, path=path):
            _unpack_and_copy(path, folder, work, shown)
        case Download(source=shown, urls=urls, sha256=sha256, advice=advice):
            archive = work / "download"
            download_first(urls, archive, shown, sha256, advice)
            _unpack_and_copy(archive, folder, work, shown)


def _unpack_and_copy(archive: Path, folder: Path, work: Path, shown: str) -> None:
    unpacked = work / "unpacked"
    unpacked.mkdir()
    unpack(archive, unpacked, shown)
    copy_dataset(unpacked, folder, shown)


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{place} {count}" for place, count in sorted(counts.items())) or "nothing"
