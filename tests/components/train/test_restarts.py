"""A trainer that dies is started again where it stopped, a few times; one that says why it cannot go on is not."""

from pathlib import Path

import pytest

from components.tracking.placement import Placement
from components.train import trainer_process
from components.train.leg import LegSettings
from components.train.train import train
from dualgan.errors import BadInput, DualGANError
from dualgan.run_folder import RunFolder, is_training_step, read_events, read_json
from tests.components.dataset.made import make_dataset
from tests.components.train.killing import killed_at

STEPS = 100
TINY = {"image_size": 32, "gcn": 2, "dcn": 2, "threads": 1, "sample_images": 1, "save_freq": 10, "max_steps": STEPS}
LEG = LegSettings("cpu-tf2", "tf2", "cpu", "candidate", {}, TINY)
NOWHERE = Placement(tracking_uri="http://127.0.0.1:9", pipeline_run_id="p")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return make_dataset(tmp_path / "source")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_process, "FIRST_PAUSE_SECONDS", 0.1)


def weights(run: Path) -> dict[str, bytes]:
    last = max(RunFolder(run).checkpoints.iterdir())
    return {file.name: file.read_bytes() for file in last.iterdir() if file.name.startswith("model.")}


@pytest.mark.stress
def test_killed_three_times_of_three_retries_it_ends_with_bit_identical_weights(
    tmp_path: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    train(LEG, dataset, calm, placement=NOWHERE, cache=tmp_path / "cache")
    capsys.readouterr()
    with killed_at((15, 35, 55)) as processes:
        summary = train(LEG, dataset, killed, placement=NOWHERE, cache=tmp_path / "cache", retries=3)
    assert len(processes) == 3
    assert summary["status"] == "finished" and summary["steps"] == STEPS
    assert weights(killed) == weights(calm)
    for run in (calm, killed):
        steps = [event["step"] for event in read_events(RunFolder(run).events) if is_training_step(event)]
        assert steps == list(range(1, STEPS + 1))
    restarts = [line for line in capsys.readouterr().out.splitlines() if "killed by SIGKILL, out of memory?" in line]
    assert [line[-8:] for line in restarts] == ["(2 of 4)", "(3 of 4)", "(4 of 4)"]
    assert "goes on from step " in restarts[0]


def test_killed_once_more_it_fails_and_says_what_killed_it(tmp_path: Path, dataset: Path) -> None:
    run = tmp_path / "run"
    with (
        pytest.raises(DualGANError, match=r"leg cpu-tf2: killed by SIGKILL, out of memory\? \(try 4 of 4\)"),
        killed_at((0, 0, 0, 0)) as processes,
    ):
        train(LEG, dataset, run, placement=NOWHERE, cache=tmp_path / "cache", retries=3)
    assert len(processes) == 4


def starts(run: Path) -> list[str]:
    return [
        event["type"] for event in read_events(RunFolder(run).events) if event.get("type") in ("started", "resumed")
    ]


def test_a_loss_that_is_not_finite_is_not_tried_again_for_it_would_come_again(tmp_path: Path, dataset: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(DualGANError, match="loss is not finite"):
        train(LEG, dataset, run, overrides={"lambda_A": 1e38, "lr": 1e30}, placement=NOWHERE, retries=3)
    assert starts(run) == ["started"]
    assert read_json(RunFolder(run).summary)["status"] == "failed"


def test_bad_input_is_not_tried_again(
    tmp_path: Path, dataset: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer_process, "FIRST_PAUSE_SECONDS", 1e6)
    with pytest.raises(BadInput, match="sees no GPU"):
        train(LegSettings("gpu", "tf2", "gpu", "candidate", {}, TINY), dataset, tmp_path / "run", retries=3)
    assert "goes on" not in capsys.readouterr().out
