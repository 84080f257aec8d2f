"""Archives in S3: in parts, several at once, in order."""

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError, SSLError

from components.dataset.options import Patience
from components.dataset.s3 import BROKEN, S3Object, failures, object_at
from components.dataset.transfer import Answer, Broken, Changed, Partial, complete
from dualgan.errors import BadInput

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# What a transfer that is killed may have under way, and then asks for again, is at most MOST_AT_ONCE parts.
PART = 4 << 20
MOST_AT_ONCE = 4


def download_object(
    s3: "S3Client", bucket: str, key: str, folder: Path, shown: str, patience: Patience
) -> tuple[Path, str]:
    """The object as a file in ``folder``, and its SHA-256 (hex); goes on with what an earlier try left there.

    Raises BadInput where it is missing or may not be read, DualGANError for what may pass.
    """
    partial = Partial(folder, f"{s3.meta.endpoint_url} {bucket} {key}")

    @contextmanager
    def ask(offset: int, validator: str | None) -> Iterator[Answer]:
        try:
            there = object_at(s3, bucket, key)
            if there is None:
                raise BadInput(f"{shown}: there is no such object")
            if validator != there.etag:
                offset = 0
            with closing(_parts(s3, bucket, there, offset, min(patience.jobs, MOST_AT_ONCE))) as parts:
                yield Answer(offset, there.size, there.etag, parts)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("PreconditionFailed", "412"):
                raise Changed from None
            raise
        except SSLError:
            raise
        except BROKEN as error:
            raise Broken(str(error)) from None

    with failures(shown, bucket):
        return partial.file, complete(partial, ask, patience, shown)


def _parts(s3: "S3Client", bucket: str, wanted: S3Object, offset: int, at_once: int) -> Generator[bytes]:
    def part(start: int) -> bytes:
        last = min(start + PART, wanted.size) - 1
        answer = s3.get_object(Bucket=bucket, Key=wanted.key, Range=f"bytes={start}-{last}", IfMatch=wanted.etag)
        return answer["Body"].read()

    under_way: deque[Future[bytes]] = deque()
    pool = ThreadPoolExecutor(at_once)
    try:
        for start in range(offset, wanted.size, PART):
            under_way.append(pool.submit(part, start))
            if len(under_way) == at_once:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
