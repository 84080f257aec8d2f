"""Copy a dump of MLflow's database to the bucket, or one of them back.

python3 dumps.py upload FILE: below BACKUP_DESTINATION; dumps older than KEEP_DAYS are deleted.
python3 dumps.py download FILE: the newest, or the one that DUMP names.
"""

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

NAME = "mlflow-%Y%m%dT%H%M%SZ.dump"


def destination() -> tuple[Any, str]:
    """Return the bucket, and the prefix of the dumps in it."""
    place = urlsplit(os.environ["BACKUP_DESTINATION"])
    service = boto3.resource("s3", endpoint_url=os.environ.get("MLFLOW_S3_ENDPOINT_URL") or None)
    return service.Bucket(place.netloc), place.path.strip("/") + "/"


def times(bucket: Any, prefix: str) -> dict[datetime, str]:
    """Return the key of each dump by the time in its name; what has another name is none."""
    found = {}
    for key in (entry.key for entry in bucket.objects.filter(Prefix=prefix)):
        try:
            found[datetime.strptime(key.removeprefix(prefix), NAME).replace(tzinfo=UTC)] = key
        except ValueError:
            continue
    return found


def upload(file: str) -> None:
    bucket, prefix = destination()
    now = datetime.now(UTC)
    key = prefix + now.strftime(NAME)
    bucket.upload_file(file, key)
    print(f"wrote s3://{bucket.name}/{key}, {Path(file).stat().st_size} bytes")
    oldest = now - timedelta(days=float(os.environ["KEEP_DAYS"]))
    for time, old in times(bucket, prefix).items():
        if time < oldest:
            bucket.Object(old).delete()
            print(f"deleted s3://{bucket.name}/{old}")


def download(file: str) -> None:
    bucket, prefix = destination()
    wanted = os.environ.get("DUMP", "")
    dumps = {time: key for time, key in times(bucket, prefix).items() if wanted in ("", key.removeprefix(prefix))}
    if not dumps:
        sys.exit(f"no dump {wanted or 'at all'} below s3://{bucket.name}/{prefix}")
    key = dumps[max(dumps)]
    bucket.download_file(key, file)
    print(f"read s3://{bucket.name}/{key}")


if __name__ == "__main__":
    try:
        {"upload": upload, "download": download}[sys.argv[1]](sys.argv[2])
    except (BotoCoreError, Boto3Error, ClientError) as error:
        sys.exit(f"{os.environ['BACKUP_DESTINATION']}: {error}")
