"""A trace recorded on one leg and replayed on the other, as tasks of a pipeline do it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from components.replay.replay import record_trace, replay_trace
from components.train.leg import LegSettings
from dualgan.errors import BadInput
from dualgan.run_folder import read_json, write_json
from tests.components.dualgan.conftest import dataset

__all__ = ["dataset"]

OPTIONS = {"image_size": 32, "gcn": 2, "dcn": 2, "threads": 1}
LEG = LegSettings("cpu-tf2", "tf2", "cpu", "candidate")


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """make_run(name, option=value, ...): a run folder as far as a trace needs one."""

    def made(name: str, **options: object) -> Path:
        run = tmp_path / name
        run.mkdir()
        write_json(run / "options.json", {"options": {**OPTIONS, **options}})
        return run

    return made


@pytest.mark.system
def test_a_leg_s_trace_replays_on_another_run_of_the_same_options(
    dataset: Path,
    make_run: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trace, replay = tmp_path / "trace", tmp_path / "replay"
    record_trace(LEG, dataset, make_run("reference"), trace, cache=tmp_path / "cache")
    replay_trace(LEG, trace, make_run("candidate", step_mode="two-run", seed=3), replay)
    content = read_json(replay)
    assert content["departures"] == [] and content["candidate"]["step_mode"] == "two-run"
    shown = capsys.readouterr().out
    assert "trace cpu-tf2: recorded steps 1 to 12" in shown
    assert "replay cpu-tf2: all bounds hold" in shown
    with pytest.raises(BadInput, match=r"leg cpu-tf2: .*lr: 5e-05 -> 0.001"):
        replay_trace(LEG, trace, make_run("other", lr=1e-3), tmp_path / "none")
