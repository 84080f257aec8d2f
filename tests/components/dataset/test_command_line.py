import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from parity.cli import main
from tests.components.dataset.made import everything_below, make_dataset, make_image

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Run]:
    """Run a dataset command: its exit code, what it printed, and its errors."""
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)

    def of(*arguments: str) -> tuple[int, str, str]:
        code = main(["dataset", *arguments])
        return code, *capsys.readouterr()

    yield of
    signal.signal(signal.SIGTERM, before)


def dataset_command(*arguments: str, python: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *python, "-m", "parity", "dataset", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_fetch_prints_what_it_made_and_info_and_verify_confirm_it(run: Run, tmp_path: Path) -> None:
    code, made, _ = run("fetch", "synthetic://?n=1&size=32", "data")
    assert code == 0
    assert "images  train/A 1, train/B 1, val/A 8, val/B 8\n" in made
    for verb in ("info", "verify"):
        assert run(verb, "data") == (0, made, "")
    make_image(tmp_path / "data" / "train" / "A" / "0000.png")
    code, _, errors = run("info", "data")
    assert code == 1 and errors.startswith("error: ") and "images have changed" in errors


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
def test_a_mistake_is_one_line_and_exit_code_2(run: Run, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    make_dataset(tmp_path / "incomplete", ("train/A",))
    make_dataset(tmp_path / "unreadable")
    (tmp_path / "unreadable" / "train" / "A" / "0.png").write_bytes(b"no image")
    before = everything_below(tmp_path)
    code, output, errors = run(*(argument.format(tmp_path) for argument in arguments))
    assert code == 2
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert "digest" not in output
    assert everything_below(tmp_path) == before


def test_every_bad_image_is_named_on_standard_output_with_nothing_in_it_that_a_terminal_obeys(tmp_path: Path) -> None:
    source = make_dataset(tmp_path / "\x1b[31msource", names=tuple(f"{number}.png" for number in range(10)))
    done = dataset_command("fetch", str(source), str(tmp_path / "data"), "--min-side", "100")
    assert done.returncode == 2
    assert done.stdout.count("bad image: ") == 40
    assert done.stderr.startswith(
        f"error: {tmp_path}/\\x1b[31msource: 40 of 40 images cannot be used: train/A/0.png (12"
    )
    assert done.stderr.count("\n") == 1
    made = dataset_command("fetch", str(source), str(tmp_path / "data"))
    assert made.returncode == 0
    assert f"source  {tmp_path}/\\x1b[31msource\n" in made.stdout and "\x1b" not in made.stdout
    assert "taken: 40 images; set aside: none; ignored: none\n" in made.stdout
    small = dataset_command("verify", str(tmp_path / "data"), "--min-side", "100")
    assert small.returncode == 1
    assert small.stdout.count("bad image: ") == 40


def test_info_says_what_is_known_of_a_name_of_the_catalogue(run: Run) -> None:
    code, output, _ = run("info", "facades")
    assert code == 0
    assert "dualgan/dataset/facades.zip" in output
    assert "recorded at the first fetch" in output


def test_list_names_the_catalogue_and_the_forms_of_a_source_and_imports_no_heavy_library() -> None:
    done = dataset_command("list", python=("-X", "importtime"))
    assert done.returncode == 0
    for word in ("day-night", "facades", "sketch-photo", "synthetic://?seed=0", "http://", "s3://", "reported dead"):
        assert word in done.stdout
    for heavy in ("tensorflow", "mlflow", "kfp", "numpy", "PIL", "requests", "boto3"):
        assert f" {heavy}\n" not in done.stderr


def test_help_explains_sources_and_exit_codes(run: Run) -> None:
    code, output, _ = run("--help")
    assert code == 0
    assert "SOURCE" in output
    assert "2 bad input" in output


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
