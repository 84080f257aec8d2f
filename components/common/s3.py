"""S3 and what speaks its language: MinIO, SeaweedFS, Ceph, OBS.

Endpoint, region, credentials and the rest come from where boto3 looks for them: AWS_ENDPOINT_URL (or
AWS_ENDPOINT_URL_S3), AWS_DEFAULT_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, ~/.aws (also for
virtual-hosted addresses, which OBS wants: ``s3 = addressing_style = virtual``), the machine's role.

boto3 takes a second to import, so only what talks to a server imports it.
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from components.common.threads import within
from dualgan.errors import OF_CONTENT, BadInput, DualGANError

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from mypy_boto3_s3 import S3Client

BUCKET = re.compile(r"[a-z0-9A-Z][a-z0-9A-Z._-]{1,254}")
CONNECTION_SECONDS = 10.0
CREDENTIALS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
NOT_FOUND = ("404", "NoSuchKey", "NotFound", "NoSuchBucket")
NOT_ALLOWED = ("401", "403", "AccessDenied", "AllAccessDisabled", "InvalidAccessKeyId", "SignatureDoesNotMatch")
# A page holds up to 1000 objects.
MAX_PAGES, MAX_OBJECTS = 20_000, 10_000_000

Result = TypeVar("Result")

# It warns of every broken connection that it repeats.
logging.getLogger("botocore").setLevel(logging.ERROR)


class TransferInterrupted(DualGANError):
    """A transfer ended early; the same command goes on where it stopped, if the server allows."""


class S3Address(NamedTuple):
    """An object or a folder in S3; ``key`` has no "/" at either end, and is "" for a whole bucket."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}".rstrip("/")


class S3Object(NamedTuple):
    """``key`` of an object, its ``size`` in bytes and its ``etag``, which another content would not have.

    modified: seconds since 1970, None if the server does not say.
    """

    key: str
    size: int
    etag: str
    modified: float | None = None


def parse_address(text: str) -> S3Address:
    """Return the address that ``s3://bucket/key`` names. Raises BadInput for any other text."""
    bucket, _, key = text.removeprefix("s3://").partition("/")
    if not text.startswith("s3://") or not BUCKET.fullmatch(bucket):
        raise BadInput(f"{text}: not a place in S3; the form is s3://bucket/key")
    return S3Address(bucket, key.strip("/"))


