"""Archives and dataset folders in S3.

boto3's own transfers begin anew after a kill and count bytes by the quarter of a megabyte, so that what trickles would
never end: objects come the way that archives do over HTTP.
"""

import hashlib
import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

from components.common.console import Progress
from components.common.errors import TransferBroken
from components.common.s3 import CHANGED, S3Object, code_of, failures, is_transient, understood
from components.dataset.download import CONTENT_RANGE
from components.dataset.options import TransferOptions
from components.dataset.transfer import (
    MaxSize,
    OpenRange,
    PartialFile,
    RateLimit,
    Response,
    TransientError,
    chunks_of,
    in_time,
    resume,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

log = logging.getLogger(__name__)


def download_archive(
    client: "S3Client", bucket: str, key: str, folder: Path, options: TransferOptions, max_size: int, label: str
) -> tuple[Path, str]:
    """Return the object as a file in ``folder``, and its SHA-256 (hex).

    What an earlier try left there is gone on with. Raises BadInput if the object is missing or may not be read, and
    what ``resume`` raises.
    """
    partial = PartialFile(folder / "archive", f"{client.meta.endpoint_url} {bucket} {key}")
    log.info("downloading %s%s", label, f" from byte {partial.size} on" if partial.size else "")
    with failures(label, bucket):
        return partial.file, resume(partial, _ranges(client, bucket, key, options), options, MaxSize(max_size), label)


def download_objects(
    client: "S3Client",
    bucket: str,
    objects: Mapping[str, S3Object],
    folder: Path,
    options: TransferOptions,
    label: str,
) -> dict[str, PartialFile]:
    """Return ``objects``, by the names that they get, as files in ``folder``.

    What an earlier try left there is gone on with. Raises what ``failures`` and ``resume`` do.
    """
    log.info("downloading %d objects of %s", len(objects), label)
    rate = RateLimit(label, options)

    def bring(name: str, entry: S3Object) -> PartialFile:
        identity = f"{entry.key}\0{entry.etag}"
        number = hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()
        partial = PartialFile(folder / f"{number}{Path(name).suffix.lower()}", identity)
        address = f"s3://{bucket}/{entry.key}"
        if partial.note.total != entry.size or partial.size != entry.size:
            max_size = MaxSize(entry.size, "what the bucket's list says")
            shared = rate, progress
            resume(partial, _ranges(client, bucket, entry.key, options), options, max_size, address, shared)
        if partial.size != entry.size:
            raise TransferBroken(f"{address}: changed while it was transferred; try again")
        return partial

    total = sum(entry.size for entry in objects.values())
    with (
        failures(label, bucket),
        ThreadPoolExecutor(options.jobs) as pool,
        Progress("downloading", total, "B") as progress,
    ):
        asked = {name: pool.submit(bring, name, entry) for name, entry in objects.items()}
        try:
            for answer in as_completed(asked.values()):
                answer.result()
            return {name: answer.result() for name, answer in asked.items()}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _ranges(client: "S3Client", bucket: str, key: str, options: TransferOptions) -> OpenRange:
    def ask(offset: int, validator: str | None) -> "GetObjectOutputTypeDef":
        """The rest of the object if it is still the one that ``validator`` speaks of, else the whole."""
        if offset and validator:
            try:
                rest = client.get_object(Bucket=bucket, Key=key, Range=f"bytes={offset}-", IfMatch=validator)
                # Not every S3 heeds the condition.
                if rest["ETag"] == validator:
                    return rest
                rest["Body"].close()
            except ClientError as error:
                if code_of(error) not in (*CHANGED, "InvalidRange"):
                    raise
        return client.get_object(Bucket=bucket, Key=key)

    @contextmanager
    def open_range(offset: int, validator: str | None) -> Iterator[Response]:
        try:
            answer = in_time(options.idle_timeout, lambda: understood(bucket, lambda: ask(offset, validator)))
            part = CONTENT_RANGE.fullmatch(answer.get("ContentRange", ""))
            total = int(part[2]) if part and part[2] != "*" else answer.get("ContentLength")
            with cast(Any, answer["Body"]) as raw:
                yield Response(
                    int(part[1]) if part else 0, total, answer.get("ETag"), chunks_of(raw, options.idle_timeout)
                )
        except Exception as error:
            raise TransientError(str(error)) if is_transient(error) else error from None

    return open_range
