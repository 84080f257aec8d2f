"""A training run from the command line, on each runtime: what it leaves behind, and how it stops and goes on."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dualgan.errors import EXIT_INTERRUPTED
from dualgan.run_folder import LOSS_METRICS, SAMPLE_KINDS, RunFolder, read_events, read_json, read_samples
from tests.components.dualgan.trainer import SMALL, Trainer, checkpoint_bytes, event_types, losses_of

STEPS = 14


@pytest.fixture
def finished(tmp_path: Path, train: Callable[..., object]) -> RunFolder:
    """A run of 14 steps with a checkpoint every 5."""
    train(tmp_path / "run", "--max_steps", str(STEPS), "--save_freq", "5", "--sample_images", "2")
    return RunFolder(tmp_path / "run")


def test_a_run_leaves_a_complete_run_folder(finished: RunFolder) -> None:
    steps = losses_of(finished.path)
    assert [step for step, _, _ in steps] == list(range(1, STEPS + 1))
    assert [epoch for _, epoch, _ in steps] == [0] * 6 + [1] * 6 + [2] * 2
    assert all(set(metrics) == set(LOSS_METRICS) for _, _, metrics in steps)
    assert event_types(finished.path)[0] == "started" and "finished" in event_types(finished.path)

    options = read_json(finished.options)
    assert options["options"]["max_steps"] == STEPS and options["options"]["seed"] == 0
    assert options["environment"]["device"]["kind"] == "cpu"
    assert len(options["dataset"]["digest"]) == 64

    samples = read_samples(finished.samples_of(STEPS))
    assert [(sample.image, sample.kind) for sample in samples] == [
        (image, kind) for image in ("0", "1") for kind in SAMPLE_KINDS
    ]

    summary = read_json(finished.summary)
    assert summary["status"] == "finished" and summary["steps"] == STEPS
    assert summary["min_loss"] == min(metrics["A_loss"] for _, _, metrics in steps)
    assert 0 < summary["sec_per_step"] <= summary["sec_per_step_p95"]
    assert sorted(path.name for path in finished.checkpoints.iterdir()) == [
        "step-000005",
        "step-000010",
        "step-000014",
    ]


def test_the_same_command_leaves_a_finished_run_as_it_is(finished: RunFolder, train: Callable[..., object]) -> None:
    before = finished.events.read_bytes()
    train(finished.path, "--max_steps", str(STEPS), "--save_freq", "5", "--sample_images", "2")
    assert finished.events.read_bytes() == before


def test_a_run_that_is_killed_ends_bit_identical_to_one_that_was_not(
    finished: RunFolder, trainer: Trainer, dataset: Path, tmp_path: Path
) -> None:
    run = tmp_path / "killed"
    command = train_command(dataset, run, save_freq=5)
    process = trainer.start(*command)
    wait_for_step(run, 7)
    process.kill()
    process.wait()
    assert not RunFolder(run).summary.exists()

    assert trainer(*command).returncode == 0

    assert "resumed" in event_types(run)
    assert losses_of(run) == losses_of(finished.path)
    assert checkpoint_bytes(run, STEPS) == checkpoint_bytes(finished.path, STEPS)


def test_a_termination_signal_saves_and_the_same_command_goes_on(
    finished: RunFolder, trainer: Trainer, dataset: Path, tmp_path: Path
) -> None:
    run = tmp_path / "stopped"
    command = train_command(dataset, run, save_freq=0)
    process = trainer.start(*command)
    wait_for_step(run, 2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == EXIT_INTERRUPTED
    stopped_at = losses_of(run)[-1][0]
    assert stopped_at < STEPS and read_json(RunFolder(run).summary)["status"] == "interrupted"
    assert (RunFolder(run).checkpoints / f"step-{stopped_at:06d}").is_dir()

    assert trainer(*command).returncode == 0

    assert losses_of(run) == losses_of(finished.path)
    assert checkpoint_bytes(run, STEPS) == checkpoint_bytes(finished.path, STEPS)


def test_a_corrupt_newest_checkpoint_falls_back_to_the_one_before(
    finished: RunFolder, train: Callable[..., object]
) -> None:
    weights, losses = checkpoint_bytes(finished.path, STEPS), losses_of(finished.path)
    (newest,) = (finished.checkpoints / f"step-{STEPS:06d}").glob("model.data-*")
    newest.write_bytes(newest.read_bytes()[:1000])
    finished.summary.unlink()

    train(finished.path, "--max_steps", str(STEPS), "--save_freq", "5", "--sample_images", "2")

    resumed = [event for event in read_events(finished.events) if event.get("type") == "resumed"]
    assert resumed[-1]["step"] == 10 and f"step-{STEPS:06d}" in resumed[-1]["problems"][0]
    assert losses_of(finished.path) == losses
    assert checkpoint_bytes(finished.path, STEPS) == weights
    assert (finished.checkpoints / f"unreadable-step-{STEPS:06d}").is_dir()


def train_command(dataset: Path, run: Path, save_freq: int) -> list[str]:
    folders = ["--data_dir", str(dataset), "--run_dir", str(run), "--cache_dir", str(run.parent / "cache")]
    return ["train", *folders, *SMALL, "--max_steps", str(STEPS), "--save_freq", str(save_freq)]


def wait_for_step(run: Path, step: int) -> None:
    deadline = time.monotonic() + 120
    events = RunFolder(run).events
    while time.monotonic() < deadline:
        if events.is_file() and any(number >= step for number, _, _ in losses_of(run)):
            return
        time.sleep(0.002)
    raise AssertionError(f"{run}: no step {step} within two minutes")
