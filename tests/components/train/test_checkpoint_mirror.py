"""Checkpoints in S3: the next try of a training that lost its machine goes on where they end."""

from pathlib import Path

import pytest
from mypy_boto3_s3 import S3Client

from components.tracking.target import TrackingTarget
from components.train.checkpoint_mirror import CheckpointMirror, delete_mirror, mirrored, training_uri
from components.train.leg import LegSettings
from components.train.train import train
from dualgan.errors import BadInput, DualGANError
from dualgan.run_folder import is_training_step, read_events
from tests.components.dataset.conftest import BUCKET
from tests.components.dataset.made import make_dataset

ADDRESS = f"s3://{BUCKET}/checkpoints/run-1/npu-seed-0"


def checkpointed(run: Path, step: int) -> None:
    """What a trainer has written when its checkpoint of ``step`` is whole."""
    folder = run / "checkpoint" / f"step-{step:06d}"
    folder.mkdir(parents=True)
    (folder / "model.index").write_text(f"weights of step {step}")
    (folder / "checkpoint.json").write_text('{"step": 1}')
    (run / "options.json").write_text("{}")
    (run / "events.jsonl").write_text(f"events until {step}\n")


def keys(s3: S3Client) -> set[str]:
    return {entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET).get("Contents", ())}


def test_another_machine_gets_the_newest_checkpoint_and_the_events_before_it(s3: S3Client, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="node lost"), mirrored(tmp_path / "first" / "run", ADDRESS, print):
        for step in (100, 200):
            checkpointed(tmp_path / "first" / "run", step)
        raise RuntimeError("node lost")
    said: list[str] = []
    second = tmp_path / "second" / "run"
    with mirrored(second, ADDRESS, said.append):
        assert (second / "checkpoint/step-000200/model.index").read_text() == "weights of step 200"
        assert (second / "events.jsonl").read_text() == "events until 200\n"
    assert said == [f"goes on from step-000200, found in {ADDRESS}"]
    checkpointed(tmp_path / "third", 50)
    assert CheckpointMirror(tmp_path / "third", ADDRESS).restore() is None, "it has a checkpoint of its own"


def test_only_the_newest_is_there_and_it_stays_until_the_model_was_read(s3: S3Client, tmp_path: Path) -> None:
    run = tmp_path / "run"
    mirror = CheckpointMirror(run, ADDRESS)
    checkpointed(run, 100)
    assert mirror.upload() == "step-000100" and mirror.upload() is None
    checkpointed(run, 200)
    mirror.upload()
    assert {key.split("/")[3] for key in keys(s3)} == {"latest.json", "step-000200"}
    with mirrored(run, ADDRESS, print):
        checkpointed(run, 300)
    assert {key.split("/")[3] for key in keys(s3)} == {"latest.json", "step-000300"}
    delete_mirror(ADDRESS, print)
    assert keys(s3) == set()


def test_a_copy_that_broke_off_leaves_the_one_before(
    s3: S3Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    mirror = CheckpointMirror(run, ADDRESS)
    checkpointed(run, 100)
    mirror.upload()
    checkpointed(run, 200)
    upload = mirror._s3.upload_file

    def breaks_off(file: str, bucket: str, key: str) -> None:
        if key.endswith("step-000200/checkpoint/step-000200/model.index"):
            raise ConnectionResetError
        upload(file, bucket, key)

    monkeypatch.setattr(mirror._s3, "upload_file", breaks_off)
    with pytest.raises(OSError):
        mirror.upload()
    assert CheckpointMirror(tmp_path / "other", ADDRESS).restore() == "step-000100"


def test_what_cannot_be_looked_for_is_an_error_and_what_cannot_be_copied_or_deleted_is_reported(
    s3: S3Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    with pytest.raises(BadInput, match="there is no bucket absent"), mirrored(tmp_path, "s3://absent/x", print):
        pytest.fail("the training began")
    delete_mirror(None, said.append)
    delete_mirror("s3://absent/checkpoints/run-1/npu-seed-0", said.append)
    assert len(said) == 1 and "there is no bucket absent" in said.pop()
    with mirrored(tmp_path / "run", ADDRESS, said.append):
        checkpointed(tmp_path / "run", 100)
        monkeypatch.setattr(CheckpointMirror, "upload", lambda _: (_ for _ in ()).throw(OSError("full")))
    assert said == ["the checkpoint is not copied: full"]


@pytest.mark.system()
def test_after_a_failed_upload_of_the_artifacts_the_next_try_goes_on_from_the_last_step(
    s3: S3Client,
    tmp_path: Path,
) -> None:
    dataset, uri = make_dataset(tmp_path / "source"), training_uri(f"s3://{BUCKET}/checkpoints", "run-1", "npu", 0)
    leg = LegSettings("npu", "tf2", "cpu", "candidate", {}, {"image_size": 32, "gcn": 2, "dcn": 2, "max_steps": 6})
    target = TrackingTarget(tracking_uri="http://127.0.0.1:9", pipeline_run_id="run-1")
    trained = []
    for pod in (tmp_path / "first", tmp_path / "second"):
        # What the first pod wrote is lost with it: nothing of it was uploaded but the checkpoint.
        train(leg, dataset, pod / "records", model=pod / "model", target=target, cache=tmp_path, checkpoint_uri=uri)
        trained.append((pod / "model/checkpoint/step-000006/model.data-00000-of-00001").read_bytes())
    assert trained[0] == trained[1]
    events = list(read_events(tmp_path / "second/records/events.jsonl"))
    assert [event["step"] for event in events if event.get("type") == "resumed"] == [6]
    assert [event["step"] for event in events if is_training_step(event)] == [1, 2, 3, 4, 5, 6]
    pictures = [
        {path.name: path.read_bytes() for path in (pod / "records/samples/step-000006").iterdir()}
        for pod in (tmp_path / "first", tmp_path / "second")
    ]
    assert len(pictures[0]) == 2 * 6 and pictures[0] == pictures[1]
    delete_mirror(uri, print)
    assert keys(s3) == set()


@pytest.mark.parametrize(
    "note",
    [
        b"{",
        b"[]",
        b'{"checkpoint": 3, "files": []}',
        b'{"files": ["a"]}',
        *(
            f'{{"checkpoint": "step-000100", "files": ["{name}"]}}'.encode()
            for name in (".", "a/../../b", "/etc/x", "")
        ),
        b'{"checkpoint": "step-000100/..", "files": ["a"]}',
        b'{"checkpoint": "step-000100", "files": ["a"], "pictures": ["."]}',
    ],
)
def test_a_damaged_note_is_one_line_with_what_to_do(s3: S3Client, tmp_path: Path, note: bytes) -> None:
    s3.put_object(Bucket=BUCKET, Key=f"{ADDRESS.removeprefix(f's3://{BUCKET}/')}/latest.json", Body=note)
    with pytest.raises(DualGANError, match=r"latest\.json: names no checkpoint; delete it"):
        CheckpointMirror(tmp_path / "run", ADDRESS).restore()
