import io
import os
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from PIL import Image

from components.tracking.events import START, events_after
from components.tracking.placement import Placement, read_placement, write_placement
from components.tracking.runs import PARENT_TAG
from components.tracking.store import connect, store_uri
from components.tracking.sync import RunFolderSync, Sent, end_interrupted, is_abandoned
from dualgan.errors import BadInput
from dualgan.run_folder import SAMPLE_KINDS, RunFolder
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


def place(server: str, pipeline_run_id: str, leg: str = "cpu-tf1") -> Placement:
    return Placement(server, pipeline_run_id=pipeline_run_id, leg=leg, role="reference", runtime="tf1")


def expected_points(metric: str, steps: range) -> list[tuple[int, int, float]]:
    return [(step, int(event_time(step) * 1000), value_of(metric, step)) for step in steps]


def test_one_sync_sends_every_point_with_its_original_time_and_value(
    tmp_path: Path, server: str, client: MlflowClient
) -> None:
    folder = finished_run(tmp_path / "run")

    sent = RunFolderSync(folder, place(server, "complete")).step()

    run = only_leg(client, "complete")
    for metric in METRICS:
        assert history(client, run, f"loss/{metric}") == expected_points(metric, range(1, 21))
    assert [point[0] for point in history(client, run, "time/sec_per_step")] == [10, 20]
    assert sent.images == 6


def test_a_second_sync_sends_nothing_and_doubles_nothing(tmp_path: Path, server: str, client: MlflowClient) -> None:
    folder = finished_run(tmp_path / "run")
    RunFolderSync(folder, place(server, "twice")).step()
    before = only_leg(client, "twice")

    assert RunFolderSync(folder, place(server, "twice")).step() == Sent()

    after = only_leg(client, "twice")
    assert after.data.to_dictionary() == before.data.to_dictionary()
    assert len(history(client, after, "loss/A_loss")) == 20
    assert len(images(client, after)) == 12
    assert len(after.inputs.dataset_inputs) == 1


def test_the_run_says_what_ran_and_on_which_data(tmp_path: Path, server: str, client: MlflowClient) -> None:
    RunFolderSync(finished_run(tmp_path / "run"), place(server, "described")).step()

    run = only_leg(client, "described")
    assert run.data.params == {"seed": "3", "lr": "0.0002", "steps": "20", "device": "cpu"}
    expected = {
        "leg": "cpu-tf1",
        "role": "reference",
        "seed": "3",
        "pipeline_run_id": "described",
        "device": "cpu",
        "device_name": "a test CPU",
        "runtime": "tf1",
        "tensorflow": "1.15.0",
        "python": "3.7.16",
        "git_commit": "0123abcd",
        "dataset": "shapes",
        "dataset_digest": "d" * 64,
    }
    assert expected.items() <= run.data.tags.items()
    dataset = run.inputs.dataset_inputs[0].dataset
    assert (dataset.name, dataset.digest) == ("shapes", "d" * 36)


def test_a_finished_run_has_its_summary_and_ends_when_training_ended(
    tmp_path: Path, server: str, client: MlflowClient
) -> None:
    RunFolderSync(finished_run(tmp_path / "run"), place(server, "summary")).step()

    run = only_leg(client, "summary")
    summary = {name: value for name, value in run.data.metrics.items() if name.startswith("summary/")}
    assert summary == {
        "summary/min_loss": 0.05,
        "summary/final_A_loss": 0.06,
        "summary/final_B_loss": 0.07,
        "summary/sec_per_step": 0.1,
        "summary/sec_per_step_p95": 0.12,
        "summary/images_per_sec": 10.0,
    }
    assert run.info.status == "FINISHED"
    assert run.info.end_time == int(typed("finished", 20)["time"] * 1000)


def test_legs_and_seeds_are_children_of_one_pipeline_run(tmp_path: Path, server: str, client: MlflowClient) -> None:
    for leg, seed in (("gpu", 1), ("npu", 1), ("npu", 2)):
        folder = finished_run(tmp_path / f"{leg}-{seed}", seed)
        RunFolderSync(folder, place(server, "family", leg)).step()

    (parent,) = parents(client, "family")
    children = legs(client, "family")
    assert sorted((run.data.tags["leg"], run.data.tags["seed"]) for run in children) == [
        ("gpu", "1"),
        ("npu", "1"),
        ("npu", "2"),
    ]
    assert {run.data.tags[PARENT_TAG] for run in children} == {parent.info.run_id}


def test_step_images_follow_the_convention_of_the_image_grid(tmp_path: Path, server: str, client: MlflowClient) -> None:
    folder = begin(tmp_path / "run")
    train(folder, 1, 5)
    sample(folder, 5, images=6)
    finish(folder, 5)

    RunFolderSync(folder, place(server, "grid")).step()

    run = only_leg(client, "grid")
    names = images(client, run)
    moment = int(typed("sample", 5)["time"] * 1000)
    full = [name for name in names if name.endswith(".png")]
    assert {name.partition("+timestamp+")[0] for name in full} == {
        f"{kind}~{image:04d}+step+5" for kind in SAMPLE_KINDS for image in range(4)
    }
    assert all(f"+timestamp+{moment}+" in name for name in full)
    assert {name.removesuffix("+compressed.webp") + ".png" for name in names if name not in full} == set(full)
    assert run.data.tags["mlflow.loggedImages"] == "True"
    stored = client.download_artifacts(run.info.run_id, f"images/{full[0]}", str(tmp_path))
    assert Image.open(io.BytesIO(Path(stored).read_bytes())).size == (40, 40)


