"""A user's mistakes: one line that names them, exit code 2, and nothing left behind."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from components.train.runtimes import python_of, trainer_environment
from dualgan.dataset_folder import content_digest
from dualgan.run_folder import write_json
from tests.components.dualgan.trainer import SMALL, Trainer, on_one_runtime

TRAINER = Trainer(python_of("tf2"), trainer_environment({}), in_process=True)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--image_size", "48"), "--image_size 48: must be a power of two from 32"),
        (("--image_size", "16"), "--image_size 16: must be a power of two from 32"),
        (("--image_size", str(2**40)), f"--image_size {2**40}: must be a power of two from 32 to 8192"),
        (("--gcn", str(2**40)), f"--gcn {2**40}: must be in [1, 4096]"),
        (("--dropout_rate", "1"), "--dropout_rate 1.0: must be in [0, 1)"),
        (("--lr", "0"), "--lr 0.0: must be a positive number"),
        (("--batch_size", "99"), "--batch_size 99: more than the dataset has (6 images of A, 7 of B)"),
        (("--device", "gpu"), "--device gpu: TensorFlow"),
        (("--device", "npu"), "--device npu: no npu_bridge"),
    ],
)
def test_a_wrong_option_is_named(tmp_path: Path, dataset: Path, options: tuple[str, ...], named: str) -> None:
    refused(TRAINER, tmp_path / "run", dataset, named, *SMALL, *options)


def without_train_A(dataset: Path) -> None:
    shutil.rmtree(dataset / "train" / "A")


def with_a_changed_image(dataset: Path) -> None:
    description = {"name": "d", "source": "s", "counts": {}, "digest": content_digest(dataset)}
    write_json(dataset / "dataset.json", description)
    shutil.copy(dataset / "train/A/0.png", dataset / "train/A/1.png")


def with_an_unreadable_image(dataset: Path) -> None:
    (dataset / "train" / "B" / "3.png").write_bytes(b"no image")


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (without_train_A, ": no folder train/A"),
        (with_a_changed_image, ": its images have changed since dataset.json was written"),
        (with_an_unreadable_image, "/train/B/3.png: not a readable image"),
    ],
)
def test_a_damaged_dataset_is_named(tmp_path: Path, dataset: Path, damage: Callable[[Path], None], named: str) -> None:
    copy = shutil.copytree(dataset, tmp_path / "copy")
    damage(copy)
    refused(TRAINER, tmp_path / "run", copy, f"{copy}{named}", *SMALL)
    assert not list((tmp_path / "cache").glob("*.tmp"))


@on_one_runtime
def test_sampling_into_a_folder_of_something_else_is_refused(
    tmp_path: Path, train: Callable[..., object], trainer: Trainer
) -> None:
    run, photos = tmp_path / "run", tmp_path / "photos"
    train(run, "--max_steps", "1", "--sample_images", "1")
    photos.mkdir()
    (photos / "holiday.jpg").write_text("precious")
    for output in (photos, run):
        answer = trainer("sample", "--run_dir", str(run), "--output", str(output))
        assert answer.returncode == 2 and "no sample; name an empty or new folder" in answer.stderr
    assert (photos / "holiday.jpg").read_text() == "precious" and (run / "checkpoint").is_dir()
    assert trainer("sample", "--run_dir", str(run), "--output", str(tmp_path / "new"), "--count", "1").returncode == 0
    assert len(list((tmp_path / "new").iterdir())) == 6


@on_one_runtime
def test_a_run_folder_of_other_options_is_refused_by_their_names(
    tmp_path: Path, dataset: Path, train: Callable[..., object], trainer: Trainer
) -> None:
    run = tmp_path / "run"
    train(run, "--max_steps", "1")
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    answer = trainer(
        "train", "--data_dir", str(dataset), "--run_dir", str(run), *SMALL, "--max_steps", "1", "--lr", "0.1"
    )
    assert answer.returncode == 2
    assert "lr: 5e-05 -> 0.1" in answer.stderr.splitlines()[-1]
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def refused(trainer: Trainer, run: Path, dataset: Path, named: str, *options: str) -> None:
    cache = ("--cache_dir", str(run.parent / "cache"))
    answer = trainer("train", "--data_dir", str(dataset), "--run_dir", str(run), *cache, *options)
    lines = [line for line in answer.stderr.splitlines() if line.startswith("error: ")]
    assert answer.returncode == 2, answer.stderr
    assert len(lines) == 1 and named in lines[0]
    assert "Traceback" not in answer.stderr
    assert not run.exists()
