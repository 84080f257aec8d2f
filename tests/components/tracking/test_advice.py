"""Advice in a log names what its reader can reach."""

from pathlib import Path

import pytest

from components.tracking.follower import LiveTracking
from components.tracking.placement import Placement
from components.tracking.reasons import artifact_address, how_to_send
from tests.components.tracking.folders import finished_run
from tests.services import free_port


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("/minio/mlpipeline/v2/p/run/train/0f/records", "minio://mlpipeline/v2/p/run/train/0f/records"),
        ("/s3/bucket/kfp/p/run/train/0f/records", "s3://bucket/kfp/p/run/train/0f/records"),
        ("/gcs/bucket/records", "gs://bucket/records"),
        ("/home/me/runs/gpu", None),
        ("runs/s3/gpu", None),
    ],
)
def test_what_lies_in_a_pod_has_the_address_of_its_artifact(path: str, address: str | None) -> None:
    assert artifact_address(Path(path)) == address
    assert (address or f"parity sync {path}`") in how_to_send(Path(path))
    # A folder of a pod is gone with it.
    assert address is None or path not in how_to_send(Path(path))


def test_live_tracking_that_sent_not_all_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.tracking.reasons.ARTIFACT_FOLDERS", {f"{tmp_path}/": "s3://"})
    said: list[str] = []
    folder = finished_run(tmp_path / "bucket" / "records")
    place = Placement(f"http://127.0.0.1:{free_port()}", pipeline_run_id="away", leg="npu")
    with LiveTracking(folder, place, interval=60, report=said.append):
        pass
    assert said[-1].endswith("; the pipeline's last task sends it, from s3://bucket/records")
    assert not [line for line in said if str(tmp_path) in line]
