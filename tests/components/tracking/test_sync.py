"""A run folder in MLflow: every point and picture once, with its own time, whoever sent it and however often."""

import io
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from PIL import Image

from components.tracking.runs import PARENT_TAG
from components.tracking.store import connect
from components.tracking.sync import RunFolderSync, Sent, end_interrupted, is_abandoned
from components.tracking.target import TrackingTarget, read_target, write_target
from dualgan.errors import BadInput
from dualgan.run_folder import SAMPLE_KINDS, EventLog, RunFolder
from parity.cli import main
from tests.components.tracking.folders import (
    METRICS,
    append,
    begin,
    event_time,
    finish,
    finished_run,
    sample,
    train,
    training_step,
    typed,
    value_of,
)
from tests.components.tracking.observed import history, images, legs, only_leg, parents


@dataclass
class Training:
    """A run folder of one test alone, and what MLflow has of it."""

    folder: Path
    server: str
    name: str

    @property
    def client(self) -> MlflowClient:
        return connect(self.server)

    @property
    def place(self) -> TrackingTarget:
        return TrackingTarget(self.server, pipeline_run_id=self.name, leg="cpu-tf1", role="reference", runtime="tf1")

    def send(self, ended: bool = False) -> Sent:
        return RunFolderSync(self.folder, self.place).step(ended)

    @property
    def run(self) -> Run:
        return only_leg(self.client, self.name)

    @property
    def status(self) -> str:
        return str(self.run.info.status)

    @property
    def parents(self) -> list[str]:
        """The status of each parent run."""
        return [run.info.status for run in parents(self.client, self.name)]

    def steps(self, key: str = "loss/A_loss") -> list[int]:
        return [point[0] for point in history(self.client, self.run, key)]


@pytest.fixture
def training(tmp_path: Path, server: str, request: pytest.FixtureRequest) -> Training:
    return Training(tmp_path / "run", server, request.node.name)


def test_a_run_folder_arrives_whole_and_a_second_sync_sends_nothing(training: Training) -> None:
    finished_run(training.folder)
    assert training.send().images == 6
    run = training.run
    for metric in METRICS:
        expected = [(step, int(event_time(step) * 1000), value_of(metric, step)) for step in range(1, 21)]
        assert history(training.client, run, f"loss/{metric}") == expected
    assert training.steps("time/sec_per_step") == [10, 20]
    assert run.data.params == {"seed": "3", "lr": "0.0002", "steps": "20", "device": "cpu"}
    expected_tags = {
        "leg": "cpu-tf1",
        "role": "reference",
        "seed": "3",
        "pipeline_run_id": training.name,
        "device": "cpu",
        "device_name": "a test CPU",
        "runtime": "tf1",
        "tensorflow": "1.15.0",
        "python": "3.7.16",
        "git_commit": "0123abcd",
        "dataset": "shapes",
        "dataset_digest": "d" * 64,
    }
    assert expected_tags.items() <= run.data.tags.items()
    dataset = run.inputs.dataset_inputs[0].dataset
    assert (dataset.name, dataset.digest) == ("shapes", "d" * 36)
    assert {name: value for name, value in run.data.metrics.items() if name.startswith("summary/")} == {
        "summary/min_loss": 0.05,
        "summary/final_A_loss": 0.06,
        "summary/final_B_loss": 0.07,
        "summary/sec_per_step": 0.1,
        "summary/sec_per_step_p95": 0.12,
        "summary/images_per_sec": 10.0,
    }
    assert (run.info.status, run.info.end_time) == ("FINISHED", int(typed("finished", 20)["time"] * 1000))

    assert training.send() == Sent()

    again = training.run
    assert again.data.to_dictionary() == run.data.to_dictionary()
    assert len(history(training.client, again, "loss/A_loss")) == 20
    assert len(images(training.client, again)) == 12 and len(again.inputs.dataset_inputs) == 1


