"""The verdict of a run: MLflow's, or else what the comparison wrote into its log, which KFP gives."""

from collections.abc import Callable

import kfp_server_api
import pytest

from components.compare.verdict import Verdict, verdict_in_log, verdict_line
from components.tracking.store import connect
from pipelines import read_verdict as verdict_module
from pipelines.kfp_api import KfpApi
from pipelines.kfp_endpoint import endpoint
from pipelines.package import read_package
from pipelines.read_verdict import verdict_in_logs
from pipelines.run_progress import newest_try
from tests.pipelines.kfp_server import KfpServer
from tests.pipelines.recorded_runs import PACKAGE, Answer, recorded
from tests.services import free_port

Command = Callable[..., tuple[int, str, str]]
Submit = Callable[..., tuple[int, str, str]]
COMPARISON = "compare-fake-npu-with-plain"
ADDRESS = "s3://bucket/kfp/dualgan-parity-real/run-1/compare-fake-npu-with-plain/0f/comparison"


def log_of(verdict: Verdict) -> str:
    """A log as KFP keeps it: lines of the launcher around those of the task."""
    line = verdict_line("fake-npu", verdict, ADDRESS)
    return f"I1127 main.go: Setting log level to: '1'\ncompare: function pass\n{line}\nI1127 uploaded\n"


def node_of(answer: Answer, task: str) -> str:
    """Argo's name of a task's newest try."""
    found = newest_try(kfp_server_api.ApiClient()._ApiClient__deserialize(answer, "V2beta1Run"), task)
    assert found
    return found


@pytest.fixture
def submit(kfp: KfpServer, command: Command) -> Submit:
    """``submit`` of a run whose comparison has this log, as KFP answered for it, by default when it had succeeded."""

    def submit(log: str | None, *arguments: str, answer: Answer | None = None) -> tuple[int, str, str]:
        found = answer or recorded("succeeded")
        kfp.recorded = [found]
        if log is not None:
            kfp.logs = {node_of(found, COMPARISON): log}
        return command("submit", "--package", PACKAGE, "--poll", "0", *arguments)

    return submit


@pytest.mark.parametrize(("verdict", "code"), [(Verdict.PASS, 0), (Verdict.FAIL, 3), (Verdict.INCONCLUSIVE, 4)])
def test_a_line_of_the_log_says_what_mlflow_does_not_have(
    submit: Submit, tracked: str, verdict: Verdict, code: int
) -> None:
    found, printed, errors = submit(log_of(verdict))
    assert (found, errors) == (code, "")
    assert f"the verdict is from its comparison, kept at {ADDRESS} (MLflow (" in printed
    assert printed.endswith(f"\nverdict: {verdict}\n")


def test_an_mlflow_that_is_away_or_not_named_is_no_obstacle(submit: Submit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    code, printed, _ = submit(log_of(Verdict.FAIL), "--tracking-uri", f"http://127.0.0.1:{free_port()}")
    assert code == 3 and "no answer (Connection refused)" in printed
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    code, printed, _ = submit(log_of(Verdict.FAIL))
    assert code == 3 and "MLflow was not asked" in printed


def test_what_mlflow_has_counts(submit: Submit, tracked: str) -> None:
    connect(tracked).create_run("0", tags={"role": "pipeline", "pipeline_run_id": "run-1", "verdict": "inconclusive"})
    code, printed, _ = submit(log_of(Verdict.PASS))
    assert code == 4 and "the verdict is from MLflow" in printed


@pytest.mark.parametrize("log", [None, "", "I1127 nothing of a verdict\n"])
def test_a_log_without_the_line_is_no_verdict(submit: Submit, monkeypatch: pytest.MonkeyPatch, log: str | None) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    code, _, errors = submit(log)
    assert code == 1 and len(errors.splitlines()) == 1
    assert "succeeded; its verdict is not known: " in errors and "nor do the logs of its comparisons say one" in errors


def test_a_run_that_fails_after_its_comparison_tells_the_verdict_and_fails(submit: Submit, tracked: str) -> None:
    answer = recorded("succeeded")
    answer["state"] = "FAILED"
    (publish,) = [row for row in answer["run_details"]["task_details"] if row["display_name"] == "publish-fake-npu"]
    publish["state"] = "FAILED"
    code, printed, errors = submit(log_of(Verdict.PASS), answer=answer)
    assert code == 1 and "failed at publish-fake-npu" in errors
    assert f"its comparison came to its end all the same: pass, kept at {ADDRESS}" in printed


def test_the_last_such_line_of_a_log_counts() -> None:
    found = verdict_in_log(log_of(Verdict.FAIL) + log_of(Verdict.PASS))
    assert found and (found.verdict, found.address) == (Verdict.PASS, ADDRESS)


def test_of_two_comparisons_both_must_say_theirs_and_the_worse_counts(
    kfp: KfpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The recorded run has one: its replay stands in for another.
    other = "replay-fake-npu"
    monkeypatch.setattr(verdict_module, "COMPARISON_TASK", ("compare-", "replay-"))
    answer = recorded("succeeded")
    kfp.recorded, kfp.runs["run-1"] = [answer], {}
    api, package = KfpApi(endpoint(kfp.url, None)), read_package(PACKAGE)
    kfp.logs = {node_of(answer, COMPARISON): log_of(Verdict.PASS)}
    assert verdict_in_logs(api, "run-1", package) is None
    kfp.logs[node_of(answer, other)] = log_of(Verdict.FAIL)
    found = verdict_in_logs(api, "run-1", package)
    assert found and found.verdict is Verdict.FAIL
