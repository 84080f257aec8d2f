"""Archives and dataset folders in S3."""

import hashlib
import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from components.common import s3
from components.common.console import Progress
from components.common.errors import TransferBroken
from components.common.s3 import S3Object, failures, object_at, objects_below, read_object
from components.dataset.collection import ImageCollection
from components.dataset.download import CHUNK, ContentChanged, PartialFile, RateLimit, Response, TransientError, resume
from components.dataset.options import TransferOptions
from dualgan.errors import BadInput

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["client", "download_archive", "download_objects", "failures", "object_at", "objects_below", "read_object"]

log = logging.getLogger(__name__)


def client(options: TransferOptions) -> "S3Client":
    """Return a client for S3 as the environment describes it. Raises BadInput if that makes no sense."""
    return s3.client(options.retries, options.idle_timeout, options.jobs)


def download_archive(
    client: "S3Client", bucket: str, key: str, folder: Path, options: TransferOptions, max_size: int, label: str
) -> tuple[Path, str]:
    """Return the object as a file in ``folder``, and its SHA-256 (hex).

    What an earlier try left there is gone on with, which boto3's own transfers cannot. Raises BadInput if the object is
    missing or may not be read, and what ``resume`` raises.
    """
    partial = PartialFile(folder, f"{client.meta.endpoint_url} {bucket} {key}")

    @contextmanager
    def open_range(offset: int, validator: str | None) -> Iterator[Response]:
        try:
            found = object_at(client, bucket, key)
            if found is None:
                raise BadInput(f"{label}: there is no such object")
            start = offset if validator == found.etag else 0
            asked = {"Range": f"bytes={start}-"} if start else {}
            answer = client.get_object(Bucket=bucket, Key=key, IfMatch=found.etag, **asked)  # type: ignore[arg-type]
            with closing(answer["Body"]) as body:
                yield Response(start, found.size, found.etag, body.iter_chunks(CHUNK))
        except ClientError as error:
            raise ContentChanged if s3.code_of(error) in s3.CHANGED else error from None
        except Exception as error:
            raise TransientError(str(error)) if s3.is_transient(error) else error from None

    with failures(label, bucket):
        return partial.file, resume(partial, open_range, options, max_size, label)


def download_objects(
    client: "S3Client",
    bucket: str,
    objects: Mapping[str, S3Object],
    folder: Path,
    collection: ImageCollection,
    options: TransferOptions,
    label: str,
) -> None:
    """Put ``objects``, by the names that they get, into ``collection``, as files in ``folder``.

    A file appears whole there, and is found again by the next try. Raises what ``failures`` does.
    """
    log.info("downloading %d objects of %s", len(objects), label)
    rate = RateLimit(label, options)
    # Several objects come at once already; of a large one one thread brings one part after the other.
    config = TransferConfig(use_threads=False, num_download_attempts=options.retries + 1)

    def bring(name: str, entry: S3Object) -> tuple[str, Path, str]:
        identity = f"{entry.key}\0{entry.etag}".encode("utf-8", "surrogateescape")
        file = folder / f"{hashlib.sha256(identity).hexdigest()}{Path(name).suffix.lower()}"
        if not file.is_file():
            come = 0

            def count(size: int) -> None:
                nonlocal come
                come += size
                rate.count(size)
                if come > entry.size:
                    raise BadInput(f"s3://{bucket}/{entry.key}: refused, larger than the {entry.size} bytes it claims")

            client.download_file(bucket, entry.key, str(file), Callback=count, Config=config)
            if file.stat().st_size != entry.size:
                file.unlink()
                raise TransferBroken(f"s3://{bucket}/{entry.key}: changed while it was transferred; try again")
        with file.open("rb") as content:
            return name, file, hashlib.file_digest(content, "sha256").hexdigest()

    total = sum(entry.size for entry in objects.values())
    with (
        failures(label, bucket),
        ThreadPoolExecutor(options.jobs) as pool,
        Progress("downloading", total, "B") as progress,
    ):
        asked = [pool.submit(bring, name, entry) for name, entry in objects.items()]
        try:
            for answer in as_completed(asked):
                name, file, sha256 = answer.result()
                collection.add_file(name, file, sha256)
                progress.advance(objects[name].size)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
