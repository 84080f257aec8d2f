"""A verified dataset in a bucket of one's own."""

import logging
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING

from components.dataset.errors import os_failure
from components.dataset.fetch import fetch
from components.dataset.options import FetchOptions
from components.dataset.progress import Progress
from components.dataset.sources import S3Location, parse_s3
from components.dataset.verify import verify
from dualgan.dataset_folder import DOMAINS, SPLITS, Description, list_images
from dualgan.errors import BadInput

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DESCRIPTION = "dataset.json"

log = logging.getLogger(__name__)


def mirror(source: str, target: str, options: FetchOptions | None = None) -> Description:
    """Put the dataset of ``source``, or the one that is in a dataset folder, at ``target`` (s3://bucket/prefix).

    dataset.json is written last: a prefix that has one is whole. One that holds this dataset already is left as it
    is; one that a mirror was killed at is gone on with. Raises BadInput for a source as ``fetch`` does, for a target
    that is none, may not be written or holds anything else; DualGANError for failed work, after which what it wrote is
    removed.
    """
    options = options or FetchOptions()
    place = parse_s3(target)
    folder = Path(source).expanduser()
    try:
        if (folder / DESCRIPTION).is_file():
            return _upload(folder, verify(folder, options.limits), place, options)
        with tempfile.TemporaryDirectory(prefix="dataset-") as scratch:
            fetched = Path(scratch) / "dataset"
            return _upload(fetched, fetch(source, fetched, options), place, options)
    except OSError as error:
        raise os_failure(error, Path(target)) from None


def _upload(folder: Path, description: Description, place: S3Location, options: FetchOptions) -> Description:
    # boto3 takes a second to import.
    from components.dataset.gather import LONGEST_DESCRIPTION, claim_of
    from components.dataset.s3 import client, failures, objects_below, read_object

    s3, bucket = client(options.patience), place.bucket
    prefix = f"{place.key}/" if place.key else ""
    images = [image for split in SPLITS for domain in DOMAINS for image in list_images(folder, split, domain)]
    files = {f"{prefix}{image.relative_to(folder).as_posix()}": image for image in images}
    note = f"{prefix}{DESCRIPTION}"
    with failures(place.source, bucket):
        there = {entry.key: entry.size for entry in objects_below(s3, bucket, prefix)}
        claim = claim_of(read_object(s3, bucket, note, LONGEST_DESCRIPTION)) if note in there else None
        foreign = [key for key in there if key not in files and key != note]
        if foreign or (note in there and (claim is None or claim.digest != description.digest)):
            what = foreign[0] if foreign else "another dataset"
            raise BadInput(f"{place.source}: holds something else already ({what}); name another prefix")
        if note in there and all(there.get(key) == image.stat().st_size for key, image in files.items()):
            log.info("%s: already there", place.source)
            return description
        log.info("uploading %d images to %s", len(files), place.source)
        written: list[str] = []
        try:
            _upload_all(s3, bucket, files, written, options.patience.jobs)
            s3.upload_file(str(folder / DESCRIPTION), bucket, note)
        except BaseException:
            for key in set(written) - set(there):
                s3.delete_object(Bucket=bucket, Key=key)
            raise
    return description


def _upload_all(s3: "S3Client", bucket: str, files: Mapping[str, Path], written: list[str], jobs: int) -> None:
    from boto3.s3.transfer import TransferConfig

    # Several files go at once already; a large one still goes in parts.
    one_thread = TransferConfig(use_threads=False)

    def upload(key: str) -> int:
        s3.upload_file(str(files[key]), bucket, key, Config=one_thread)
        written.append(key)
        return files[key].stat().st_size

    total = sum(image.stat().st_size for image in files.values())
    with ThreadPoolExecutor(jobs) as pool, Progress("uploading", total, "B") as progress:
        asked = [pool.submit(upload, key) for key in files]
        try:
            for answer in as_completed(asked):
                progress.advance(answer.result())
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
