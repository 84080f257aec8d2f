"""A verified dataset in a bucket of one's own."""

import logging
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING

from components.common.console import Progress
from components.common.errors import os_failure
from components.common.s3 import S3Address, parse_address
from components.dataset.fetch import fetch
from components.dataset.options import FetchOptions
from components.dataset.verify import verify
from dualgan.dataset_folder import DESCRIPTION, DOMAINS, SPLITS, Description, list_images
from dualgan.errors import BadInput

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)


def mirror(source: str, target: str, options: FetchOptions | None = None) -> Description:
    """Put the dataset of ``source``, or the one that is in a dataset folder, at ``target`` (s3://bucket/prefix).

    dataset.json is written last: a prefix that has one is whole. One that holds this dataset already is left as it
    is; one that a mirror was killed at is gone on with.

    Raises:
        BadInput: What ``fetch`` raises it for, or the target is none, may not be written or holds anything else.
        DualGANError: Failed work, after which what it wrote is removed.
    """
    options = options or FetchOptions()
    address = parse_address(target)
    folder = Path(source).expanduser()
    try:
        if (folder / "dataset.json").is_file():
            return _upload(folder, verify(folder, options.limits), address, options)
        with tempfile.TemporaryDirectory(prefix="dataset-") as scratch:
            fetched = Path(scratch) / "dataset"
            return _upload(fetched, fetch(source, fetched, options), address, options)
    except OSError as error:
        raise os_failure(error, Path(target)) from None


def _upload(folder: Path, description: Description, address: S3Address, options: FetchOptions) -> Description:
    # boto3 takes a second to import.
    from components.common import s3
    from components.dataset.collection import MAX_MANIFEST, read_manifest

    transfer, bucket, label = options.transfer, address.bucket, str(address)
    client = s3.client(transfer.retries, transfer.idle_timeout, transfer.jobs)
    prefix = f"{address.key}/" if address.key else ""
    images = [image for split in SPLITS for domain in DOMAINS for image in list_images(folder, split, domain)]
    files = {f"{prefix}{image.relative_to(folder).as_posix()}": image for image in images}
    key = f"{prefix}{DESCRIPTION}"
    with s3.failures(label, bucket):
        there = {entry.key: entry.size for entry in s3.objects_below(client, bucket, prefix)}
        manifest = read_manifest(s3.read_object(client, bucket, key, MAX_MANIFEST)) if key in there else None
        foreign = [other for other in there if other not in files and other != key]
        if foreign or (key in there and (manifest is None or manifest.digest != description.digest)):
            what = foreign[0] if foreign else "another dataset"
            raise BadInput(f"{label}: holds something else already ({what}); name another prefix")
        if key in there and all(there.get(name) == image.stat().st_size for name, image in files.items()):
            log.info("%s: already there", label)
            return description
        log.info("uploading %d images to %s", len(files), label)
        written: list[str] = []
        try:
            _upload_all(client, bucket, files, written, transfer.jobs)
            client.upload_file(str(folder / DESCRIPTION), bucket, key)
        except BaseException:
            for name in set(written) - set(there):
                client.delete_object(Bucket=bucket, Key=name)
            raise
    return description


def _upload_all(client: "S3Client", bucket: str, files: Mapping[str, Path], written: list[str], jobs: int) -> None:
    from boto3.s3.transfer import TransferConfig

    # Several files go at once already; a large one still goes in parts.
    one_thread = TransferConfig(use_threads=False)

    def upload(key: str) -> int:
        client.upload_file(str(files[key]), bucket, key, Config=one_thread)
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
