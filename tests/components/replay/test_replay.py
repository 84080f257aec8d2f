"""A trace recorded on one leg and replayed on the other, as tasks of a pipeline do it."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.replay.component import replay, trace
from dualgan.errors import BadInput
from dualgan.run_folder import read_json, write_json
from tests.components.dualgan.conftest import dataset

__all__ = ["dataset"]

OPTIONS = {"image_size": 32, "gcn": 2, "dcn": 2, "threads": 1}
LEG = {"name": "cpu-tf2", "runtime": "tf2", "device": "cpu", "role": "candidate"}


def artifact(path: Path) -> Any:
    return SimpleNamespace(path=str(path))


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Any]:
    """make_run(name, option=value, ...): a run folder as far as a trace needs one."""

    def made(name: str, **options: object) -> Any:
        (tmp_path / name).mkdir()
        write_json(tmp_path / name / "options.json", {"options": {**OPTIONS, **options}})
        return artifact(tmp_path / name)

    return made


@pytest.mark.system
def test_a_leg_s_trace_replays_on_another_run_of_the_same_options(
    dataset: Path, make_run: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded, replayed = artifact(tmp_path / "trace"), artifact(tmp_path / "replay")
    trace(LEG, artifact(dataset), make_run("reference"), recorded)
    replay(LEG, recorded, make_run("candidate", step_mode="two-run", seed=3), replayed)
    content = read_json(tmp_path / "replay")
    assert content["departures"] == [] and content["candidate"]["step_mode"] == "two-run"
    shown = capsys.readouterr().out
    assert "trace cpu-tf2: recorded steps 1 to 12" in shown
    assert "replay cpu-tf2: all bounds hold" in shown
    with pytest.raises(BadInput, match=r"leg cpu-tf2: .*lr: 5e-05 -> 0.001"):
        replay(LEG, recorded, make_run("other", lr=1e-3), artifact(tmp_path / "none"))