def test_a_sync_while_the_file_grows_sends_only_whole_lines_and_each_once(
    tmp_path: Path, server: str, client: MlflowClient
) -> None:
    folder = begin(tmp_path / "run")
    sync = RunFolderSync(folder, place(server, "growing"))
    train(folder, 1, 3)
    with RunFolder(folder).events.open("a") as file:
        file.write('{"step": 4, "time": 17')
        file.flush()
        sync.step()
        file.write('50000004, "metrics": {"A_loss": 0.5}}\n')
    sync.step()
    train(folder, 5, 6)
    sync.step()

    points = history(client, only_leg(client, "growing"), "loss/A_loss")
    assert [point[0] for point in points] == [1, 2, 3, 4, 5, 6]
    assert only_leg(client, "growing").info.status == "RUNNING"


@pytest.mark.parametrize("same_process", [True, False])
def test_a_resumed_training_that_wrote_later_steps_again_doubles_nothing(
    tmp_path: Path, server: str, client: MlflowClient, same_process: bool
) -> None:
    name = f"resumed-{same_process}"
    folder = begin(tmp_path / "run")
    train(folder, 1, 12)
    first = RunFolderSync(folder, place(server, name))
    first.step()
    lines = RunFolder(folder).events.read_text().splitlines(keepends=True)
    RunFolder(folder).events.write_text("".join(lines[:9]))
    append(folder, typed("resumed", 8, attempt=1))
    train(folder, 9, 20, attempt=1)
    finish(folder, 20)

    (first if same_process else RunFolderSync(folder, place(server, name))).step()

    points = history(client, only_leg(client, name), "loss/A_loss")
    assert [point[0] for point in points] == list(range(1, 21))


def test_a_training_that_was_interrupted_and_goes_on_is_running_again_until_it_ends(
    tmp_path: Path, server: str, client: MlflowClient
) -> None:
    folder = begin(tmp_path / "run")
    train(folder, 1, 5)
    finish(folder, 5, status="interrupted")
    RunFolderSync(folder, place(server, "interrupted")).step()
    statuses = [only_leg(client, "interrupted").info.status]

    append(folder, typed("resumed", 5, attempt=1))
    train(folder, 6, 8, attempt=1)
    RunFolderSync(folder, place(server, "interrupted")).step()
    statuses.append(only_leg(client, "interrupted").info.status)

    finish(folder, 8)
    RunFolderSync(folder, place(server, "interrupted")).step()
    run = only_leg(client, "interrupted")
    assert [*statuses, run.info.status] == ["KILLED", "RUNNING", "FINISHED"]
    assert [point[0] for point in history(client, run, "summary/min_loss")] == [5, 8]


def test_an_option_that_a_resumed_training_changed_is_kept_as_a_tag(
    tmp_path: Path, server: str, client: MlflowClient
) -> None:
    folder = begin(tmp_path / "run")
    train(folder, 1, 2)
    RunFolderSync(folder, place(server, "changed")).step()
    options = RunFolder(folder).options
    options.write_text(options.read_text().replace('"steps": 20', '"steps": 40'))

    RunFolderSync(folder, place(server, "changed")).step()

    run = only_leg(client, "changed")
    assert (run.data.params["steps"], run.data.tags["resumed.steps"]) == ("20", "40")


def test_a_training_process_that_died_without_a_summary_has_failed(
    tmp_path: Path, server: str, client: MlflowClient
) -> None:
    folder = begin(tmp_path / "run")
    train(folder, 1, 2)

    RunFolderSync(folder, place(server, "died")).step(ended=True)
    RunFolderSync(folder, place(server, "died")).step()

    assert only_leg(client, "died").info.status == "FAILED"


def test_what_an_interrupted_pipeline_left_open_is_killed_and_runs_again_if_it_goes_on(
    tmp_path: Path, server: str, client: MlflowClient
) -> None:
    finished, killed = finished_run(tmp_path / "run" / "train-gpu"), begin(tmp_path / "run" / "train-npu")
    train(killed, 1, 5)
    for folder, leg in ((finished, "gpu"), (killed, "npu")):
        write_placement(folder, place(server, "killed-pipeline", leg))
        RunFolderSync(folder, read_placement(folder)).step()
    begin(tmp_path / "run" / "not-followed")

    assert end_interrupted(tmp_path / "run") == 2
    assert end_interrupted(tmp_path / "run") == 0

    assert {run.data.tags["leg"]: run.info.status for run in legs(client, "killed-pipeline")} == {
        "gpu": "FINISHED",
        "npu": "KILLED",
    }
    assert [run.info.status for run in parents(client, "killed-pipeline")] == ["KILLED"]
    train(killed, 6, 7)
    RunFolderSync(killed, read_placement(killed)).step()
    assert [run.info.status for run in parents(client, "killed-pipeline")] == ["RUNNING"]


