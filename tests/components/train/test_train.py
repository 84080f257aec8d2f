"""The train step: what it says of a trainer that fails, and that MLflow never makes it fail."""

import json
from pathlib import Path

import pytest

from components.tracking.placement import Placement
from components.train.leg import LegSettings
from components.train.train import train
from components.train.trainer_process import newest_step
from dualgan.errors import BadInput, DualGANError
from dualgan.run_folder import RunFolder, read_json
from tests.components.dataset.made import make_dataset

TINY = {"image_size": 32, "gcn": 2, "dcn": 2, "sample_images": 1}
LEG = LegSettings("cpu-tf2", "tf2", "cpu", "candidate", {}, TINY)


def test_the_newest_step_is_read_from_the_end_of_a_long_file(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    assert newest_step(events) is None
    lines = [json.dumps({"step": step, "metrics": {"A_loss": 1.0}}) for step in range(1, 5001)]
    events.write_text("\n".join([*lines, json.dumps({"type": "sample", "step": 5000}), '{"step": 5001, "met']))
    found = newest_step(events)
    assert found and found["step"] == 5000


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return make_dataset(tmp_path / "source")


def test_a_leg_is_trained_though_mlflow_is_down(tmp_path: Path, dataset: Path) -> None:
    nowhere = Placement(tracking_uri="http://127.0.0.1:9", pipeline_run_id="p")
    summary = train(
        LEG, dataset, tmp_path / "run", overrides={"max_steps": 3}, seed=7, placement=nowhere, cache=tmp_path / "cache"
    )
    assert summary["status"] == "finished" and summary["steps"] == 3
    recorded = read_json(RunFolder(tmp_path / "run").options)
    assert recorded["options"]["seed"] == 7 and recorded["options"]["image_size"] == 32


def test_the_trainer_s_own_words_say_why_it_failed(tmp_path: Path, dataset: Path) -> None:
    store = Placement(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    with pytest.raises(DualGANError, match=r"leg cpu-tf2: step \d+: loss is not finite .*g_loss=nan") as failure:
        train(LEG, dataset, tmp_path / "run", overrides={"lambda_A": 1e38, "lr": 1e30}, placement=store)
    assert not isinstance(failure.value, BadInput)
    assert read_json(RunFolder(tmp_path / "run").summary)["status"] == "failed"


def test_what_libraries_print_and_say_after_the_error_does_not_hide_it(
    tmp_path: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho libascend: loaded\necho error: no card >&2\necho closed >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setenv("DUALGAN_TF1_PYTHON", str(python))
    leg = LegSettings("npu", "tf1", "npu", "candidate", {}, TINY)
    with pytest.raises(DualGANError, match=r"^leg npu: no card$"):
        train(leg, dataset, tmp_path / "run", placement=Placement(tracking_uri="http://127.0.0.1:9"))
    assert "libascend: loaded" in capsys.readouterr().out


def test_a_device_that_is_not_there_is_bad_input(tmp_path: Path, dataset: Path) -> None:
    leg = LegSettings("gpu", "tf2", "gpu", "candidate", {}, TINY)
    with pytest.raises(BadInput, match=r"leg gpu: --device gpu: TensorFlow .* sees no GPU"):
        train(leg, dataset, tmp_path / "run", placement=Placement(tracking_uri="http://127.0.0.1:9"))
    assert not (tmp_path / "run").exists()
