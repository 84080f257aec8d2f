"""The train step: what it says of a trainer that fails, when one is started again, and that MLflow never fails it."""

import json
from pathlib import Path

import pytest

from components.tracking.target import TrackingTarget
from components.train import train as train_step
from components.train.leg import LegSettings
from components.train.train import newest_step, train
from dualgan.errors import BadInput, DualGANError
from dualgan.run_folder import RunFolder, is_training_step, read_events, read_json
from tests.components.dataset.made import make_dataset
from tests.components.train.killing import killed_at

STEPS = 100
TINY = {"image_size": 32, "gcn": 2, "dcn": 2, "threads": 1, "sample_images": 1, "save_freq": 10}
LEG = LegSettings("cpu-tf2", "tf2", "cpu", "candidate", {}, TINY)
NOWHERE = TrackingTarget(tracking_uri="http://127.0.0.1:9", pipeline_run_id="p")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return make_dataset(tmp_path / "source")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_step, "FIRST_PAUSE_SECONDS", 0.1)


def event_types(run: Path) -> list[str]:
    return [event["type"] for event in read_events(RunFolder(run).events) if "type" in event]


def test_the_newest_step_is_read_from_the_end_of_a_long_file(tmp_path: Path) -> None:
    assert newest_step(tmp_path) is None
    lines = [json.dumps({"step": step, "metrics": {"A_loss": 1.0}}) for step in range(1, 5001)]
    lines += [json.dumps({"type": "sample", "step": 5000}), '{"step": 5001, "met']
    RunFolder(tmp_path).events.write_text("\n".join(lines))
    found = newest_step(tmp_path)
    assert found and found["step"] == 5000


def test_a_leg_is_trained_though_mlflow_is_down(tmp_path: Path, dataset: Path) -> None:
    run = tmp_path / "run"
    summary = train(LEG, dataset, run, overrides={"max_steps": 3}, seed=7, target=NOWHERE, cache=tmp_path / "cache")
    assert summary["status"] == "finished" and summary["steps"] == 3
    recorded = read_json(RunFolder(run).options)
    assert recorded["options"]["seed"] == 7 and recorded["options"]["image_size"] == 32


def test_a_loss_that_is_not_finite_is_not_tried_again_for_it_would_come_again(tmp_path: Path, dataset: Path) -> None:
    run, too_fast = tmp_path / "run", {"lambda_A": 1e38, "lr": 1e30}
    with pytest.raises(DualGANError, match=r"leg cpu-tf2: step \d+: loss is not finite .*g_loss=nan") as failure:
        train(LEG, dataset, run, overrides=too_fast, target=NOWHERE, retries=3)
    assert not isinstance(failure.value, BadInput)
    assert [kind for kind in event_types(run) if kind in ("started", "resumed")] == ["started"]
    assert read_json(RunFolder(run).summary)["status"] == "failed"


def test_what_libraries_print_and_say_after_the_error_does_not_hide_it(
    tmp_path: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho libascend: loaded\necho error: no card >&2\necho closed >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setenv("DUALGAN_TF1_PYTHON", str(python))
    leg = LegSettings("npu", "tf1", "npu", "candidate", {}, TINY)
    with pytest.raises(DualGANError, match=r"^leg npu: no card$"):
        train(leg, dataset, tmp_path / "run", target=NOWHERE)
    assert "libascend: loaded" in capsys.readouterr().out


def test_a_device_that_is_not_there_is_bad_input_and_not_tried_again(
    tmp_path: Path, dataset: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_step, "FIRST_PAUSE_SECONDS", 1e6)
    leg = LegSettings("gpu", "tf2", "gpu", "candidate", {}, TINY)
    with pytest.raises(BadInput, match=r"leg gpu: --device gpu: TensorFlow .* sees no GPU"):
        train(leg, dataset, tmp_path / "run", target=NOWHERE, retries=3)
    assert "goes on" not in capsys.readouterr().out and not (tmp_path / "run").exists()


def test_a_trainer_that_dies_more_often_than_it_is_retried_fails_and_says_what_killed_it(
    tmp_path: Path, dataset: Path
) -> None:
    with (
        pytest.raises(DualGANError, match=r"leg cpu-tf2: killed by SIGKILL, out of memory\? \(try 2 of 2\)"),
        killed_at((0, 0)) as processes,
    ):
        train(LEG, dataset, tmp_path / "run", target=NOWHERE, retries=1)
    assert len(processes) == 2


@pytest.mark.stress
def test_killed_three_times_of_three_retries_it_ends_with_bit_identical_weights(
    tmp_path: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    steps, cache = {"max_steps": STEPS}, tmp_path / "cache"
    train(LEG, dataset, calm, overrides=steps, target=NOWHERE, cache=cache)
    capsys.readouterr()
    with killed_at((15, 35, 55)) as processes:
        summary = train(LEG, dataset, killed, overrides=steps, target=NOWHERE, cache=cache, retries=3)
    assert len(processes) == 3
    assert summary["status"] == "finished" and summary["steps"] == STEPS
    weights = [
        {file.name: file.read_bytes() for file in max(RunFolder(run).checkpoints.iterdir()).glob("model.*")}
        for run in (calm, killed)
    ]
    assert weights[0] == weights[1]
    for run in (calm, killed):
        done = [event["step"] for event in read_events(RunFolder(run).events) if is_training_step(event)]
        assert done == list(range(1, STEPS + 1))
    restarts = [line for line in capsys.readouterr().out.splitlines() if "killed by SIGKILL, out of memory?" in line]
    assert [line[-8:] for line in restarts] == ["(2 of 4)", "(3 of 4)", "(4 of 4)"]
    assert "goes on from step " in restarts[0]
