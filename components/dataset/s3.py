"""S3 and what speaks its language: MinIO, SeaweedFS, Ceph, OBS.

Endpoint, region, credentials and the rest come from where boto3 looks for them: AWS_ENDPOINT_URL (or
AWS_ENDPOINT_URL_S3), AWS_DEFAULT_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, ~/.aws (also for
virtual-hosted addresses, which OBS wants: ``s3 = addressing_style = virtual``), the machine's role.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import boto3
import urllib3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    SSLError,
)

from components.dataset.errors import TransferBroken
from components.dataset.options import Patience
from dualgan.errors import BadInput, DualGANError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECTION_SECONDS = 10.0
CREDENTIALS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
NOT_FOUND = ("404", "NoSuchKey", "NotFound", "NoSuchBucket")
NOT_ALLOWED = ("401", "403", "AccessDenied", "AllAccessDisabled", "InvalidAccessKeyId", "SignatureDoesNotMatch")

# What may pass, and what breaks off in the middle of an answer, which boto3 does not repeat by itself.
BROKEN = (ConnectionError, HTTPClientError, IncompleteReadError, urllib3.exceptions.HTTPError)

# It warns of every broken connection that it repeats.
logging.getLogger("botocore").setLevel(logging.ERROR)


class S3Object(NamedTuple):
    """``key`` of an object, its ``size`` in bytes and its ``etag``, which another content would not have."""

    key: str
    size: int
    etag: str


def client(patience: Patience) -> "S3Client":
    """A client for S3 as the environment describes it. Raises BadInput where that makes no sense."""
    config = Config(
        connect_timeout=min(CONNECTION_SECONDS, patience.stall / 2),
        read_timeout=patience.stall / 2,
        retries={"mode": "standard", "total_max_attempts": patience.retries + 1},
        max_pool_connections=max(10, patience.jobs),
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
    """The objects whose keys begin with ``prefix``, in the order of their keys."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", ()):
            yield S3Object(entry["Key"], entry["Size"], entry["ETag"])


def object_at(s3: "S3Client", bucket: str, key: str) -> S3Object | None:
    """The object of this key; None where there is none."""
    try:
        answer = s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] in NOT_FOUND:
            return None
        raise
    return S3Object(key, answer["ContentLength"], answer["ETag"])


@contextmanager
def failures(shown: str, bucket: str) -> Iterator[None]:
    """Turns boto3's errors into ours, in one line that begins with ``shown``."""
    try:
        yield
    except ClientError as error:
        raise _refused(error, shown, bucket) from None
    except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError) as error:
        raise BadInput(f"{shown}: {error}; {CREDENTIALS}") from None
    except SSLError as error:
        raise DualGANError(f"{shown}: TLS: {error}") from None
    except BROKEN as error:
        raise TransferBroken(f"{shown}: the transfer failed: {error}") from None
    except (BotoCoreError, Boto3Error) as error:
        if isinstance(error.__context__, ClientError):
            raise _refused(error.__context__, shown, bucket) from None
        raise BadInput(f"{shown}: {error}") from None


def _refused(error: ClientError, shown: str, bucket: str) -> DualGANError:
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    if code == "NoSuchBucket":
        return BadInput(f"{shown}: there is no bucket {bucket}")
    if code in NOT_ALLOWED:
        return BadInput(f"{shown}: no permission for bucket {bucket} ({code}); check the credentials and its policy")
    if code in NOT_FOUND:
        return BadInput(f"{shown}: there is nothing; check the address")
    if code in ("PreconditionFailed", "412"):
        return TransferBroken(f"{shown}: changed while it was transferred; try again")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
    said = f"{shown}: S3 answers {code} {message}".strip()
    return BadInput(f"{said}; check the address") if 400 <= status < 500 else TransferBroken(f"{said}; try again later")


def read_object(s3: "S3Client", bucket: str, key: str, most: int) -> bytes:
    """The first ``most`` bytes of an object."""
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read(most)
