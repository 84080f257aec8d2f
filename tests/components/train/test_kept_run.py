"""Checkpoints in S3: the next try of a training that lost its machine goes on where they end."""

from pathlib import Path

import pytest
from mypy_boto3_s3 import S3Client

from components.dataset.options import TransferOptions as Patience
from components.train.kept_run import KeptRun, keep_in_s3
from dualgan.errors import BadInput
from tests.components.dataset.conftest import BUCKET, s3, s3_server  # noqa: F401 - fixtures

ADDRESS = f"s3://{BUCKET}/kept/run-1/npu-seed-0"


def checkpointed(run: Path, step: int) -> None:
    """What a trainer has written when its checkpoint of ``step`` is whole."""
    folder = run / "checkpoint" / f"step-{step:06d}"
    folder.mkdir(parents=True)
    (folder / "model.index").write_text(f"weights of step {step}")
    (folder / "checkpoint.json").write_text('{"step": 1}')
    (run / "options.json").write_text("{}")
    (run / "events.jsonl").write_text(f"events until {step}\n")


def keys(s3: S3Client) -> set[str]:  # noqa: F811
    return {entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET).get("Contents", ())}


def interrupted(run: Path, address: str, *steps: int) -> None:
    """A training that lost its machine after checkpoints at ``steps``."""
    with pytest.raises(RuntimeError, match="node lost"), keep_in_s3(run, address, print):
        for step in steps:
            checkpointed(run, step)
        raise RuntimeError("node lost")


def test_another_machine_gets_the_newest_checkpoint_and_the_events_before_it(s3: S3Client, tmp_path: Path) -> None:  # noqa: F811
    interrupted(tmp_path / "first" / "run", ADDRESS, 100, 200)
    said: list[str] = []
    second = tmp_path / "second" / "run"
    with keep_in_s3(second, ADDRESS, said.append):
        assert (second / "checkpoint/step-000200/model.index").read_text() == "weights of step 200"
        assert (second / "events.jsonl").read_text() == "events until 200\n"
    assert said == [f"goes on from step-000200, kept in {ADDRESS}"]


def test_only_the_newest_is_kept_and_a_finished_run_leaves_nothing(s3: S3Client, tmp_path: Path) -> None:  # noqa: F811
    run = tmp_path / "run"
    kept = KeptRun(run, ADDRESS)
    checkpointed(run, 100)
    assert kept.keep() == "step-000100" and kept.keep() is None
    checkpointed(run, 200)
    kept.keep()
    assert {key.split("/")[3] for key in keys(s3)} == {"latest.json", "step-000200"}
    with keep_in_s3(run, ADDRESS, print):
        pass
    assert keys(s3) == set()


def test_a_copy_that_broke_off_leaves_the_one_before(
    s3: S3Client,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = tmp_path / "run"
    kept = KeptRun(run, ADDRESS)
    checkpointed(run, 100)
    kept.keep()
    checkpointed(run, 200)
    upload = kept._s3.upload_file

    def breaks_off(file: str, bucket: str, key: str) -> None:
        if key.endswith("step-000200/checkpoint/step-000200/model.index"):
            raise ConnectionResetError
        upload(file, bucket, key)

    monkeypatch.setattr(kept._s3, "upload_file", breaks_off)
    with pytest.raises(OSError):
        kept.keep()
    assert KeptRun(tmp_path / "other", ADDRESS).restore() == "step-000100"


def test_a_run_folder_that_has_checkpoints_is_left_alone(s3: S3Client, tmp_path: Path) -> None:  # noqa: F811
    interrupted(tmp_path / "first", ADDRESS, 100)
    checkpointed(tmp_path / "second", 50)
    assert KeptRun(tmp_path / "second", ADDRESS).restore() is None


def test_what_cannot_be_looked_for_is_said_at_the_start(s3: S3Client, tmp_path: Path) -> None:  # noqa: F811
    with pytest.raises(BadInput, match="there is no bucket absent"), keep_in_s3(tmp_path, "s3://absent/x", print):
        pytest.fail("the training began")


def test_what_cannot_be_kept_stops_no_training(
    s3: S3Client,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("components.train.kept_run.Patience", lambda: Patience(retries=0))
    said: list[str] = []
    with keep_in_s3(tmp_path / "run", ADDRESS, said.append):
        checkpointed(tmp_path / "run", 100)
        monkeypatch.setattr(
            "components.train.kept_run.KeptRun.forget", lambda _: (_ for _ in ()).throw(OSError("full"))
        )
    assert said == ["the checkpoint is not kept: full"]
