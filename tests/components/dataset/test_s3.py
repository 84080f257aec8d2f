"""Datasets in S3, and their mirrors there."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.exceptions import HTTPClientError
from mypy_boto3_s3 import S3Client

from components.common import s3 as s3_module
from components.common.s3 import TransferInterrupted, client, objects_below
from components.dataset.download import download_objects
from components.dataset.fetch import fetch, mirror
from components.dataset.options import FetchOptions
from dualgan.dataset_folder import content_digest
from dualgan.errors import BadInput, DualGANError
from tests.components.dataset.conftest import BUCKET
from tests.components.dataset.http_server import PIECE, Answer, FaultyServer
from tests.components.dataset.made import everything_below, make_dataset, noise, tarred, zipped

FOLDER, ARCHIVE = f"s3://{BUCKET}/faces", f"s3://{BUCKET}/faces.zip"
ONE_TRY = FetchOptions(retries=0, jobs=1)


def put_folder(s3: S3Client, folder: Path, prefix: str = "faces/") -> None:
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        s3.upload_file(str(path), BUCKET, f"{prefix}{path.relative_to(folder)}")


def keys(s3: S3Client) -> set[str]:
    return {entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET).get("Contents", ())}


@pytest.mark.parametrize("prefix", ["", "faces/", "data/faces v1/"])
def test_a_folder_of_s3_is_a_dataset(s3: S3Client, dataset: Path, tmp_path: Path, prefix: str) -> None:
    put_folder(s3, dataset, prefix)
    description = fetch(f"s3://{BUCKET}/{prefix}", tmp_path / "data")
    assert description.name == (prefix.rstrip("/").rpartition("/")[2] or BUCKET)
    assert description.source == f"s3://{BUCKET}/{prefix}".rstrip("/")
    assert description.digest == content_digest(dataset)
    assert everything_below(tmp_path / "data") == everything_below(dataset) | {"dataset.json"}


@pytest.mark.parametrize("key", ["faces.zip", "data/faces.tar.gz", "archives/latest"])
def test_an_archive_in_s3_is_unpacked(s3: S3Client, dataset: Path, tmp_path: Path, key: str) -> None:
    archive = (tarred if "tar" in key else zipped)(dataset, tmp_path / "packed")
    s3.upload_file(str(archive), BUCKET, key)
    assert fetch(f"s3://{BUCKET}/{key}", tmp_path / "data").digest == content_digest(dataset)


@pytest.fixture
def faulty_s3(faulty: FaultyServer, s3: S3Client, monkeypatch: pytest.MonkeyPatch) -> FaultyServer:
    """An S3 whose connections break, with one archive in it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", faulty.url.removesuffix("/faces.zip"))
    return faulty


@pytest.mark.parametrize("changes", [False, True])
def test_an_archive_is_gone_on_with_where_its_transfer_broke_off_unless_it_has_changed(
    faulty_s3: FaultyServer, dataset: Path, tmp_path: Path, changes: bool
) -> None:
    right = faulty_s3.content
    faulty_s3.content = bytes(len(right)) if changes else right
    faulty_s3.answers.append(Answer(cut_after=150_000))
    with pytest.raises(TransferInterrupted, match=r"the 1\d{5} bytes that came are kept"):
        fetch(ARCHIVE, tmp_path / "out" / "data", ONE_TRY)
    assert not (tmp_path / "out" / "data").exists()
    faulty_s3.content, faulty_s3.usual = right, Answer(etag='"second"' if changes else '"first"')
    assert fetch(ARCHIVE, tmp_path / "out" / "data", ONE_TRY).digest == content_digest(dataset)
    first, *_, last = faulty_s3.requests.starts
    assert first == 0 and (last == 0 if changes else last == 150_000)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"data"}


class ConnectionResetByPeer(HTTPClientError):
    def __init__(self) -> None:
        super().__init__(error="connection reset by peer")


