"""The commands of `parity dataset`."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from parity.cli import main
from tests.components.dataset.made import everything_below, make_dataset, make_image

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a dataset command: its exit code, what it printed, and its errors."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: (main(["dataset", *arguments]), *capsys.readouterr())


def test_fetch_prints_what_it_made_and_info_and_verify_confirm_it(run: Run, tmp_path: Path) -> None:
    code, made, _ = run("fetch", "synthetic://?n=1&size=32", "data")
    assert code == 0
    assert "images  train/A 1, train/B 1, val/A 8, val/B 8\n" in made
    for verb in ("info", "verify"):
        assert run(verb, "data") == (0, made, "")
    make_image(tmp_path / "data" / "train" / "A" / "0000.png")
    code, _, errors = run("info", "data")
    assert code == 1 and errors.startswith("error: ") and "images have changed" in errors
    code, output, _ = run("info", "facades")
    assert code == 0 and "dualgan/dataset/facades.zip" in output and "recorded at the first fetch" in output


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
        ("fetch", "synthetic", "{}/data", "--max-ratio", "nan"),
        ("fetch", "synthetic", "{}/data", "--jobs", "0"),
        ("mirror", "synthetic", "{}/not-s3"),
        ("verify", "{}/incomplete"),
        ("info", "{}/missing"),
        ("frobnicate",),
        (),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(run: Run, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    make_dataset(tmp_path / "incomplete", ("train/A",))
    make_dataset(tmp_path / "unreadable")
    (tmp_path / "unreadable" / "train" / "A" / "0.png").write_bytes(b"no image")
    before = everything_below(tmp_path)
    code, output, errors = run(*(argument.format(tmp_path) for argument in arguments))
    assert code == 2
    assert errors.startswith("error: ") and errors.count("\n") == 1
    assert "digest" not in output
    assert everything_below(tmp_path) == before


def test_every_bad_image_is_named_on_standard_output_with_nothing_in_it_that_a_terminal_obeys(tmp_path: Path) -> None:
    source = make_dataset(tmp_path / "\x1b[31msource", names=tuple(f"{number}.png" for number in range(10)))

    def dataset(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "parity", "dataset", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = dataset("fetch", str(source), str(tmp_path / "data"), "--min-side", "100")
    assert done.returncode == 2
    assert done.stdout.count("bad image: ") == 40
    shown = f"{tmp_path}/\\x1b[31msource"
    assert done.stderr.startswith(f"error: {shown}: 40 of 40 images cannot be used: train/A/0.png (12")
    assert done.stderr.count("\n") == 1
    made = dataset("fetch", str(source), str(tmp_path / "data"))
    assert made.returncode == 0
    assert f"source  {shown}\n" in made.stdout and "\x1b" not in made.stdout
    assert "taken: 40 images; set aside: none; ignored: none\n" in made.stdout
    small = dataset("verify", str(tmp_path / "data"), "--min-side", "100")
    assert small.returncode == 1 and small.stdout.count("bad image: ") == 40


def test_list_and_help_explain_sources(run: Run) -> None:
    code, output, _ = run("list")
    assert code == 0
    for word in ("day-night", "facades", "sketch-photo", "synthetic://?seed=0", "http://", "s3://", "reported dead"):
        assert word in output
    code, output, _ = run("--help")
    assert code == 0 and "SOURCE" in output and "2 bad input" in output


def test_a_terminated_fetch_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "parity", "dataset", "fetch", "synthetic://?n=10000", f"{tmp_path}/out/data"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 30
    while not list(tmp_path.rglob("*.png")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 143
    assert everything_below(tmp_path) == set()
