import multiprocessing
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from components.tracking.runs import (
    PARENT_TAG,
    LegRun,
    PipelineRun,
    open_experiment,
    open_leg_run,
    settle_parent,
)
from components.tracking.store import connect, store_uri
from components.tracking.sync import RunFolderSync
from components.tracking.target import TrackingTarget
from tests.components.tracking.folders import finished_run
from tests.components.tracking.observed import legs, parents


def sync_leg(folder: Path, uri: str, leg: str, starting: "multiprocessing.synchronize.Barrier") -> None:
    starting.wait()
    RunFolderSync(folder, TrackingTarget(uri, pipeline_run_id="together", leg=leg, experiment="parallel")).step()


def test_legs_that_start_in_the_same_moment_end_below_one_pipeline_run(tmp_path: Path, store: Path) -> None:
    uri = store_uri(store)
    context = multiprocessing.get_context("fork")
    names = ["gpu", "npu", "npu-2"]
    starting = context.Barrier(len(names))
    processes = [
        context.Process(target=sync_leg, args=(finished_run(tmp_path / name), uri, name, starting)) for name in names
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)

    client = connect(uri)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    (parent,) = parents(client, "together", "parallel")
    children = legs(client, "together", "parallel")
    assert sorted(run.data.tags["leg"] for run in children) == names
    assert {run.data.tags[PARENT_TAG] for run in children} == {parent.info.run_id}


def test_of_two_parents_the_oldest_is_left_with_all_legs(direct_client: MlflowClient) -> None:
    experiment_id = open_experiment(direct_client, "two-parents")
    pipeline = PipelineRun("two-parents", "settled")
    tags = {"role": "pipeline", "pipeline_run_id": "settled"}
    newer = direct_client.create_run(experiment_id, start_time=2000, tags=tags)
    leg = open_leg_run(direct_client, LegRun(pipeline, "gpu", "reference", 0), start_time=1)
    assert leg.data.tags[PARENT_TAG] == newer.info.run_id
    older = direct_client.create_run(experiment_id, start_time=1000, tags=tags)

    settle_parent(direct_client, experiment_id, "settled")

    assert [run.info.run_id for run in parents(direct_client, "settled", "two-parents")] == [older.info.run_id]
    assert direct_client.get_run(leg.info.run_id).data.tags[PARENT_TAG] == older.info.run_id


def test_the_same_leg_and_seed_is_the_same_run(direct_client: MlflowClient) -> None:
    leg_run = LegRun(PipelineRun("same-leg", "same"), "gpu", "reference", 7)

    first, second = (open_leg_run(direct_client, leg_run, start_time=1).info.run_id for _ in range(2))

    assert first == second


AWKWARD = ["o'brien", 'a"b', "a`b", "o'b\"c`d", "a\nb", "a\\b", "100%_x", "猫 狗", "<b>", " ."]


@pytest.mark.parametrize("name", AWKWARD)
def test_names_that_no_search_can_quote_are_found_and_told_apart(direct_client: MlflowClient, name: str) -> None:
    pipeline = PipelineRun(name, name)
    wanted = LegRun(pipeline, name, "candidate", 0)
    others = [
        LegRun(PipelineRun(name, name.replace(name[1], "_", 1)), name, "candidate", 0),
        LegRun(pipeline, name.replace(name[1], "_", 1), "candidate", 0),
    ]

    first = open_leg_run(direct_client, wanted, start_time=2).info.run_id
    for other in others:
        assert open_leg_run(direct_client, other, start_time=1).info.run_id != first

    assert open_leg_run(direct_client, wanted, start_time=3).info.run_id == first
    assert first in [run.info.run_id for run in legs(direct_client, name, name)]
