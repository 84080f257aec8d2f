"""Tasks of a run on this machine: which run side by side, which are not done again, and what ends the others."""

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from kfp import dsl

from components.common.processes import Terminated, terminations_raised
from dualgan.errors import BadInput, DualGANError
from pipelines.local_run import tasks_at_once
from pipelines.local_tasks import Tasks, process_runner, startable
from pipelines.parity import component
from pipelines.profile import load_profile
from pipelines.run_state import Parameters, RunState

# Ended as Ctrl-C ends it, it says so.
LONG = """
import time
try:
    print("began", flush=True)
    time.sleep(60)
except BaseException as error:
    print(f"ended by {error.signum}", flush=True)
    raise
"""

# KFP writes the file when the task's function has ended.
DAMAGE = """
import atexit, pathlib
atexit.register(pathlib.Path(output).with_name("executor_output.json").write_text, "{")
"""


def do(code: str, output: dsl.Output[dsl.Artifact], before: dsl.Input[dsl.Artifact] = None) -> None:
    """Do what ``code`` says."""
    exec(code, {"output": output.path})


class Pipeline:
    """A pipeline whose tasks do what their code says."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tasks: Tasks | None = None

    def run(self, codes: Mapping[str, str], after: Mapping[str, str] = {}, at_once: int = 2) -> DualGANError | None:
        """Run tasks by their names; ``after`` names the one whose output a task reads."""

        @dsl.pipeline(name="test")  # type: ignore[untyped-decorator]
        def pipeline() -> None:
            made: dict[str, Any] = {}
            for name, code in codes.items():
                before = made[after[name]].outputs["output"] if name in after else None
                made[name] = component(name, do, "python")(code=code, **({"before": before} if before else {}))

        self.tasks = Tasks(pipeline.pipeline_spec, {}, self.root, process_runner({}))
        with (self.root / "log.txt").open("wb") as log:
            return self.tasks.run(log, at_once)

    @property
    def log(self) -> str:
        return (self.root / "log.txt").read_text()


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(tmp_path)


@pytest.mark.parametrize(
    ("ready", "running", "at_once", "started"),
    [
        ("train-b-seed-0 train-a-seed-10 train-a-seed-2 train-b-seed-1", "", 2, "train-b-seed-0 train-a-seed-2"),
        ("train-a-seed-1 train-b-seed-1", "train-a-seed-0", 2, "train-b-seed-1"),
        ("train-a-seed-1 sample-a-seed-0", "train-a-seed-0", 2, "sample-a-seed-0"),
        ("sample-a-seed-0 sample-a-seed-1 trace-a replay-b", "", 3, "trace-a replay-b sample-a-seed-0"),
        ("train-a-seed-1", "train-b-seed-0 sample-b-seed-1", 2, ""),
    ],
)
def test_legs_train_side_by_side_seed_after_seed_and_other_tasks_fill_the_cores_that_are_left(
    ready: str, running: str, at_once: int, started: str
) -> None:
    assert startable(ready.split(), running.split(), at_once) == started.split()


@pytest.mark.parametrize(
    ("cores", "gibibytes", "options", "device", "at_once"),
    [
        (2, 6, {"threads": 1}, "cpu", 2),
        (16, 6, {"threads": 1}, "cpu", 2),
        (4, 6, {"threads": 3}, "cpu", 1),
        (2, 6, {"threads": 4}, "cpu", 1),
        (16, 6, {"threads": 0}, "cpu", 1),
        (16, 6, {"threads": 1}, "gpu", 1),
        (2, 2, {"threads": 1}, "cpu", 1),
        (2, 6, {"threads": 1, "image_size": 256, "gcn": 64}, "cpu", 1),
        (2, 8, {"threads": 1, "image_size": 256, "gcn": 64}, "cpu", 2),
    ],
)
def test_there_are_as_many_tasks_at_once_as_legs_if_cores_and_memory_are_there(
    monkeypatch: pytest.MonkeyPatch, cores: int, gibibytes: int, options: dict[str, int], device: str, at_once: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=gibibytes << 30))
    profile = load_profile("local")
    legs = (profile.legs[0].model_copy(update={"device": device}), profile.legs[1])
    parameters = Parameters(dataset="synthetic", options=options)
    state = RunState(profile=profile.model_copy(update={"legs": legs}), parameters=parameters, tracking_uri="")
    assert tasks_at_once(state) == at_once


def test_a_task_is_not_done_again_unless_what_it_does_or_reads_is_another(pipeline: Pipeline, tmp_path: Path) -> None:
    def count(name: str) -> str:
        return f"open({str(tmp_path / name)!r}, 'a').write('.')"

    after = {"sample-b": "trace-a"}
    for codes, counts in (
        ((count("a"), count("b")), (".", ".")),
        ((count("a"), count("b")), (".", ".")),
        ((count("a"), count("b") + ";"), (".", "..")),
    ):
        assert pipeline.run(dict(zip(("trace-a", "sample-b"), codes, strict=True)), after) is None
        assert ((tmp_path / "a").read_text(), (tmp_path / "b").read_text()) == counts


def test_an_unfinished_training_keeps_its_folder_and_any_other_task_begins_with_an_empty_one(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    kept = {"train-a-seed-0": True, "dataset": True, "sample-a-seed-0": False}
    for name in kept:
        left = tmp_path / "tasks" / name / "records" / "options.json"
        left.parent.mkdir(parents=True)
        left.touch()
    assert pipeline.run(dict.fromkeys(kept, "raise SystemExit(1)"))
    assert {name: (tmp_path / "tasks" / name / "records").exists() for name in kept} == kept


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        ("import os; os.kill(os.getpid(), 9)", DualGANError, "task compare-a: killed by SIGKILL, out of memory?"),
        ("raise SystemExit(3)", DualGANError, "task compare-a: exit code 3, no reason given"),
        (DAMAGE, DualGANError, "task compare-a: ParseError"),
        ("import os; os._exit(0)", DualGANError, "task compare-a: it ended without leaving its results; run it again"),
        ("from dualgan.errors import BadInput; raise BadInput('1.png: no image')", BadInput, "1.png: no image"),
    ],
)
def test_a_task_that_fails_is_described_in_its_own_words_if_it_left_any(
    pipeline: Pipeline, code: str, kind: type[DualGANError], said: str
) -> None:
    failure = pipeline.run({"compare-a": code})
    assert type(failure) is kind and str(failure).startswith(said)


def test_a_task_whose_outputs_are_damaged_is_done_again(pipeline: Pipeline) -> None:
    assert pipeline.run({"compare-a": "pass"}) is None
    (pipeline.root / "tasks" / "compare-a" / "executor_output.json").write_text("{")
    assert pipeline.run({"compare-a": "pass"}) is None
    assert pipeline.tasks and len(pipeline.tasks.timings) == 1


def test_what_a_killed_try_printed_is_kept(pipeline: Pipeline) -> None:
    (pipeline.root / "compare-a.log").write_text("of a killed try\n")
    assert pipeline.run({"compare-a": "print('of this one')"}) is None
    assert pipeline.log.startswith("--- compare-a\nof a killed try\n") and "\nof this one\n" in pipeline.log


def test_a_task_that_fails_ends_those_beside_it_as_ctrl_c_does_unless_nothing_waits_for_it(pipeline: Pipeline) -> None:
    codes = {"train-a-seed-0": LONG, "train-b-seed-0": "import time; time.sleep(3); raise SystemExit(1)"}
    with pytest.raises(DualGANError, match="task train-b-seed-0: exit code 1"):
        pipeline.run({**codes, "compare-b": "pass"}, {"compare-b": "train-b-seed-0"})
    assert f"ended by {int(signal.SIGINT)}" in pipeline.log
    assert str(pipeline.run({"publish-a": "raise SystemExit(1)", "publish-b": "print('done')"})).startswith("task publ")
    assert "done" in pipeline.log


def test_a_signal_ends_all_tasks_and_their_output_is_kept_apart(pipeline: Pipeline, tmp_path: Path) -> None:
    def when_both_run(_: int, __: object) -> None:
        while not all(file.exists() and "began" in file.read_text() for file in files):
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGTERM)

    files = [tmp_path / "train-a-seed-0.log", tmp_path / "train-b-seed-0.log"]
    previous = signal.signal(signal.SIGALRM, when_both_run)
    signal.alarm(2)
    try:
        with terminations_raised(signal.SIGTERM), pytest.raises(Terminated):
            pipeline.run({file.stem: LONG for file in files})
    finally:
        signal.signal(signal.SIGALRM, previous)
    blocks = pipeline.log.split("--- ")[1:]
    assert sorted(block.splitlines()[0] for block in blocks) == sorted(file.stem for file in files)
    assert all(block.count(f"ended by {int(signal.SIGTERM)}") == 1 for block in blocks)
    assert not any(file.exists() for file in files)
