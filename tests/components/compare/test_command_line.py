"""parity compare, as a user or a pipeline starts it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from components.compare.leg import Leg
from parity.cli import main
from tests.components.run_folders import write_leg, write_run

AXES = ["function", "arithmetic", "training", "images", "performance"]


class Answer(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


Start = Callable[..., Answer]


@pytest.fixture
def start(capsys: pytest.CaptureFixture[str]) -> Start:
    """The program, in this process: starting one takes longer than comparing."""

    def start(*arguments: object) -> Answer:
        return Answer(main(["compare", *map(str, arguments)]), *capsys.readouterr())

    return start


def as_argument(leg: Leg) -> str:
    return f"{leg.name}={','.join(str(source.run) for source in leg.sources)}"


@pytest.mark.parametrize(
    ("candidate", "code", "word"),
    [({}, 0, "PASS"), ({"loss_factor": 1.4}, 3, "FAIL"), ({"seeds": [0]}, 4, "INCONCLUSIVE")],
)
def test_the_exit_code_and_the_first_line_give_the_verdict(
    start: Start, tmp_path: Path, candidate: dict[str, Any], code: int, word: str
) -> None:
    seeds = candidate.pop("seeds", [0, 1])
    legs = write_leg("gpu", tmp_path / "one", seeds), write_leg("npu", tmp_path / "two", seeds, **candidate)
    finished = start(*map(as_argument, legs), "--output", tmp_path / "output")
    assert (finished.returncode, finished.stderr) == (code, "")
    lines = finished.stdout.splitlines()
    assert lines[0].startswith(f"{word}: ")
    assert [line.split()[0] for line in lines[1:6]] == AXES
    assert (tmp_path / "output" / "gpu_realA.jpg").is_file()


@pytest.mark.parametrize(("folders", "name"), [(("cpu-tf1", "cpu-tf2"), "cpu-tf2"), (("1/run", "2/run"), "candidate")])
def test_legs_are_called_as_their_folders_or_else_reference_and_candidate(
    start: Start, tmp_path: Path, folders: tuple[str, str], name: str
) -> None:
    start(*(write_run(tmp_path / folder) for folder in folders), "--output", tmp_path / "output")
    assert (tmp_path / "output" / f"{name}_A2B.jpg").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["one"], "two legs or more, got 1"),
        (["one", "nowhere"], "nowhere: no such run folder"),
        (["gpu=one", "two"], "some legs have a name"),
        (["gpu=one,one", "npu=two"], "have the same seed"),
        (["one", "two", "--bound", "max_los_ratio=1.1"], "bound 'max_los_ratio': unknown"),
        (["one", "two", "--bound", "max_loss_ratio=much"], "--bound max_loss_ratio=much: must be NAME=VALUE"),
        (["one", "two", "--bound", "max_loss_ratio=0.9"], "must be 1 or more"),
        (["one", "two", "--bound", "min_speed_ratio=nan"], "must be a number above zero"),
        (["one", "two", "--replay", "nowhere.json"], "nowhere.json: no such replay"),
        (["one", "--reference", "nowhere.json"], "reference nowhere.json: cannot be read"),
        (["one", "--reference", "http://me:secret@h/x.json"], "reference http://h/x.json: neither a file nor"),
        (["record", "nowhere", "--output", "x.json"], "nowhere: no such run folder"),
        (["one", "two", "--speed"], "--speed"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
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
    script = "import sys, components.compare.judge; print({'tensorflow', 'mlflow', 'kfp'} & set(sys.modules))"
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert finished.stdout.strip() == "set()"
