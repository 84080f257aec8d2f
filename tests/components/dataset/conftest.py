"""Images, dataset folders and archives that the tests make themselves, and servers on loopback."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer
from mypy_boto3_s3 import S3Client

from components.dataset import transfer
from tests.components.dataset.http_server import FaultyServer
from tests.components.dataset.made import make_dataset, noise, zipped

BUCKET = "team"


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A folder with two images in each of train/A, train/B, val/A and val/B."""
    return make_dataset(tmp_path / "source")


@pytest.fixture
def faulty(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    """A server of ``dataset`` as a zip file of about 400 kB; between tries nobody waits long."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(transfer, "FIRST_DELAY", 0.01)
    (dataset / "noise.bin").write_bytes(noise(400_000))
    archive = zipped(dataset, tmp_path / "served.zip")
    server = FaultyServer(archive.read_bytes())
    archive.unlink()
    yield server
    server.close()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 server."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Client]:
    """A client of the S3 server, to which the AWS_* variables point as well, with an empty bucket ``team``."""
    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "me",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    yield client
    for entry in client.list_objects_v2(Bucket=BUCKET).get("Contents", ()):
        client.delete_object(Bucket=BUCKET, Key=entry["Key"])
    client.delete_bucket(Bucket=BUCKET)
