"""Waiting for a run: what a person reads, from the answers that a real KFP gave."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pipelines.kfp_api import KfpApi
from pipelines.kfp_endpoint import endpoint
from pipelines.package import read_package
from pipelines.submit import NO_POD_SECONDS, wait
from tests.pipelines.kfp_server import KfpServer
from tests.pipelines.recorded_runs import PACKAGE, Answer, on_the_way, recorded

Command = Callable[..., tuple[int, str, str]]
FIRST_TRY_OF_PLAIN = "dualgan-parity-retry-shm6h-2176003356"
LAST_TRY_OF_NPU = "dualgan-parity-retry-shm6h-854298436"


@pytest.fixture
def submitted(kfp: KfpServer, command: Command) -> Callable[[list[Answer]], tuple[int, list[str], str]]:
    """``submit`` while KFP gives these answers: the exit code, what a person reads of the run, the error."""

    def submit(answers: list[Answer]) -> tuple[int, list[str], str]:
        kfp.recorded = answers
        code, printed, errors = command("submit", "--package", PACKAGE, "--poll", "0")
        return code, printed.splitlines()[2:], errors

    return submit


def test_a_run_is_a_line_for_each_change_of_a_task_of_the_package(submitted: Any, tracked: str) -> None:
    _, lines, errors = submitted(on_the_way("succeeded"))
    assert lines[:3] == ["run: pending", "run: running", "dataset: running"]
    assert lines[3] == "dataset: succeeded in 21 s (1 of 9)"
    assert {line for line in lines if line.startswith("train-plain")} == {
        "train-plain-seed-0: running",
        "train-plain-seed-0: succeeded in 55 s (3 of 9)",
    }
    assert lines[-2:] == ["publish-fake-npu: succeeded in 20 s (9 of 9)", "run: succeeded"]
    # Two lines a task and three for the run.
    assert len(lines) == 9 * 2 + 3
    assert errors.startswith("error: run run-1 succeeded; ")


def test_another_try_is_told_with_how_many_there_may_be(submitted: Any, tracked: str) -> None:
    _, lines, _ = submitted(on_the_way("succeeded-after-retry"))
    assert [line for line in lines if line.startswith("train-fake-npu")] == [
        "train-fake-npu-seed-0: running",
        "train-fake-npu-seed-0: retrying (2 of 4)",
        "train-fake-npu-seed-0: succeeded in 4 min (2 of 9)",
    ]
    assert len(lines) == 9 * 2 + 2 + 3


def test_a_failed_run_shows_the_end_of_each_failed_task_s_log(kfp: KfpServer, submitted: Any) -> None:
    lines_of_log = [f"step {number}" for number in range(100)]
    kfp.logs = {
        FIRST_TRY_OF_PLAIN: "\n".join([*lines_of_log, "error: \x1b[31mtrainer of leg plain: killed\x1b[0m"]),
        LAST_TRY_OF_NPU: "x" * 1000 + "\nerror: out of memory\n\n",
    }
    code, lines, errors = submitted(on_the_way("failed-after-retry"))
    assert code == 1 and len(errors.splitlines()) == 1
    assert "run-1 failed at train-fake-npu-seed-0, train-plain-seed-0; see http" in errors
    begin = lines.index("train-plain-seed-0 failed; the log of its last try ends:")
    assert lines[begin + 1 : begin + 22] == [
        *(f"    step {number}" for number in range(81, 100)),
        "    error: trainer of leg plain: killed",
        f"    all of it: {kfp.url}/apis/v1alpha1/runs/run-1/nodes/{FIRST_TRY_OF_PLAIN}/log",
    ]
    begin = lines.index("train-fake-npu-seed-0 failed; the log of its last try ends:")
    assert lines[begin + 1 : begin + 3] == [f"    {'x' * 300}...", "    error: out of memory"]
    assert "train-fake-npu-seed-0: failed after 4 min, 2 tries" in lines
    assert not [line for line in lines if line.startswith(("publish", "compare", "executor", "root"))]


def test_a_log_that_is_gone_is_said_and_hides_nothing(kfp: KfpServer, submitted: Any) -> None:
    kfp.logs = {LAST_TRY_OF_NPU: ""}
    code, lines, errors = submitted([recorded("failed-after-retry")])
    assert code == 1 and "failed at train-fake-npu-seed-0, train-plain-seed-0" in errors
    assert any(line.startswith("    (it cannot be read: ") and "waiting to start" in line for line in lines)
    # Of a pod that Kubernetes refused, the reason stands with Argo alone.
    assert sum("kubectl get workflow dualgan-parity-retry-shm6h " in line for line in lines) == 2


def test_a_task_whose_pod_was_refused_points_to_kfps_own_pod_or_the_workflow(kfp: KfpServer, submitted: Any) -> None:
    answer = recorded("failed-after-retry")
    rows = answer["run_details"]["task_details"]
    answer["run_details"]["task_details"] = [row for row in rows if not row["display_name"].startswith("executor")]
    # The driver of a task is found by its own name, that of the other is not there at all.
    driver = next(row for row in rows if row["display_name"] == "train-plain-seed-0-driver")["child_tasks"][0]
    kfp.logs = {driver["pod_name"]: "F1127 driver.go: MLflow run ID is empty"}
    for row in rows:
        if row["display_name"].startswith("train-fake-npu-seed-0-driver"):
            row["display_name"] = "another"
    _, lines, _ = submitted([answer])
    begin = lines.index("train-plain-seed-0 failed; the log of the pod that KFP prepares it in ends:")
    assert lines[begin + 1] == "    F1127 driver.go: MLflow run ID is empty"
    assert any(line.startswith("train-fake-npu-seed-0 failed without a pod") for line in lines)
    assert any("kubectl get workflow dualgan-parity-retry-shm6h " in line for line in lines)


def test_a_run_that_was_terminated_is_called_so(submitted: Any) -> None:
    code, lines, errors = submitted(on_the_way("terminated"))
    assert code == 1 and errors == "error: run run-1 was terminated (canceled) before its end\n"
    assert "run: canceling" in lines and lines[-1] == "run: terminated" and "dataset: terminated" in lines


def test_another_program_that_answers_ends_the_submission_and_not_the_waiting(
    kfp: KfpServer, submitted: Any, command: Command, monkeypatch: pytest.MonkeyPatch, tracked: str
) -> None:
    kfp.page = "<html>sign in</html>"
    code, lines, errors = submitted([])
    assert code == 2 and lines == [] and "is not KFP's API, it answers with text/html" in errors and not kfp.runs
    kfp.page = None
    look, pages = kfp._look, iter([True, False])

    def broken_once(run_id: str) -> Any:
        return "<html>sign in</html>" if next(pages, False) else look(run_id)

    monkeypatch.setattr(kfp, "_look", broken_once)
    _, lines, errors = submitted([recorded("succeeded")])
    assert lines[0].endswith("; still waiting") and lines[-1] == "run: succeeded"


def _queueing(pending: int) -> Answer:
    """Both trainings on their first try, ``pending`` of them without a container."""
    answer = recorded("running")
    for row in answer["run_details"]["task_details"]:
        if row["start_time"] == "2026-11-27T03:51:04Z":
            row["state"] = "RUNNING"
            if row["display_name"] == "executor(0)" and pending:
                row["state"], pending = "PENDING", pending - 1
    return answer


@pytest.fixture
def waited(kfp: KfpServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[list[Answer]], list[str]]]:
    """What is told while KFP gives these answers, a minute apart."""
    now = iter(range(0, 10**6, 20))
    monkeypatch.setattr(KfpApi, "sleep", lambda *_: None)
    kfp.runs["run-1"] = {}

    def wait_for(answers: list[Answer]) -> list[str]:
        kfp.recorded = answers
        told: list[str] = []
        api = KfpApi(endpoint(kfp.url, None))
        with pytest.raises(Exception, match="terminated"):
            wait(api, "run-1", read_package(PACKAGE), told.append, poll=0, clock=lambda: float(next(now)))
        return [line for line in told if line.startswith("train-")]

    yield wait_for


LOOKS = int(NO_POD_SECONDS / 20) + 2


def test_tasks_that_wait_for_their_pods_are_told_after_some_minutes_and_once(waited: Any) -> None:
    both = waited([_queueing(2)] * 2 * LOOKS + [_queueing(0), recorded("terminated")])
    assert [line.partition(":")[0] for line in both[:2]] == ["train-fake-npu-seed-0", "train-plain-seed-0"]
    assert all(": no pod yet after 5 min: image, secret or room?" in line for line in both[:2])
    assert both[2:] == ["train-fake-npu-seed-0: running", "train-plain-seed-0: running"]
    assert waited([_queueing(2)] * (LOOKS - 4) + [recorded("terminated")]) == []


def test_of_tasks_that_began_together_those_without_a_log_have_no_pod(kfp: KfpServer, waited: Any) -> None:
    kfp.logs = {"dualgan-parity-real-ls8xm-2158369150": "I1127 the launcher of train-plain\n"}
    told = waited([_queueing(1)] * 2 * LOOKS + [recorded("terminated")])
    assert [line for line in told if "no pod" in line] == [
        "train-fake-npu-seed-0: no pod yet after 5 min: image, secret or room? `parity doctor --cluster` looks"
    ]
    # KFP answers 500 for what has no container: that costs one call.
    assert sum(request.endswith("/log") for request in kfp.requests) == 2