def client(retries: int = 4, idle_timeout: float = 120.0, connections: int = 10) -> "S3Client":
    """Return a client for S3 as the environment describes it. Raises BadInput if that makes no sense.

    A request is repeated ``retries`` times, and two tries of it take ``idle_timeout`` seconds without a byte.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    config = Config(
        connect_timeout=min(CONNECTION_SECONDS, idle_timeout / 2),
        read_timeout=idle_timeout / 2,
        retries={"mode": "standard", "total_max_attempts": retries + 1},
        max_pool_connections=max(10, connections),
        # Not every S3 knows the checksums that boto3 would add; datasets are checked by their digest.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        # A session of its own: the default one keeps the credentials that it first found.
        return boto3.Session().client("s3", config=config)
    except (BotoCoreError, ValueError) as error:
        raise BadInput(f"S3: {error}; see the AWS_* variables") from None


def objects_below(s3: "S3Client", bucket: str, prefix: str) -> Iterator[S3Object]:
    """Yield the objects whose keys begin with ``prefix``, each once.

    Raises DualGANError for a list that repeats itself or has no end: not every S3 sorts keys as AWS does.
    """
    seen: set[str] = set()
    further: dict[str, Any] = {}

    def ask() -> tuple[Any, list[S3Object]]:
        page = s3.list_objects_v2(Bucket=bucket, Prefix=prefix, **further)
        return page, [_object(entry["Key"], entry) for entry in page.get("Contents", ())]

    for _ in range(MAX_PAGES):
        page, entries = asked(s3, bucket, ask)
        for entry in entries:
            if entry.key in seen or not entry.key.startswith(prefix):
                raise _not_s3(bucket, "its list repeats itself, or has keys that were not asked for")
            seen.add(entry.key)
            yield entry
        if not page.get("IsTruncated"):
            return
        if len(seen) > MAX_OBJECTS:
            break
        if not page.get("NextContinuationToken"):
            raise _not_s3(bucket, "its list breaks off")
        further["ContinuationToken"] = page["NextContinuationToken"]
    raise _not_s3(bucket, f"its list has more than {MAX_OBJECTS} objects or {MAX_PAGES} pages")


def object_at(s3: "S3Client", bucket: str, key: str) -> S3Object | None:
    """Return the object of this key, None if there is none."""
    from botocore.exceptions import ClientError

    def ask() -> S3Object:
        found = s3.head_object(Bucket=bucket, Key=key)
        return _object(key, {**found, "Size": found["ContentLength"]})

    try:
        return asked(s3, bucket, ask)
    except ClientError as error:
        if code_of(error) in NOT_FOUND:
            return None
        raise


def read_object(s3: "S3Client", bucket: str, key: str, limit: int) -> bytes:
    """Return the first ``limit`` bytes of an object."""
    return asked(s3, bucket, lambda: s3.get_object(Bucket=bucket, Key=key)["Body"].read(limit))


def _object(key: str, answer: Mapping[str, Any]) -> S3Object:
    if answer["Size"] < 0:
        raise ValueError(f"size {answer['Size']}")
    modified = answer.get("LastModified")
    return S3Object(key, answer["Size"], answer["ETag"], modified.timestamp() if modified else None)


def asked(s3: "S3Client", bucket: str, ask: Callable[[], Result]) -> Result:
    """Return what ``ask`` returns.

    Raises TimeoutError if that takes longer than two tries of a request may without a byte, and DualGANError for an
    answer that boto3 cannot make sense of.
    """
    from botocore.exceptions import BotoCoreError
    from botocore.parsers import ResponseParserError

    config: Any = s3.meta.config
    try:
        return within(2 * config.read_timeout, ask)
    except BotoCoreError:
        raise
    except (*OF_CONTENT, ResponseParserError) as error:
        raise _not_s3(bucket, str(error)[:100]) from None


def _not_s3(bucket: str, reason: str) -> DualGANError:
    return DualGANError(f"s3://{bucket}: that is not S3's answer ({reason}); check AWS_ENDPOINT_URL")


def code_of(error: Exception) -> str:
    """Return the code of a refusal, such as "NoSuchKey"; "" if it has none."""
    return str(getattr(error, "response", {}).get("Error", {}).get("Code") or "")


def is_transient(error: Exception) -> bool:
    """Return whether ``error`` is a broken transfer, which may succeed when it is repeated."""
    import urllib3
    from boto3.exceptions import RetriesExceededError
    from botocore.exceptions import ConnectionError, HTTPClientError, IncompleteReadError, SSLError

    # boto3 does not repeat by itself what breaks off in the middle of an answer.
    broken = (ConnectionError, HTTPClientError, IncompleteReadError, RetriesExceededError, urllib3.exceptions.HTTPError)
    return isinstance(error, broken) and not isinstance(error, SSLError)


@contextmanager
def failures(label: str, bucket: str) -> Iterator[None]:
    """Turn boto3's errors into BadInput, DualGANError or TransferInterrupted, one line that begins with ``label``."""
    import urllib3
    from boto3.exceptions import Boto3Error
    from botocore import exceptions

    try:
        yield
    except exceptions.ClientError as error:
        raise _refused(error, label, bucket) from None
    except (
        exceptions.NoCredentialsError,
        exceptions.PartialCredentialsError,
        exceptions.CredentialRetrievalError,
    ) as error:
        raise BadInput(f"{label}: {error}; {CREDENTIALS}") from None
    except exceptions.SSLError as error:
        raise DualGANError(f"{label}: TLS: {error}") from None
    except TimeoutError as error:
        raise TransferInterrupted(f"{label}: {error}") from None
    except (exceptions.BotoCoreError, Boto3Error, urllib3.exceptions.HTTPError) as error:
        if isinstance(error.__context__, exceptions.ClientError):
            raise _refused(error.__context__, label, bucket) from None
        if is_transient(error):
            raise TransferInterrupted(f"{label}: the transfer failed: {error}") from None
        raise BadInput(f"{label}: {error}") from None


def _refused(error: "ClientError", label: str, bucket: str) -> DualGANError:
    code, message = code_of(error), error.response.get("Error", {}).get("Message", "")
    if not code:
        return _not_s3(bucket, "a refusal without a code")
    if code == "NoSuchBucket":
        return BadInput(f"{label}: there is no bucket {bucket}")
    if code in NOT_ALLOWED:
        return BadInput(f"{label}: no permission for bucket {bucket} ({code}); check the credentials and its policy")
    if code in NOT_FOUND:
        return BadInput(f"{label}: there is nothing; check the address")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
    said = f"{label}: S3 answers {code} {message}".strip()
    return (
        BadInput(f"{said}; check the address")
        if 400 <= status < 500
        else TransferInterrupted(f"{said}; try again later")
    )
