"""Input that cannot be compared is refused with one line, and nothing is written."""

from collections.abc import Callable
from pathlib import Path

import pytest

from components.compare.judge import compare
from components.compare.leg import Leg, Source
from dualgan.errors import BadInput
from tests.components.run_folders import write_run

NOWHERE = Path("nowhere")


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    return [write_run(tmp_path / "one"), write_run(tmp_path / "two")]


def leg(name: str, *runs: Path) -> Leg:
    return Leg(name, tuple(map(Source, runs)))


def refuse(legs: list[Leg], reference: str, output: Path) -> str:
    """The line with which the comparison is refused."""
    with pytest.raises(BadInput) as refusal:
        compare(legs, reference, output)
    assert not output.exists()
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


@pytest.mark.parametrize(
    ("name", "candidate", "words"),
    [
        ("tpu", lambda run: leg("npu", run), "'tpu' is not among the legs (gpu, npu)"),
        ("gpu", lambda run: leg("gpu", run), "two legs have this name"),
        ("gpu", lambda run: leg("../npu", run), "'../npu'"),
        ("gpu", lambda run: Leg("npu", (Source(run, NOWHERE),)), "nowhere: no such folder of sample pictures"),
    ],
)
def test_legs_that_cannot_be_compared(
    runs: list[Path], tmp_path: Path, name: str, candidate: Callable[[Path], Leg], words: str
) -> None:
    assert words in refuse([leg("gpu", runs[0]), candidate(runs[1])], name, tmp_path / "output")


def garble_a_line(content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    return b"".join([*lines[:3], lines[3][:20] + b"\n", *lines[4:]])


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


PICTURE = "samples/step-000060/val-001-A2B.png"


@pytest.mark.parametrize(
    ("file", "damage", "words"),
    [
        ("options.json", None, "No such file"),
        ("events.jsonl", None, "no such file"),
        ("options.json", cut, "truncated"),
        ("events.jsonl", cut, "truncated: its last training step is"),
        ("summary.json", cut, "truncated"),
        ("events.jsonl", lambda content: b"", "truncated"),
        ("events.jsonl", garble_a_line, "events.jsonl:4: not JSON"),
        ("options.json", lambda content: content.replace(b'"digest"', b'"other"'), "dataset.digest"),
        (PICTURE, cut, "not a readable image"),
    ],
)
def test_a_damaged_run_folder_is_named_with_its_file(
    runs: list[Path], tmp_path: Path, file: str, damage: Callable[[bytes], bytes] | None, words: str
) -> None:
    path = runs[1] / file
    content = path.read_bytes()
    path.unlink()
    if damage:
        path.write_bytes(damage(content))
    line = refuse([leg("gpu", runs[0]), leg("npu", runs[1])], "gpu", tmp_path / "output")
    assert str(path) in line and words in line


def test_an_output_that_is_a_file_is_left_as_it_is(runs: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "output"
    output.write_text("mine")
    with pytest.raises(BadInput, match="not a folder"):
        compare([leg("gpu", runs[0]), leg("npu", runs[1])], "gpu", output)
    assert output.read_text() == "mine"