def test_legs_and_seeds_are_children_of_one_pipeline_run(training: Training) -> None:
    members = [("gpu", 1), ("npu", 1), ("npu", 2)]
    for name, seed in members:
        folder = finished_run(training.folder / f"{name}-{seed}", seed)
        RunFolderSync(folder, replace(training.place, leg=name)).step()

    (parent,) = parents(training.client, training.name)
    children = legs(training.client, training.name)
    assert sorted((run.data.tags["leg"], int(run.data.tags["seed"])) for run in children) == members
    assert {run.data.tags[PARENT_TAG] for run in children} == {parent.info.run_id}


def test_step_images_follow_the_convention_of_the_image_grid(training: Training) -> None:
    folder = begin(training.folder)
    train(folder, 1, 5)
    sample(folder, 5, images=6)
    finish(folder, 5)

    training.send()

    names = images(training.client, training.run)
    moment = int(typed("sample", 5)["time"] * 1000)
    full = [name for name in names if name.endswith(".png")]
    assert {name.partition("+timestamp+")[0] for name in full} == {
        f"{kind}~{image:04d}+step+5" for kind in SAMPLE_KINDS for image in range(4)
    }
    assert all(f"+timestamp+{moment}+" in name for name in full)
    assert {name.removesuffix("+compressed.webp") + ".png" for name in names if name not in full} == set(full)
    assert training.run.data.tags["mlflow.loggedImages"] == "True"
    stored = training.client.download_artifacts(training.run.info.run_id, f"images/{full[0]}", str(folder))
    assert Image.open(io.BytesIO(Path(stored).read_bytes())).size == (40, 40)


def test_a_sync_while_the_file_grows_sends_only_whole_lines_and_each_once(training: Training) -> None:
    folder = begin(training.folder)
    sync = RunFolderSync(folder, training.place)
    train(folder, 1, 3)
    with RunFolder(folder).events.open("a") as file:
        file.write('{"step": 4, "time": 17')
        file.flush()
        sync.step()
        assert training.steps() == [1, 2, 3]
        file.write('50000004, "metrics": {"A_loss": 0.5}}\n')
    sync.step()
    train(folder, 5, 6)
    sync.step()

    assert training.steps() == [1, 2, 3, 4, 5, 6]
    assert training.status == "RUNNING"


@pytest.mark.parametrize("same_process", [True, False])
def test_a_resumed_training_that_wrote_later_steps_again_doubles_nothing(
    training: Training, same_process: bool
) -> None:
    folder = begin(training.folder)
    train(folder, 1, 12)
    first = RunFolderSync(folder, training.place)
    first.step()
    log = EventLog(RunFolder(folder).events)
    log.cut_after(8)
    log.close()
    append(folder, typed("resumed", 8, attempt=1))
    train(folder, 9, 20, attempt=1)
    finish(folder, 20)

    (first if same_process else RunFolderSync(folder, training.place)).step()

    assert training.steps() == list(range(1, 21))


def test_a_training_that_was_interrupted_and_goes_on_is_running_again_until_it_ends(training: Training) -> None:
    folder = begin(training.folder)
    train(folder, 1, 5)
    finish(folder, 5, status="interrupted")
    training.send()
    statuses = [training.status]

    append(folder, typed("resumed", 5, attempt=1))
    train(folder, 6, 8, attempt=1)
    options = RunFolder(folder).options
    options.write_text(options.read_text().replace('"steps": 20', '"steps": 40'))
    training.send()
    statuses.append(training.status)

    finish(folder, 8)
    training.send()
    assert [*statuses, training.status] == ["KILLED", "RUNNING", "FINISHED"]
    assert training.steps("summary/min_loss") == [5, 8]
    # MLflow never changes a parameter.
    assert (training.run.data.params["steps"], training.run.data.tags["resumed.steps"]) == ("20", "40")


def test_a_training_process_that_died_without_a_summary_has_failed(training: Training) -> None:
    folder = begin(training.folder)
    train(folder, 1, 2)
    training.send(ended=True)
    training.send()
    assert training.status == "FAILED"