def test_a_training_whose_trainer_is_gone_is_killed_by_the_next_sync(
    tmp_path: Path, server: str, client: MlflowClient
) -> None:
    folder = begin(tmp_path / "run")
    train(folder, 1, 5)
    command = ["sync", str(folder), "--tracking-uri", server, "--pipeline-run-id", "gone"]
    assert not is_abandoned(folder)
    with RunFolder(folder).locked():
        assert not is_abandoned(folder)
        assert main(command) == 0
        statuses = [only_leg(client, "gone").info.status]

    assert is_abandoned(folder)
    assert main(command) == 0
    statuses.append(only_leg(client, "gone").info.status)
    assert statuses == ["RUNNING", "KILLED"]
    (folder / ".lock").write_text("process 1 on another-machine\n")
    assert not is_abandoned(folder)
    (folder / ".lock").unlink()
    os.mkfifo(folder / ".lock")
    assert not is_abandoned(folder)


def test_a_training_that_is_no_part_of_a_pipeline_ends_its_parent(
    tmp_path: Path, server: str, client: MlflowClient
) -> None:
    sync = RunFolderSync(finished_run(tmp_path / "run"), Placement(server, leg="alone"))
    assert sync.step().ended == 1
    assert [run.info.status for run in parents(client, sync.leg_run.pipeline.pipeline_run_id)] == ["FINISHED"]


def test_losses_that_are_not_finite_arrive_as_they_are(tmp_path: Path, server: str, client: MlflowClient) -> None:
    folder = begin(tmp_path / "run")
    for step, value in ((1, float("nan")), (2, float("inf")), (3, 0.5)):
        append(folder, {**training_step(step), "metrics": {"A_loss": value}})

    for _ in range(2):
        RunFolderSync(folder, place(server, "not-finite")).step()

    values = [point[2] for point in history(client, only_leg(client, "not-finite"), "loss/A_loss")]
    assert len(values) == 3
    assert values[0] != values[0]
    assert values[1] > 1e300
    assert values[2] == 0.5


def test_more_points_than_one_request_takes_all_arrive(tmp_path: Path, store: Path) -> None:
    folder = begin(tmp_path / "run")
    train(folder, 1, 1100)

    sent = RunFolderSync(folder, place(store_uri(store), "many")).step()

    assert sent.metrics == 3300
    client = connect(store_uri(store))
    run = only_leg(client, "many")
    assert [point[0] for point in history(client, run, "loss/B_loss")] == list(range(1, 1101))


@pytest.mark.parametrize(
    "names", [["猫", "狗", "鸟", "马"], ["a/b".replace("/", "+"), "a b", "a'b", "a_b"], ["x" * 240, "x" * 241]]
)
def test_pictures_of_any_name_arrive_once(tmp_path: Path, server: str, client: MlflowClient, names: list[str]) -> None:
    folder = begin(tmp_path / "run")
    train(folder, 1, 5)
    for name in names:
        sample(folder, 5, name=name)
    finish(folder, 5)
    placement = place(server, f"names-{len(names[0])}-{len(names)}")

    sent = RunFolderSync(folder, placement).step()

    assert sent.images == 6 * len(names)
    assert RunFolderSync(folder, placement).step() == Sent()
    assert len(images(client, only_leg(client, str(placement.pipeline_run_id)))) == 12 * len(names)


@pytest.mark.parametrize(
    "line",
    [
        "no event",
        "[" * 100_000,
        '{"step": 1e999, "time": 1}',
        '{"step": 1, "time": 1e999}',
        '{"step": 1, "time": 1e300}',
        '{"step": -1, "time": 1}',
        '{"step": 9' + "9" * 5000 + ', "time": 1}',
        '{"step": 1, "time": 1, "metrics": [1]}',
        '{"step": 1, "time": "\\ud800"}',
        '{"step": 3, "time": 1, "x": "' + "x" * 2_000_000 + '"}',
    ],
)
def test_a_line_that_no_trainer_wrote_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text(line + "\n")
    with pytest.raises(BadInput, match=r"events\.jsonl: the line at byte 0 is no event"):
        list(events_after(file, START))


def test_a_broken_line_is_named_and_what_came_before_it_is_not_sent_twice(
    tmp_path: Path, server: str, client: MlflowClient
) -> None:
    folder = begin(tmp_path / "run")
    train(folder, 1, 2)
    sync = RunFolderSync(folder, place(server, "broken"))
    sync.step()
    with RunFolder(folder).events.open("a") as file:
        file.write("no event\n")

    with pytest.raises(BadInput, match=r"events\.jsonl: the line at byte \d+ is no event"):
        sync.step()

    assert len(history(client, only_leg(client, "broken"), "loss/A_loss")) == 2
