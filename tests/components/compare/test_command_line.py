"""python -m components.compare, as a user or a pipeline starts it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.components.run_folders import write_run


def start(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "components.compare", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("candidate", "code", "word"),
    [
        ({}, 0, "PASS"),
        ({"loss_factor": 1.4}, 3, "FAIL"),
        ({"summary": {"final_loss": None}}, 4, "INCONCLUSIVE"),
    ],
)
def test_the_exit_code_and_the_first_line_give_the_verdict(
    tmp_path: Path, candidate: dict[str, float], code: int, word: str
) -> None:
    one, two = write_run(tmp_path / "one"), write_run(tmp_path / "two", **candidate)  # type: ignore[arg-type]
    finished = start(one, two, "--names", "gpu", "npu", "--output", tmp_path / "output")
    assert (finished.returncode, finished.stderr) == (code, "")
    lines = finished.stdout.splitlines()
    assert lines[0].startswith(f"{word}: ")
    assert [line.split()[0] for line in lines[1:5]] == ["function", "precision", "images", "performance"]
    assert (tmp_path / "output" / "gpu_realA.jpg").is_file()


def test_legs_are_called_as_their_folders(tmp_path: Path) -> None:
    one, two = write_run(tmp_path / "cpu-tf1"), write_run(tmp_path / "cpu-tf2")
    start(one, two, "--output", tmp_path / "output")
    assert (tmp_path / "output" / "cpu-tf2_A2B.jpg").is_file()


def test_folders_of_one_name_are_called_reference_and_candidate(tmp_path: Path) -> None:
    one, two = write_run(tmp_path / "1" / "run"), write_run(tmp_path / "2" / "run")
    assert start(one, two, "--output", tmp_path / "output").returncode == 0
    assert (tmp_path / "output" / "candidate_A2B.jpg").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["one"], "candidate"),
        (["one", "nowhere"], "nowhere: no such run folder"),
        (["one", "two", "--names", "gpu"], "1 names for 2 run folders"),
        (["one", "two", "--speed"], "--speed"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    write_run(tmp_path / "one")
    write_run(tmp_path / "two")
    monkeypatch.chdir(tmp_path)
    finished = start(*arguments)
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr.startswith("error: ")
    assert finished.stderr.count("\n") == 1
    assert words in finished.stderr
    assert not (tmp_path / "comparison").exists()


def test_comparing_loads_neither_tensorflow_nor_mlflow_nor_kfp() -> None:
    script = "import sys, components.compare.compare; print({'tensorflow', 'mlflow', 'kfp'} & set(sys.modules))"
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert finished.stdout.strip() == "set()"
