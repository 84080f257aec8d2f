"""What KFP's answers say of a package's tasks, from answers of a real KFP."""

from typing import Any

import kfp_server_api
import pytest

from pipelines.package import read_package
from pipelines.run_progress import (
    duration,
    newest_driver,
    newest_try,
    run_state,
    task_count,
    task_states,
    workflow_of,
)
from tests.pipelines.recorded_runs import PACKAGE, Answer, recorded

TASKS = read_package(PACKAGE)


def as_model(answer: Answer) -> Any:
    return kfp_server_api.ApiClient()._ApiClient__deserialize(answer, "V2beta1Run")


def states(answer: Answer) -> dict[str, str]:
    return {task.name: str(task) for task in task_states(as_model(answer), TASKS)}


def test_only_tasks_of_the_package_are_told_each_once() -> None:
    assert states(recorded("running")) == {
        "dataset": "succeeded in 21 s",
        "train-fake-npu-seed-0": "succeeded in 56 s",
        "train-plain-seed-0": "succeeded in 55 s",
        "sample-fake-npu-seed-0": "succeeded in 36 s",
        "sample-plain-seed-0": "succeeded in 36 s",
        "trace-plain": "running",
    }
    assert len(states(recorded("succeeded"))) == task_count(TASKS) == 9


def test_tries_are_those_of_the_task_and_what_was_never_begun_is_left_out() -> None:
    assert states(recorded("failed-after-retry")) == {
        "dataset": "succeeded in 20 s",
        "train-fake-npu-seed-0": "failed after 4 min, 2 tries",
        "train-plain-seed-0": "failed after 84 s",
    }
    tries = {task.name: len(task.tries) for task in task_states(as_model(recorded("succeeded-after-retry")), TASKS)}
    assert {name for name, count in tries.items() if count == 2} == {"train-fake-npu-seed-0", "train-plain-seed-0"}
    assert {name for name, count in tries.items() if count == 1} == set(tries) - {
        "train-fake-npu-seed-0",
        "train-plain-seed-0",
    }


def test_a_terminated_run_is_called_so_and_its_tasks_too() -> None:
    answer = recorded("terminated")
    assert answer["state"] == "FAILED"
    assert run_state(as_model(answer)) == "TERMINATED" and states(answer) == {"dataset": "terminated"}
    assert run_state(as_model(recorded("failed-after-retry"))) == "FAILED"


def test_the_newest_try_is_what_argo_calls_it() -> None:
    run = as_model(recorded("failed-after-retry"))
    # The pods whose logs said why the trainings failed.
    assert newest_try(run, "train-fake-npu-seed-0") == "dualgan-parity-retry-shm6h-854298436"
    assert newest_try(run, "train-plain-seed-0") == "dualgan-parity-retry-shm6h-2176003356"
    assert newest_try(run, "publish-fake-npu") is None
    assert newest_driver(run, "dataset") is not None and newest_driver(run, "root") is not None
    assert workflow_of(run) == "dualgan-parity-retry-shm6h"


@pytest.mark.parametrize("numbered", [True, False])
def test_tries_are_found_whether_or_not_argo_repeats_whole_tasks(numbered: bool) -> None:
    """Without a retry of every template, nodes other than a task's own pods have no number."""
    hashes = {True: "wf-2266918513", False: "wf-4027116638"}
    path = [{"display_name": "wf(0)"}, {"display_name": "root(0)"}, {"display_name": "dataset(0)"}] if numbered else []
    rows = [
        {"display_name": "wf"},
        {"display_name": "root"},
        {"display_name": "dataset"},
        *path,
        {"display_name": "executor", "child_tasks": [{"pod_name": hashes[numbered]}]},
        {"display_name": "executor(0)", "state": "RUNNING"},
    ]
    assert newest_try(as_model({"run_details": {"task_details": rows}}), "dataset") == hashes[numbered]


def _training(answer: Answer) -> Answer:
    """``answer`` while both trainings are on their first try."""
    for row in answer["run_details"]["task_details"]:
        if row["start_time"] == "2026-11-27T03:51:04Z":
            row["state"] = "RUNNING"
    return answer


@pytest.mark.parametrize(("pending", "told"), [(2, True), (1, None), (0, False)])
def test_a_try_without_a_container_is_known_if_all_that_began_with_it_have_none(
    pending: int, told: bool | None
) -> None:
    answer = _training(recorded("running"))
    waiting = [
        row
        for row in answer["run_details"]["task_details"]
        if (row["display_name"], row["start_time"]) == ("executor(0)", "2026-11-27T03:51:04Z")
    ]
    for row in waiting[:pending]:
        row["state"] = "PENDING"
    found = {task.name: task.without_container for task in task_states(as_model(answer), TASKS)}
    assert found["train-plain-seed-0"] is found["train-fake-npu-seed-0"] is told
    assert found["trace-plain"] is False and found["dataset"] is False


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (99, "99 s"), (2460, "41 min"), (3600, "1 h 0 min"), (172800, "48 h 0 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
