"""A verified dataset in a bucket of one's own."""

import logging
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from components.common import s3
from components.common.console import Progress
from components.common.files import os_failure
from components.dataset.checksums import verify
from components.dataset.fetch import fetch
from components.dataset.options import FetchOptions
from dualgan.dataset_folder import DESCRIPTION, DOMAINS, SPLITS, Description, list_images
from dualgan.errors import BadInput

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

    from components.dataset.collection import MAX_MANIFEST, read_manifest

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
