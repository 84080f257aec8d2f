"""parity: a mistake is one line and exit code 2, before anything runs."""

from pathlib import Path

import pytest

from parity.cli import main


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--profile", "nightly"), "profile nightly: unknown"),
        (("--dataset", "sketch-foto"), "sketch-photo"),
        (("--option", "image_size=48"), "--image_size 48: must be a power of two from 32"),
        (("--option", "image_sise=64"), "training option 'image_sise': unknown"),
        (("--option", "max_steps=Infinity"), "training option max_steps: 'Infinity' is not of type int"),
        (("--option", "max_steps"), "--option max_steps: must be NAME=VALUE"),
        (("--speed", "9"), "No such option: --speed"),
    ],
)
def test_wrong_input_is_named_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], named: str
) -> None:
    assert main(["run", "--results", str(tmp_path / "results"), *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ") and len(printed.err.splitlines()) == 1
    assert named in printed.err
    assert not (tmp_path / "results").exists()


def test_a_results_folder_that_cannot_be_made_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--results", "/dev/null/results"]) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_compile_prints_where_the_package_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    package = tmp_path / "packages" / "p.yaml"
    assert main(["compile", "--profile", "local", "--output", str(package)]) == 0
    assert capsys.readouterr().out.strip() == str(package)
    assert package.read_text().startswith("# PIPELINE DEFINITION")
