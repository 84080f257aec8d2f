"""Submitting: what reaches KFP, and which exit code CI gets for every end that a run can have."""

from collections.abc import Callable
from pathlib import Path

import pytest

from components.tracking.store import connect
from pipelines.kfp_api import KfpApi
from pipelines.profile import load_profile
from pipelines.run_progress import task_count
from tests.pipelines.conftest import package_once
from tests.pipelines.kfp_server import KfpServer

Command = Callable[..., tuple[int, str, str]]
# Profiles for a cluster name no dataset: that is the user's.
DATASET = ("--dataset", "s3://team/faces")
QUICK = (*DATASET, "--poll", "0")


def judged(uri: str, run_id: str, verdict: str) -> None:
    """What the comparison of a run's pods logs."""
    client = connect(uri)
    client.create_run("0", tags={"role": "pipeline", "pipeline_run_id": run_id, "verdict": verdict})


@pytest.fixture
def run_id(kfp: KfpServer, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of the next run, of its own in each test: the store is shared."""
    identifier = f"run-of-{abs(hash(request.node.nodeid))}"
    made = kfp._new_run

    def new_run(asked: dict[str, object]) -> dict[str, object]:
        run = made(asked)
        kfp.runs[identifier] = kfp.runs.pop(run["run_id"])
        kfp.runs[identifier]["run_id"] = identifier
        return kfp.runs[identifier]

    monkeypatch.setattr(kfp, "_new_run", new_run)
    return identifier


@pytest.mark.parametrize(("verdict", "code"), [("pass", 0), ("fail", 3), ("inconclusive", 4)])
def test_a_run_that_succeeded_ends_with_its_verdict(
    kfp: KfpServer, tracked: str, run_id: str, command: Command, verdict: str, code: int
) -> None:
    judged(tracked, run_id, verdict)
    assert command("submit", *QUICK)[0] == code


@pytest.mark.parametrize("state", ["FAILED", "CANCELED", "SKIPPED", "PAUSED"])
def test_a_run_that_ends_otherwise_is_a_failure_whatever_was_logged(
    kfp: KfpServer, tracked: str, run_id: str, command: Command, state: str
) -> None:
    kfp.states = ("RUNNING", state)
    judged(tracked, run_id, "pass")
    code, _, errors = command("submit", *QUICK)
    assert (code, len(errors.splitlines())) == (1, 1)
    assert state.lower() in errors


def test_a_run_without_a_verdict_is_no_success(kfp: KfpServer, tracked: str, run_id: str, command: Command) -> None:
    code, _, errors = command("submit", *QUICK)
    assert code == 1 and "has no verdict of run" in errors


def test_states_are_told_once_each_with_the_run_s_page(
    kfp: KfpServer, tracked: str, run_id: str, command: Command
) -> None:
    kfp.states = ("PENDING", "RUNNING", "RUNNING", "SUCCEEDED")
    judged(tracked, run_id, "pass")
    _, printed, _ = command("submit", *QUICK)
    assert f"run: {kfp.url}/#/runs/details/{run_id}" in printed
    assert [line for line in printed.splitlines() if line.startswith("train-npu")] == [
        "train-npu-seed-0: pending",
        "train-npu-seed-0: running",
        f"train-npu-seed-0: succeeded (1 of {task_count(package_once(load_profile('ascend910-vs-gpu')))})",
    ]


def test_the_package_reaches_kfp_whole_with_parameters_of_its_types(
    kfp: KfpServer, run_id: str, command: Command
) -> None:
    code, _, errors = command(
        "submit",
        *DATASET,
        "--no-wait",
        "--parameter",
        "quarantine=true",
        "--parameter",
        "experiment=5",
        "--option",
        "lr=0.5",
    )
    assert (code, errors) == (0, "")
    (run,) = kfp.runs.values()
    assert run["runtime_config"]["parameters"] == {
        "dataset": DATASET[1],
        "quarantine": True,
        "experiment": "5",
        "options": {"lr": 0.5},
    }
    assert set(run["pipeline_spec"]) == {"pipeline_spec", "platform_spec"}


@pytest.mark.parametrize("trouble", [500, 503, 429, 0])
def test_hiccups_of_the_server_are_survived(
    kfp: KfpServer, tracked: str, run_id: str, command: Command, trouble: int
) -> None:
    judged(tracked, run_id, "pass")
    kfp.troubles = [trouble, trouble]
    assert command("submit", *QUICK)[0] == 0
    assert len(kfp.runs) == 1


def test_a_submission_whose_answer_was_lost_is_not_made_twice(
    kfp: KfpServer, tracked: str, run_id: str, command: Command
) -> None:
    judged(tracked, run_id, "pass")
    kfp.lost_answers = 1
    assert command("submit", *QUICK)[0] == 0
    assert len(kfp.runs) == 1


@pytest.mark.parametrize(("status", "named"), [(401, "token"), (403, "token"), (404, "address"), (400, "refused")])
def test_a_refusal_is_one_line_and_not_tried_again(kfp: KfpServer, command: Command, status: int, named: str) -> None:
    kfp.troubles = [status]
    code, _, errors = command("submit", *DATASET)
    assert (code, len(errors.splitlines())) == (2, 1)
    assert named in errors and not kfp.runs and not kfp.troubles
    assert kfp.requests == []


def test_an_expired_token_is_told_and_a_good_one_is_sent(
    kfp: KfpServer, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    kfp.token = "fresh"
    monkeypatch.setenv("KFP_EXISTING_TOKEN", "stale")
    code, _, errors = command("submit", *DATASET, "--no-wait")
    assert code == 2 and "token expired" in errors and not kfp.runs
    monkeypatch.setenv("KFP_EXISTING_TOKEN", "fresh")
    assert command("submit", *DATASET, "--no-wait")[0] == 0


def test_a_server_that_never_recovers_or_is_not_there_is_one_line(kfp: KfpServer, command: Command) -> None:
    kfp.troubles = [503] * 4
    code, _, errors = command("submit", *DATASET, "--no-wait")
    assert code == 1 and "answers 503" in errors and len(errors.splitlines()) == 1
    code, _, errors = command("submit", *DATASET, "--no-wait", "--endpoint", "http://127.0.0.1:9", "--retries", "1")
    assert code == 1 and "no answer" in errors and len(errors.splitlines()) == 1
    assert not kfp.runs


def test_a_run_that_is_not_over_in_time_goes_on(kfp: KfpServer, run_id: str, command: Command) -> None:
    kfp.states = ("RUNNING",)
    code, _, errors = command("submit", *QUICK, "--timeout", "0")
    assert code == 1 and "not over after 0 s" in errors
    assert kfp.runs[run_id]["state"] == "RUNNING"


@pytest.mark.parametrize(("asked", "state"), [((), "RUNNING"), (("--cancel-on-interrupt",), "CANCELED")])
def test_an_interruption_cancels_the_run_only_if_asked(
    kfp: KfpServer,
    run_id: str,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    asked: tuple[str, ...],
    state: str,
) -> None:
    kfp.states = ("RUNNING",)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(KfpApi, "sleep", interrupt)
    assert command("submit", *QUICK, *asked)[0] == 130
    assert kfp.runs[run_id]["state"] == state


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--parameter", "speed=9"), "parameter 'speed': unknown"),
        (("--parameter", "quarantine=5"), "parameter quarantine: 5 is not of type BOOLEAN"),
        (("--parameter", "options=[1]"), "parameter options: [1] is not of type STRUCT"),
        (("--option", "image_size=48"), "--image_size 48"),
        (("--dataset", "sketch-foto"), "sketch-photo"),
        (("--profile", "nightly"), "profile nightly: unknown"),
        (("--endpoint", "http://"), "no address such as"),
        (("--package", "absent.yaml"), "absent.yaml: No such file"),
        (("--package", "pyproject.toml"), "no pipeline package"),
        (("--timeout", "-1"), "--timeout -1"),
    ],
)
def test_wrong_input_is_one_line_and_submits_nothing(
    kfp: KfpServer, command: Command, arguments: tuple[str, ...], named: str
) -> None:
    code, _, errors = command("submit", *DATASET, *arguments)
    assert (code, len(errors.splitlines())) == (2, 1)
    assert named in errors and kfp.requests == []


def test_a_profile_without_a_dataset_asks_for_one_and_submits_nothing(kfp: KfpServer, command: Command) -> None:
    for verb in (("submit",), ("retrain", "--tracking-uri", "http://mlflow"), ("schedule", "--cron", "0 17 3 * * *")):
        code, _, errors = command(*verb)
        assert (code, len(errors.splitlines())) == (2, 1)
        assert "profile ascend910-vs-gpu names no dataset: give --dataset" in errors and kfp.requests == []


def test_without_an_endpoint_nothing_is_guessed(
    kfp: KfpServer, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KFP_ENDPOINT")
    code, _, errors = command("submit", *DATASET)
    assert code == 2 and "KFP_ENDPOINT" in errors


def test_an_accelerator_without_a_pool_submits_nothing(kfp: KfpServer, command: Command, tmp_path: Path) -> None:
    profile = tmp_path / "mine.yaml"
    profile.write_text(
        "description: d\nimage: i:1\ndataset: synthetic\nrecorded_reference: published\nlegs:\n"
        "  - {name: npu, runtime: tf1, device: npu, resources: {accelerator: huawei.com/Ascend910}}\n"
    )
    code, _, errors = command("submit", "--profile", profile)
    assert code == 2 and "without a pool" in errors and kfp.requests == []


def test_a_schedule_is_made_enabled_and_once(kfp: KfpServer, command: Command) -> None:
    assert command("schedule", *DATASET, "--cron", "0 17 3 * * *")[0] == 0
    (made,) = kfp.recurring_runs.values()
    assert made["mode"] == "ENABLE" and made["trigger"]["cron_schedule"]["cron"] == "0 17 3 * * *"
    code, _, errors = command("schedule", *DATASET, "--cron", "0 17 3 * * *")
    assert code == 2 and "there already" in errors and len(kfp.recurring_runs) == 1
    assert command("schedule", *DATASET, "--cron", "17 3 * * *")[0] == 2


def test_a_parameter_with_a_login_is_refused_since_kfp_would_show_it(kfp: KfpServer, command: Command) -> None:
    code, _, errors = command("submit", *DATASET, "--parameter", "tracking_uri=http://me:secret@mlflow:5000")
    assert code == 2 and "parameter tracking_uri: http://mlflow:5000: without its login" in errors
    assert "secret@" not in errors and not kfp.runs
    code, _, errors = command("submit", "--parameter", "dataset=http://h/a.zip?token=secret")
    assert code == 2 and "without its login" in errors and "=secret" not in errors and not kfp.runs