def test_what_an_interrupted_pipeline_left_open_is_killed_and_runs_again_if_it_goes_on(training: Training) -> None:
    finished, killed = finished_run(training.folder / "train-gpu"), begin(training.folder / "train-npu")
    train(killed, 1, 5)
    for folder, name in ((finished, "gpu"), (killed, "npu")):
        write_target(folder, replace(training.place, leg=name))
        RunFolderSync(folder, read_target(folder)).step()
    begin(training.folder / "not-followed")

    assert [end_interrupted(training.folder) for _ in range(2)] == [2, 0]
    found = {run.data.tags["leg"]: run.info.status for run in legs(training.client, training.name)}
    assert found == {"gpu": "FINISHED", "npu": "KILLED"}
    assert training.parents == ["KILLED"]
    train(killed, 6, 7)
    RunFolderSync(killed, read_target(killed)).step()
    assert training.parents == ["RUNNING"]


def test_a_training_whose_trainer_is_gone_is_killed_by_the_next_sync(training: Training) -> None:
    folder = begin(training.folder)
    train(folder, 1, 5)
    command = ["sync", str(folder), "--tracking-uri", training.server, "--pipeline-run-id", training.name]
    assert not is_abandoned(folder)
    with RunFolder(folder).locked():
        assert not is_abandoned(folder)
        assert main(command) == 0
        assert training.status == "RUNNING"

    assert is_abandoned(folder)
    assert main(command) == 0
    assert training.status == "KILLED"
    (folder / ".lock").write_text("process 1 on another-machine\n")
    assert not is_abandoned(folder)
    (folder / ".lock").unlink()
    os.mkfifo(folder / ".lock")
    assert not is_abandoned(folder)


def test_a_training_that_is_no_part_of_a_pipeline_ends_its_parent(training: Training) -> None:
    sync = RunFolderSync(finished_run(training.folder), TrackingTarget(training.server, leg="alone"))
    assert sync.step().ended == 1
    (parent,) = parents(training.client, sync.leg_run.pipeline.pipeline_run_id)
    assert parent.info.status == "FINISHED"


def test_losses_that_are_not_finite_arrive_as_they_are(training: Training) -> None:
    folder = begin(training.folder)
    for step, value in ((1, float("nan")), (2, float("inf")), (3, 0.5)):
        append(folder, {**training_step(step), "metrics": {"A_loss": value}})
    for _ in range(2):
        training.send()

    nan, infinite, finite = (point[2] for point in history(training.client, training.run, "loss/A_loss"))
    assert math.isnan(nan) and infinite > 1e300 and finite == 0.5


def test_more_points_than_one_request_takes_all_arrive(training: Training) -> None:
    train(begin(training.folder), 1, 1100)
    assert training.send().metrics == 3300
    assert training.steps("loss/B_loss") == list(range(1, 1101))


@pytest.mark.parametrize("names", [["猫", "狗", "鸟", "马"], ["a+b", "a b", "a'b", "a_b"], ["x" * 240, "x" * 241]])
def test_pictures_of_any_name_arrive_once(training: Training, names: list[str]) -> None:
    folder = begin(training.folder)
    train(folder, 1, 5)
    for name in names:
        sample(folder, 5, name=name)
    finish(folder, 5)

    assert training.send().images == 6 * len(names)
    assert training.send() == Sent()
    assert len(images(training.client, training.run)) == 12 * len(names)


def test_a_line_that_no_trainer_wrote_is_named_and_what_came_before_it_is_not_sent_twice(training: Training) -> None:
    folder = begin(training.folder)
    train(folder, 1, 2)
    sync = RunFolderSync(folder, training.place)
    sync.step()
    with RunFolder(folder).events.open("a") as file:
        file.write("no event\n")

    for _ in range(2):
        with pytest.raises(BadInput, match=r"events\.jsonl:4: not JSON .*not written by the trainer"):
            sync.step()

    assert len(history(training.client, training.run, "loss/A_loss")) == 2
