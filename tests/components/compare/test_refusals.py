"""Input that cannot be compared is refused with one line, and nothing is written."""

from collections.abc import Callable
from pathlib import Path

import pytest

from components.compare.judge import compare
from components.compare.leg import Leg, Source
from dualgan.errors import BadInput
from dualgan.run_folder import RunFolder, sample_path
from tests.components.run_folders import write_run


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


NOWHERE = Path("nowhere")


@pytest.mark.parametrize(
    ("legs", "reference", "words"),
    [
        (lambda one, two: [leg("gpu", one)], "gpu", "two legs or more, got 1"),
        (lambda one, two: [leg("gpu", one), leg("npu", two)], "tpu", "'tpu' is not among the legs (gpu, npu)"),
        (lambda one, two: [leg("gpu", one), leg("gpu", two)], "gpu", "two legs have this name"),
        (lambda one, two: [leg("../gpu", one), leg("npu", two)], "npu", "'../gpu'"),
        (lambda one, two: [leg("gpu", one), leg("npu", NOWHERE)], "gpu", "leg npu: nowhere: no such run folder"),
        (
            lambda one, two: [leg("gpu", one), Leg("npu", (Source(two, samples=NOWHERE),))],
            "gpu",
            "nowhere: no such folder of sample pictures",
        ),
        (lambda one, two: [leg("gpu", one), leg("npu", one, two)], "gpu", "have the same seed, 7"),
        (
            lambda one, two: [leg("gpu", one), Leg("npu", (Source(two),), replay=NOWHERE)],
            "gpu",
            "nowhere: no such replay",
        ),
    ],
    ids=["one leg", "reference", "same name", "name of a file", "run", "samples", "same seed", "replay"],
)
def test_legs_that_cannot_be_compared(
    runs: list[Path], tmp_path: Path, legs: Callable[[Path, Path], list[Leg]], reference: str, words: str
) -> None:
    assert words in refuse(legs(*runs), reference, tmp_path / "output")


def lose(name: str) -> Callable[[Path], None]:
    return lambda run: (run / name).unlink()


def cut(name: str) -> Callable[[Path], None]:
    """Break the file off in its middle."""

    def damage(run: Path) -> None:
        content = (run / name).read_bytes()
        (run / name).write_bytes(content[: len(content) // 2])

    return damage


def empty(name: str) -> Callable[[Path], None]:
    return lambda run: (run / name).open("w").close()


def garble_events(run: Path) -> None:
    lines = RunFolder(run).events.read_text().splitlines()
    lines[3] = lines[3][:20]
    RunFolder(run).events.write_text("\n".join(lines) + "\n")


def forget_digest(run: Path) -> None:
    RunFolder(run).options.write_text(RunFolder(run).options.read_text().replace('"digest"', '"other"'))


@pytest.mark.parametrize(
    ("damage", "file", "words"),
    [
        (lose("options.json"), "options.json", "no such file"),
        (lose("events.jsonl"), "events.jsonl", "no such file"),
        (cut("options.json"), "options.json", "truncated"),
        (cut("events.jsonl"), "events.jsonl", "truncated: its last training step is"),
        (cut("summary.json"), "summary.json", "truncated"),
        (empty("events.jsonl"), "events.jsonl", "truncated"),
        (garble_events, "events.jsonl", "events.jsonl:4: not JSON"),
        (forget_digest, "options.json", "dataset.digest"),
    ],
)
def test_a_damaged_run_folder_is_named_with_its_file(
    runs: list[Path], tmp_path: Path, damage: Callable[[Path], None], file: str, words: str
) -> None:
    damage(runs[1])
    line = refuse([leg("gpu", runs[0]), leg("npu", runs[1])], "gpu", tmp_path / "output")
    assert str(runs[1] / file) in line
    assert words in line


def test_a_damaged_picture(runs: list[Path], tmp_path: Path) -> None:
    picture = sample_path(RunFolder(runs[1]).samples_of(60), "val-001", "A2B")
    picture.write_bytes(picture.read_bytes()[:100])
    line = refuse([leg("gpu", runs[0]), leg("npu", runs[1])], "gpu", tmp_path / "output")
    assert f"{picture}: not a readable image" in line


def test_an_output_that_is_a_file_is_left_as_it_is(runs: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "output"
    output.write_text("mine")
    with pytest.raises(BadInput, match="not a folder"):
        compare([leg("gpu", runs[0]), leg("npu", runs[1])], "gpu", output)
    assert output.read_text() == "mine"
