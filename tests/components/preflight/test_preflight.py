"""What a run needs is looked for before it costs anything, and every fault is named at once."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from components.preflight.component import preflight
from components.preflight.preflight import Requirements, find_faults, require_none
from components.tracking.store import connect
from dualgan.errors import BadInput, DualGANError
from tests.components.tracking.servers import KillableServer
from tests.services import S3_KEYS, free_port, s3_client, s3_service


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with s3_service("mine") as address:
        for name, value in (S3_KEYS | {"AWS_ENDPOINT_URL": address}).items():
            monkeypatch.setenv(name, value)
        yield address


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[str]:
    """The address of a file that a server has."""
    (tmp_path / "faces.zip").write_bytes(b"PK")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/faces.zip"
        server.shutdown()


def test_what_answers_is_no_fault_and_leaves_nothing_in_the_bucket(s3: str, tmp_path: Path) -> None:
    s3_client(s3).put_object(Bucket="mine", Key="faces/train/A/1.png", Body=b"x")
    with KillableServer(tmp_path) as server:
        connect(server.address).create_experiment("faces")
        needed = Requirements("s3://mine/faces", "s3://mine/checkpoints", server.address, on_cluster=True)
        assert find_faults(needed) == []
    left = s3_client(s3).list_objects_v2(Bucket="mine")["Contents"]
    assert [entry["Key"] for entry in left] == ["faces/train/A/1.png"]


def test_every_fault_is_named_at_once_each_in_one_line(s3: str) -> None:
    server = f"http://127.0.0.1:{free_port()}"
    faults = find_faults(Requirements("s3://mine/nothing", "s3://theirs/checkpoints", server, on_cluster=True))
    assert [str(fault).split(":")[0] for fault in faults] == ["dataset s3", "checkpoints s3", "MLflow http"]
    assert "there is nothing" in str(faults[0]) and "there is no bucket theirs" in str(faults[1])
    assert "no answer (Connection refused)" in str(faults[2])
    assert not any("\n" in str(fault) for fault in faults)
    with pytest.raises(
        DualGANError, match=r"^3 faults before the start: dataset .* \| checkpoints .* \| MLflow "
    ) as raised:
        require_none(faults)
    assert not isinstance(raised.value, BadInput), "an MLflow that is away is no wrong input"
    with pytest.raises(BadInput, match=r"^2 faults before the start"):
        require_none(faults[:2])


def test_an_s3_that_is_away_is_named_with_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (S3_KEYS | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}).items():
        monkeypatch.setenv(name, value)
    (fault,) = map(str, find_faults(Requirements("synthetic", "s3://mine/checkpoints")))
    assert fault.startswith("checkpoints s3://mine/checkpoints: ") and "AWS_ENDPOINT_URL" in fault


def test_a_download_is_asked_for_one_byte(archive: str) -> None:
    assert find_faults(Requirements(archive)) == []
    (fault,) = map(str, find_faults(Requirements(archive.replace("faces", "houses"))))
    assert fault.startswith(f"dataset {archive.replace('faces', 'houses')}: the server answers 404")
    (fault,) = map(str, find_faults(Requirements(f"http://user:secret@127.0.0.1:{free_port()}/faces.zip")))
    assert "no answer (ConnectionError)" in fault and "secret" not in fault


def test_on_a_cluster_a_store_that_only_the_pod_sees_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert find_faults(Requirements("synthetic")) == []
    (fault,) = map(str, find_faults(Requirements("synthetic", on_cluster=True)))
    assert "set MLFLOW_TRACKING_URI" in fault


def test_a_file_that_is_no_store_of_mlflow_is_a_fault_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database, but long enough to look like one")
    (fault,) = find_faults(Requirements("synthetic", tracking_uri=f"sqlite:///{tmp_path / 'notes.txt'}"))
    assert "notes.txt: no store of MLflow" in str(fault)
    assert find_faults(Requirements("synthetic", tracking_uri=f"sqlite:///{tmp_path / 'new.db'}")) == []


def test_the_first_task_fails_with_every_fault_each_on_a_line_of_its_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(DualGANError, match=r"^2 faults before the start"):
        preflight("absent-folder", "", "", "")
    lines = [line for line in capsys.readouterr().out.splitlines() if "preflight: " in line]
    assert len(lines) == 2
    for line, named in zip(lines, ("absent-folder", "MLFLOW_TRACKING_URI"), strict=True):
        assert named in line
