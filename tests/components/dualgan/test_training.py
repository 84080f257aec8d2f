"""A training run from the command line, on each runtime: what it leaves behind, and how it stops and goes on."""

import errno
import fcntl
import itertools
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from random import Random

import psutil
import pytest

from components.train.runtimes import trainer_environment
from dualgan.checkpoints import Checkpoints
from dualgan.errors import EXIT_INTERRUPTED, BadInput, DualGANError, Interrupted
from dualgan.options import TrainOptions, from_dict
from dualgan.run_folder import LOSS_METRICS, SAMPLE_KINDS, RunFolder, read_events, read_json, read_samples
from dualgan.tensorflow_v1 import operations_explained, tf
from dualgan.training import train as train_here
from tests.components.dualgan.trainer import (
    SMALL,
    Trainer,
    checkpoint_bytes,
    event_types,
    losses_of,
    tf1_in_the_system_tier,
)

STEPS = 14
ITS_OPTIONS = ("--max_steps", str(STEPS), "--save_freq", "5", "--sample_images", "2")


@pytest.fixture(scope="session")
def trained(trainer: Trainer, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("trained") / "run"
    folders = ("--data_dir", str(dataset), "--run_dir", str(run), "--cache_dir", str(run.with_name("cache")))
    answer = trainer("train", *folders, *SMALL, *ITS_OPTIONS)
    assert answer.returncode == 0, answer.stderr
    return run


@pytest.fixture
def finished(trained: Path, tmp_path: Path) -> RunFolder:
    """A run of 14 steps with a checkpoint every 5."""
    return RunFolder(Path(shutil.copytree(trained, tmp_path / "run")))


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

    samples = [sample[:2] for sample in read_samples(finished.samples_of(STEPS))]
    assert samples == [(image, kind) for image in ("0", "1") for kind in SAMPLE_KINDS]

    summary = read_json(finished.summary)
    assert summary["status"] == "finished" and summary["steps"] == STEPS
    assert summary["min_loss"] == min(metrics["A_loss"] for _, _, metrics in steps)
    assert 0 < summary["sec_per_step"] <= summary["sec_per_step_p95"]
    assert sorted(path.name for path in finished.checkpoints.iterdir()) == ["step-000005", "step-000010", "step-000014"]


def test_the_same_command_leaves_a_finished_run_as_it_is(finished: RunFolder, train: Callable[..., object]) -> None:
    before = finished.events.read_bytes()
    train(finished.path, *ITS_OPTIONS)
    assert finished.events.read_bytes() == before


@tf1_in_the_system_tier
def test_a_termination_signal_saves_and_the_same_command_goes_on(
    trainer: Trainer, train: Callable[..., object], dataset: Path, tmp_path: Path
) -> None:
    run = tmp_path / "stopped"
    process = trainer.start(*endless(dataset, run, save_freq=0))
    wait_until(last_step, run, 2)
    # A second one does not keep it from writing its end.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        process.send_signal(number)
        time.sleep(0.05)
    assert process.wait(60) == EXIT_INTERRUPTED
    assert process.stderr is not None
    (line,) = [line for line in process.stderr if line.startswith("error: ")]
    assert line.startswith("error: stopped by SIGTERM after step ")
    stopped_at = losses_of(run)[-1][0]
    summary = read_json(RunFolder(run).summary)
    assert summary["status"] == "interrupted" and summary["steps"] == stopped_at
    assert (RunFolder(run).checkpoints / f"step-{stopped_at:06d}").is_dir()
    assert_ends_like_an_uninterrupted_run(run, trainer, train, dataset)


@pytest.fixture
def options(dataset: Path, tmp_path: Path) -> TrainOptions:
    """Of a run of two steps, for training in this process."""
    sizes = {"image_size": 32, "gcn": 2, "dcn": 2, "sample_images": 1, "threads": 1, "max_steps": 2}
    folders = {"data_dir": str(dataset), "run_dir": str(tmp_path / "here"), "cache_dir": str(tmp_path / "cache")}
    return from_dict({**sizes, **folders})


def test_a_signal_before_the_first_step_is_recorded_and_the_same_command_goes_on(
    options: TrainOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(Path(options.run_dir))
    with monkeypatch.context() as changed:
        changed.setattr(Checkpoints, "restore_newest", lambda *_: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(Interrupted, match="stopped by SIGINT"):
            train_here(options)
    assert read_json(folder.summary)["status"] == "interrupted"
    assert train_here(options)["status"] == "finished"
    assert event_types(folder.path)[-1] == "finished"


def test_a_second_trainer_in_a_run_folder_is_refused_and_a_dead_one_s_lock_does_not_block(
    options: TrainOptions, tmp_path: Path
) -> None:
    folder = RunFolder(Path(options.run_dir))
    hold = (
        f"import pathlib, time, dualgan.run_folder as r\nwith r.RunFolder(pathlib.Path({options.run_dir!r})).locked():"
    )
    environment = trainer_environment({})
    with subprocess.Popen(
        [sys.executable, "-c", f"{hold}\n    print(1, flush=True); time.sleep(600)"], env=environment, stdout=-1
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == b"1\n"
        with pytest.raises(BadInput, match=rf"another trainer works in it \(process {other.pid} on "):
            train_here(options)
        other.kill()
    assert not folder.options.exists()
    assert train_here(options)["steps"] == 2


def test_a_file_system_without_locks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with RunFolder(tmp_path / "run").locked():
        pass
    assert "no lock can be had there (No locks available)" in capsys.readouterr().err


def test_a_full_disk_is_named_with_the_operation_and_in_the_summary(options: TrainOptions) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
    try:
        with pytest.raises(DualGANError) as caught:
            train_here(options)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(caught.value).startswith("TensorFlow: save/SaveV2: ") and "File too large" in str(caught.value)
    summary = read_json(RunFolder(Path(options.run_dir)).summary)
    assert summary["status"] == "failed" and summary["reason"] == str(caught.value)


OOM = "OOM when allocating tensor with shape[100000,100000] and type float on CPU:0 by allocator cpu"


@pytest.mark.parametrize(
    "message",
    [
        # TensorFlow 1.15, 2.21, 2.6 and newer with several causes.
        OOM + "\n\t [[node A_g_e1_conv/big (defined at ops.py:1748) ]]\nHint: If you want to see a list",
        "Graph execution error:\n\nDetected at node 'A_g_e1_conv/big' defined at (most recent call last):\n"
        f"    File \"x.py\", line 1, in f\nNode: 'A_g_e1_conv/big'\n{OOM}\n\t [[{{{{node A_g_e1_conv/big}}}}]]\n",
        f"2 root error(s) found.\n  (0) Resource exhausted:  {OOM}\n\t [[{{{{node A_g_e1_conv/big}}}}]]\n  (1) Other",
    ],
)
def test_memory_that_does_not_suffice_is_named_with_operation_and_shape(message: str) -> None:
    with pytest.raises(DualGANError) as caught, operations_explained():
        raise tf.errors.ResourceExhaustedError(None, None, message)
    assert str(caught.value) == f"TensorFlow: A_g_e1_conv/big: {OOM}"


@pytest.mark.system
def test_twenty_kills_at_random_moments_lose_and_double_nothing(
    trainer: Trainer, train: Callable[..., object], dataset: Path, tmp_path: Path
) -> None:
    run, random = tmp_path / "killed", Random(0)
    for _ in range(20):
        known = number_of_events(run)
        process = trainer.start(*endless(dataset, run, save_freq=4))
        if random.random() < 0.2:
            time.sleep(random.uniform(0, 4))
        else:
            wait_until(number_of_events, run, known + random.randint(1, 4))
            time.sleep(random.uniform(0, 0.02))
        process.kill()
        process.wait()
    assert_ends_like_an_uninterrupted_run(run, trainer, train, dataset)


@pytest.mark.stress
def test_memory_stays_level_over_ten_thousand_steps(trainer: Trainer, dataset: Path, tmp_path: Path) -> None:
    options = ("--sample_freq", "500", "--log_freq", "1000")
    process = trainer.start(*endless(dataset, tmp_path / "run", save_freq=500), *options)
    lines = (line for line in process.stdout or () if line.startswith("step "))
    resident = [psutil.Process(process.pid).memory_info().rss for _ in itertools.islice(lines, 10)]
    process.kill()
    process.communicate()
    # The heap of TensorFlow 1.15 grows in jumps, up to 48 MB in runs that were watched; a leak grows all the time.
    level = resident[1:]
    assert len(level) == 9 and max(level) - level[0] < 48 * 2**20, f"bytes: {resident}"
    assert min(after - before for before, after in pairwise(level)) < 2**20, f"bytes: {resident}"


@pytest.mark.system
def test_a_training_of_full_size_takes_three_gibibytes_at_most(trainer: Trainer, dataset: Path, tmp_path: Path) -> None:
    folders = ("--data_dir", str(dataset), "--run_dir", str(tmp_path / "run"), "--cache_dir", str(tmp_path / "cache"))
    process = trainer.start("train", *folders, "--max_steps", "4", "--save_freq", "2", "--sample_freq", "2")
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    # Weights and the optimisers' slots are 0.83 GB; while they are set, or in a step as gradients and products, they
    # are there nearly twice. TensorFlow and the graph take up to 0.6 GB; the rest is activations, and what the heap
    # has in pieces. Measured were 2.3 GB and 2.8 GB.
    assert read_json(tmp_path / "run" / "summary.json")["peak_memory_bytes"] < 3 * 2**30


@tf1_in_the_system_tier
def test_a_corrupt_newest_checkpoint_falls_back_to_the_one_before(
    finished: RunFolder, train: Callable[..., object]
) -> None:
    weights, losses = checkpoint_bytes(finished.path, STEPS), losses_of(finished.path)
    (newest,) = (finished.checkpoints / f"step-{STEPS:06d}").glob("model.data-*")
    newest.write_bytes(newest.read_bytes()[:1000])
    finished.summary.unlink()

    train(finished.path, *ITS_OPTIONS)

    resumed = [event for event in read_events(finished.events) if event.get("type") == "resumed"]
    assert resumed[-1]["step"] == 10 and f"step-{STEPS:06d}" in resumed[-1]["problems"][0]
    assert losses_of(finished.path) == losses
    assert checkpoint_bytes(finished.path, STEPS) == weights
    assert (finished.checkpoints / f"unreadable-step-{STEPS:06d}").is_dir()


def test_phase_test_translates_the_validation_images(finished: RunFolder, train: Callable[..., object]) -> None:
    train(finished.path, "--phase", "test")
    assert len(read_samples(finished.path / "test")) == 2 * len(SAMPLE_KINDS)


def endless(dataset: Path, run: Path, save_freq: int) -> list[str]:
    """A command whose run does not end before it is stopped."""
    folders = ["--data_dir", str(dataset), "--run_dir", str(run), "--cache_dir", str(run.parent / "cache")]
    # A line of progress now and then: nobody reads the pipe.
    return ["train", *folders, *SMALL, "--train_epochs", "1000000", "--save_freq", str(save_freq)]


def assert_ends_like_an_uninterrupted_run(
    run: Path, trainer: Trainer, train: Callable[..., object], dataset: Path
) -> None:
    """Let ``run`` do a few steps more, to an end, and compare it with a run of as many steps that nothing stopped."""
    last = losses_of(run)[-1][0] + 3
    finished = trainer(*endless(dataset, run, save_freq=5), "--max_steps", str(last))
    assert finished.returncode == 0, finished.stderr
    whole = run.with_name("whole")
    train(whole, "--train_epochs", "1000000", "--max_steps", str(last), "--save_freq", "0")
    assert [step for step, _, _ in losses_of(run)] == list(range(1, last + 1))
    assert losses_of(run) == losses_of(whole)
    assert checkpoint_bytes(run, last) == checkpoint_bytes(whole, last)


def number_of_events(run: Path) -> int:
    events = RunFolder(run).events
    return events.read_bytes().count(b"\n") if events.is_file() else 0


def last_step(run: Path) -> int:
    return max([step for step, _, _ in losses_of(run)], default=0) if RunFolder(run).events.is_file() else 0


def wait_until(number: Callable[[Path], int], run: Path, least: int) -> None:
    deadline = time.monotonic() + 180
    while number(run) < least:
        assert time.monotonic() < deadline, "not within three minutes"
        time.sleep(0.005)
