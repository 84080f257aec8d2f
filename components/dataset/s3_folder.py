"""Dataset folders in S3: many objects at once, each whole or not at all."""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from components.dataset.collection import Collection
from components.dataset.errors import TransferBroken
from components.dataset.options import Patience
from components.dataset.progress import Progress
from components.dataset.s3 import BROKEN, S3Object, failures
from components.dataset.transfer import CHUNK

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)


def download_objects(
    s3: "S3Client",
    bucket: str,
    objects: Mapping[str, S3Object],
    folder: Path,
    collection: Collection,
    shown: str,
    patience: Patience,
) -> None:
    """Put ``objects``, by the names that they get, into ``collection``, as files in ``folder``, where those that an
    earlier try brought are found again.

    Raises BadInput or DualGANError where S3 refuses or breaks off, see ``s3.failures``.
    """
    log.info("downloading %d objects of %s", len(objects), shown)
    journal = folder / "objects.jsonl"
    there = dict(_brought(journal))
    total = sum(entry.size for entry in objects.values())

    def bring(entry: S3Object) -> tuple[S3Object, Path, str]:
        file = folder / hashlib.sha256(entry.key.encode("utf-8", "surrogateescape")).hexdigest()
        if there.get(entry.key) == entry.etag and file.is_file():
            with file.open("rb") as content:
                return entry, file, hashlib.file_digest(content, "sha256").hexdigest()
        return entry, file, _download(s3, bucket, entry, file, patience)

    with (
        failures(shown, bucket),
        journal.open("a", encoding="utf-8") as notes,
        ThreadPoolExecutor(patience.jobs) as pool,
        Progress("downloading", total, "B") as progress,
    ):
        asked = {pool.submit(bring, entry): name for name, entry in objects.items()}
        try:
            for answer in as_completed(asked):
                entry, file, sha256 = answer.result()
                # Begins a line, for a killed process may have left half of one.
                notes.write("\n" + json.dumps([entry.key, entry.etag]))
                notes.flush()
                collection.adopt(asked[answer], str(file), sha256)
                progress.advance(entry.size)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _download(s3: "S3Client", bucket: str, entry: S3Object, file: Path, patience: Patience) -> str:
    for attempt in range(patience.retries + 1):
        try:
            sha256 = hashlib.sha256()
            answer = s3.get_object(Bucket=bucket, Key=entry.key, IfMatch=entry.etag)
            with file.open("wb") as target:
                for chunk in answer["Body"].iter_chunks(CHUNK):
                    sha256.update(chunk)
                    target.write(chunk)
            if file.stat().st_size == entry.size:
                return sha256.hexdigest()
            reason = f"ended after {file.stat().st_size} of {entry.size} bytes"
        except BROKEN as error:
            reason = str(error)
        log.debug("%s: %s (attempt %d)", entry.key, reason, attempt + 1)
    raise TransferBroken(f"s3://{bucket}/{entry.key}: the transfer failed: {reason}")


def _brought(journal: Path) -> Iterator[tuple[str, str]]:
    """The keys and ETags of whole files."""
    if not journal.is_file():
        return
    for line in journal.read_text(encoding="utf-8").splitlines():
        with suppress(ValueError):
            key, etag = json.loads(line)
            yield key, etag