Watch = Callable[[str, Callable[[str], None]], None]


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Call a function with the path of each request of a kind before it is sent; what it raises ends the request."""

    def start(kind: str, note: Callable[[str], None]) -> None:
        def watched(*options: Any) -> S3Client:
            made = client(*options)
            made.meta.events.register(f"before-call.s3.{kind}", lambda params, **_: note(params["url_path"]))
            return made

        monkeypatch.setattr("components.common.s3.client", watched)

    return start


def test_objects_that_came_before_a_failure_are_not_fetched_again(
    s3: S3Client, dataset: Path, tmp_path: Path, watch: Watch
) -> None:
    put_folder(s3, dataset)
    got: list[str] = []
    limit = 3

    def note(path: str) -> None:
        if len(got) == limit:
            raise ConnectionResetByPeer
        got.append(path)

    watch("GetObject", note)
    with pytest.raises(TransferInterrupted):
        fetch(FOLDER, tmp_path / "out" / "data", ONE_TRY)
    limit = 100
    assert fetch(FOLDER, tmp_path / "out" / "data", ONE_TRY).digest == content_digest(dataset)
    assert len(got) == len(set(got)) == 8


def test_an_object_larger_than_the_list_says_is_not_written(s3: S3Client, tmp_path: Path) -> None:
    s3.put_object(Bucket=BUCKET, Key="a.png", Body=noise(300_000))
    (entry,) = objects_below(s3, BUCKET, "a.png")
    claimed = {"a.png": entry._replace(size=1000)}
    with pytest.raises(BadInput, match="more than 1000 bytes"):
        download_objects(s3, BUCKET, claimed, tmp_path, FetchOptions(), "s3://team")
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 1000


@pytest.mark.parametrize(
    ("source", "answer", "reason"),
    [
        (ARCHIVE, Answer(pause=0.2), "too slow"),
        (FOLDER, Answer(content=b" " * (PIECE * 100), pause=0.2), "no whole answer came within 1 seconds"),
    ],
)
def test_what_comes_drop_by_drop_is_given_up(
    faulty_s3: FaultyServer, tmp_path: Path, source: str, answer: Answer, reason: str
) -> None:
    faulty_s3.usual = answer
    began = time.monotonic()
    with pytest.raises(TransferInterrupted, match=reason):
        fetch(source, tmp_path / "data", FetchOptions(retries=0, idle_timeout=1, min_rate=1 << 20))
    assert time.monotonic() - began < 10


def test_the_digest_of_a_folder_is_recorded_at_its_first_use(s3: S3Client, dataset: Path, tmp_path: Path) -> None:
    put_folder(s3, dataset)
    options = FetchOptions(lock=tmp_path / "datasets.lock")
    digest = fetch(FOLDER, tmp_path / "first", options).digest
    assert json.loads((tmp_path / "datasets.lock").read_text()) == {FOLDER: {"digest": digest}}
    s3.delete_object(Bucket=BUCKET, Key="faces/val/A/0.png")
    with pytest.raises(DualGANError, match="where its first use is recorded"):
        fetch(FOLDER, tmp_path / "second", options)
    assert not (tmp_path / "second").exists()


def refused(source: str, tmp_path: Path) -> str:
    with pytest.raises(BadInput) as error:
        fetch(source, tmp_path / "parent" / "data")
    assert not (tmp_path / "parent").exists()
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("s3://other-bucket/faces", "s3://other-bucket/faces: there is no bucket other-bucket"),
        (FOLDER, "nothing is there"),
        (ARCHIVE, "nothing is there"),
        (f"s3://{BUCKET}", "nothing is there"),
        ("s3:///faces", "the form is s3://bucket/key"),
        ("s3://-/faces", "the form is s3://bucket/key"),
        ("s3://a b/faces", "the form is s3://bucket/key"),
    ],
)
def test_what_is_not_there_is_bad_input(s3: S3Client, tmp_path: Path, source: str, reason: str) -> None:
    assert reason in refused(source, tmp_path)


def test_a_bucket_without_permission_is_one_line_of_bad_input(
    s3: S3Client, s3_server: str, dataset: Path, tmp_path: Path
) -> None:
    put_folder(s3, dataset)
    address = f"{s3_server}/moto-api/reset-auth"
    # From now on the server asks for permissions, which these credentials lack.
    requests.post(address, data=b"0", timeout=30)
    try:
        assert refused(FOLDER, tmp_path).startswith(f"{FOLDER}: no permission for bucket {BUCKET} (")
        assert "no permission" in refused(ARCHIVE, tmp_path)
        with pytest.raises(BadInput, match="no permission"):
            mirror(str(dataset), f"s3://{BUCKET}/copy")
    finally:
        requests.post(address, data=b"inf", timeout=30)


def test_without_credentials_or_a_server_that_is_said(
    s3: S3Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as changed:
        changed.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        with pytest.raises(TransferInterrupted, match="the transfer failed: Could not connect") as error:
            fetch(FOLDER, tmp_path / "data", ONE_TRY)
        assert error.value.exit_code == 1
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in refused(FOLDER, tmp_path)


def page(inner: str) -> bytes:
    return f'<?xml version="1.0"?><ListBucketResult>{inner}</ListBucketResult>'.encode()


ENTRY = '<Contents><Key>faces/train/A/1.png</Key><Size>10</Size><ETag>"a"</ETag></Contents>'
MORE = "<IsTruncated>true</IsTruncated><NextContinuationToken>more</NextContinuationToken>"


@pytest.mark.parametrize(
    ("status", "content", "reason"),
    [
        (200, page(MORE + ENTRY), "repeats itself"),
        (200, page(MORE), "more than"),
        (200, page("<IsTruncated>true</IsTruncated>" + ENTRY), "breaks off"),
        (200, page(ENTRY.replace("10", "1e999")), "is not S3's answer"),
        (200, page(ENTRY.replace("10", "9" * 5000)), "is not S3's answer"),
        (200, page(ENTRY.replace("10", "-5")), "is not S3's answer"),
        (200, page("<Contents><Size>1</Size></Contents>"), "is not S3's answer"),
        (200, page(ENTRY.replace("faces/", "others/")), "not asked for"),
        (400, b"<Error></Error>", "is not S3's answer"),
    ],
)
def test_a_list_that_is_none_of_s3_is_refused_in_one_line(
    faulty_s3: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, content: bytes, reason: str
) -> None:
    monkeypatch.setattr(s3_module, "MAX_PAGES", 5)
    faulty_s3.usual = Answer(status=status, content=content)
    with pytest.raises(DualGANError, match=reason) as error:
        fetch(FOLDER, tmp_path / "data", ONE_TRY)
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


@pytest.mark.parametrize("form", ["dataset folder", "folder", "archive", "synthetic"])
def test_a_mirror_is_a_source_with_the_same_digest(s3: S3Client, dataset: Path, tmp_path: Path, form: str) -> None:
    fetch(str(dataset), tmp_path / "faces")
    source = {
        "dataset folder": str(tmp_path / "faces"),
        "folder": str(dataset),
        "archive": str(zipped(dataset, tmp_path / "a.zip")),
        "synthetic": "synthetic://?n=2&size=32",
    }[form]
    mirrored = mirror(source, f"s3://{BUCKET}/datasets/faces")
    assert fetch(f"s3://{BUCKET}/datasets/faces", tmp_path / "data")[::2] == mirrored[::2]
    # One that is there is left alone; one that was killed is gone on with.
    written = s3.head_object(Bucket=BUCKET, Key="datasets/faces/dataset.json")["LastModified"]
    mirror(source, f"s3://{BUCKET}/datasets/faces/")
    assert s3.head_object(Bucket=BUCKET, Key="datasets/faces/dataset.json")["LastModified"] == written
    for key in ("dataset.json", sorted(keys(s3))[-1].removeprefix("datasets/faces/")):
        s3.delete_object(Bucket=BUCKET, Key=f"datasets/faces/{key}")
    mirror(source, f"s3://{BUCKET}/datasets/faces")
    assert fetch(f"s3://{BUCKET}/datasets/faces", tmp_path / "again").digest == mirrored.digest


def test_a_mirror_replaces_nothing_and_is_of_what_can_be_verified(s3: S3Client, dataset: Path, tmp_path: Path) -> None:
    s3.put_object(Bucket=BUCKET, Key="thesis/thesis.pdf", Body=b"years of work")
    with pytest.raises(BadInput, match=r"holds something else already \(thesis/thesis.pdf\)"):
        mirror(str(dataset), f"s3://{BUCKET}/thesis")
    mirror(str(dataset), FOLDER)
    before = keys(s3)
    with pytest.raises(BadInput, match="holds something else already"):
        mirror(str(make_dataset(tmp_path / "other", names=("0.png",))), FOLDER)
    fetch(str(dataset), tmp_path / "faces")
    (tmp_path / "faces" / "train" / "A" / "0.png").write_bytes(b"")
    with pytest.raises(DualGANError, match="its images have changed"):
        mirror(str(tmp_path / "faces"), f"s3://{BUCKET}/more")
    with pytest.raises(BadInput, match="the form is s3://bucket/key"):
        mirror(str(dataset), str(tmp_path / "elsewhere"))
    assert keys(s3) == before


def test_a_mirror_that_fails_removes_what_it_wrote(s3: S3Client, dataset: Path, watch: Watch) -> None:
    def note(path: str) -> None:
        if path.endswith("1.jpg"):
            raise ConnectionResetByPeer

    watch("PutObject", note)
    with pytest.raises(DualGANError):
        mirror(str(dataset), FOLDER, replace(ONE_TRY, jobs=4))
    assert keys(s3) == set()
