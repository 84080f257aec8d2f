import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.components.dataset.made import everything_below, make_dataset, make_image


def dataset_command(*arguments: str, python: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *python, "-m", "components.dataset", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_fetch_prints_what_it_made_and_info_confirms_it(tmp_path: Path) -> None:
    made = dataset_command("fetch", "synthetic://?n=1&size=32", str(tmp_path / "data"))
    assert made.returncode == 0, made.stderr
    assert "images  train/A 1, train/B 1, val/A 8, val/B 8\n" in made.stdout
    said = dataset_command("info", str(tmp_path / "data"))
    assert said.returncode == 0
    assert made.stdout == "drawing 18 images\n" + said.stdout
    make_image(tmp_path / "data" / "train" / "A" / "0000.png")
    changed = dataset_command("info", str(tmp_path / "data"))
    assert changed.returncode == 1
    assert changed.stderr.startswith("error: ")
    assert "images have changed" in changed.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("fetch", "facade", "{}/data"),
        ("fetch", "synthetic://?n=x", "{}/data"),
        ("fetch", "{}/unreadable", "{}/data"),
        ("fetch", "{}/incomplete", "{}/data"),
        ("fetch", "synthetic"),
        ("fetch", "s3://", "{}/data"),
        ("fetch", "synthetic", "{}/data", "--sha256", "abc"),
        ("fetch", "synthetic", "{}/data", "--max-size", "much"),
        ("fetch", "synthetic", "{}/data", "--idle-timeout", "0"),
        ("mirror", "synthetic", "{}/not-s3"),
        ("mirror", "facade", "s3://team/facades"),
        ("verify", "{}/incomplete"),
        ("info", "{}/incomplete"),
        ("info", "{}/missing"),
        ("frobnicate",),
        (),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    make_dataset(tmp_path / "incomplete", ("train/A",))
    make_dataset(tmp_path / "unreadable")
    (tmp_path / "unreadable" / "train" / "A" / "0.png").write_bytes(b"no image")
    before = everything_below(tmp_path)
    done = dataset_command(*(argument.format(tmp_path) for argument in arguments))
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "digest" not in done.stdout
    assert everything_below(tmp_path) == before


def test_verify_says_what_it_verified_and_names_every_bad_image(tmp_path: Path) -> None:
    make_dataset(tmp_path / "source")
    made = dataset_command("fetch", str(tmp_path / "source"), str(tmp_path / "data"))
    said = dataset_command("verify", str(tmp_path / "data"))
    assert said.returncode == 0
    assert made.stdout.splitlines()[-4:] == said.stdout.splitlines()[-4:]
    small = dataset_command("verify", str(tmp_path / "data"), "--min-side", "100")
    assert small.returncode == 1
    assert small.stdout.count("bad image: ") == 8
    assert small.stderr.startswith(f"error: {tmp_path}/data: 8 of 8 images cannot be used: train/A/0.png (12x8 pixels")
    assert small.stderr.count("\n") == 1


def test_fetch_lists_every_bad_image_however_many(tmp_path: Path) -> None:
    source = make_dataset(tmp_path / "source", names=tuple(f"{number}.png" for number in range(10)))
    done = dataset_command("fetch", str(source), str(tmp_path / "data"), "--min-side", "100")
    assert done.returncode == 2
    assert done.stdout.count("bad image: ") == 40
    assert done.stderr.count("\n") == 1
    aside = dataset_command("fetch", str(source), str(tmp_path / "data"), "--min-side", "100", "--quarantine")
    assert aside.returncode == 2
    assert "no usable image in train/A" in aside.stderr


def test_info_says_what_is_known_of_a_name_of_the_catalogue() -> None:
    done = dataset_command("info", "facades")
    assert done.returncode == 0
    assert "dualgan/dataset/facades.zip" in done.stdout
    assert "recorded at the first fetch" in done.stdout


def test_list_names_the_catalogue_and_the_forms_of_a_source() -> None:
    done = dataset_command("list")
    assert done.returncode == 0
    for word in ("day-night", "facades", "sketch-photo", "synthetic://?seed=0", "http://", "s3://", "reported dead"):
        assert word in done.stdout


def test_list_imports_no_heavy_library() -> None:
    done = dataset_command("list", python=("-X", "importtime"))
    for heavy in ("tensorflow", "mlflow", "kfp", "numpy", "PIL", "requests", "boto3"):
        assert f" {heavy}\n" not in done.stderr


def test_help_explains_sources_and_exit_codes() -> None:
    done = dataset_command("--help")
    assert done.returncode == 0
    assert "SOURCE" in done.stdout
    assert "2 bad input" in done.stdout


def test_a_terminated_fetch_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "components.dataset", "fetch", "synthetic://?n=10000", f"{tmp_path}/out/data"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 30
    while not list(tmp_path.rglob("*.png")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 143
    assert everything_below(tmp_path) == set()
