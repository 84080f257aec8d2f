"""`parity check`: a mistake in a profile is found without a cluster."""

from pathlib import Path
from typing import Any

import pytest

from parity.cli import main
from pipelines import package
from tests.pipelines.conftest import package_once
from tests.pipelines.test_profile import LEGS, profile_file


@pytest.fixture(autouse=True)
def compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package, "package_of", package_once)


def test_every_profile_of_the_project_is_sound(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--dataset", "s3://team/faces"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"dataset": ""}, "profile mine names no dataset: give --dataset"),
        ({"dataset": "sketch-foto"}, "sketch-photo"),
        ({"image": "registry.example/team/cpu"}, "neither tag nor digest"),
        ({"image": "registry.example/dualgan-parity/cqu:1"}, "makes no such image"),
        ({"legs": [LEGS[0], {**LEGS[1], "image": "team/cpu"}]}, "image team/cpu has neither tag nor digest"),
        ({"colour": "red"}, "colour: unknown key"),
    ],
)
def test_a_mistake_is_named_in_one_line_and_sound_profiles_beside_it_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], named: str
) -> None:
    assert main(["check", profile_file(tmp_path, **changes), "local"]) == 2
    printed = capsys.readouterr()
    assert named in printed.err and len(printed.err.splitlines()) == 1
    assert printed.out == "local: 19 tasks, no problem found\n"


@pytest.mark.parametrize("image", ["cpu:1", "localhost:5000/a/b:v1.2", f"r.io/a/b:1@sha256:{'0' * 64}"])
def test_images_by_tag_and_by_digest_are_taken(tmp_path: Path, image: str) -> None:
    assert main(["check", profile_file(tmp_path, image=image)]) == 0
