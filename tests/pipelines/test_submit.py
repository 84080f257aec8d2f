"""Submitting: what reaches KFP, and which exit code CI gets for every end that a run can have."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.common.revision import code_commit
from components.tracking.store import connect
from pipelines.kfp_api import KfpApi
from pipelines.package import RUN_ID, Package
from pipelines.profile import load_profile
from pipelines.run_progress import task_count
from tests.pipelines.conftest import package_once
from tests.pipelines.kfp_server import KfpServer

Command = Callable[..., tuple[int, str, str]]
# Profiles for a cluster name no dataset: that is the user's.
DATASET = ("--dataset", "s3://team/faces")
QUICK = (*DATASET, "--poll", "0")
SCHEDULE = ("schedule", *DATASET, "--cron", "0 17 3 * * *")


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
        kfp.runs[identifier] = kfp.runs.pop(made(asked)["run_id"])
        kfp.runs[identifier]["run_id"] = identifier
        return kfp.runs[identifier]

    monkeypatch.setattr(kfp, "_new_run", new_run)
    return identifier


@pytest.mark.parametrize(("verdict", "code"), [("pass", 0), ("fail", 3), ("inconclusive", 4), (None, 1)])
def test_a_run_that_succeeded_ends_with_its_verdict_and_tells_each_state_once(
    kfp: KfpServer, tracked: str, run_id: str, command: Command, verdict: str | None, code: int
) -> None:
    kfp.states = ("PENDING", "RUNNING", "RUNNING", "SUCCEEDED")
    if verdict:
        judged(tracked, run_id, verdict)
    ended, printed, errors = command("submit", *QUICK)
    assert ended == code and ("has no verdict of run" in errors) is (verdict is None)
    assert f"run: {kfp.url}/#/runs/details/{run_id}" in printed
    assert [line for line in printed.splitlines() if line.startswith("train-npu")] == [
        "train-npu-seed-0: pending",
        "train-npu-seed-0: running",
        f"train-npu-seed-0: succeeded (1 of {task_count(package_once(load_profile('ascend910-vs-gpu')))})",
    ]


@pytest.mark.parametrize("state", ["FAILED", "CANCELED", "SKIPPED", "PAUSED"])
def test_a_run_that_ends_otherwise_is_a_failure_whatever_was_logged(
    kfp: KfpServer, tracked: str, run_id: str, command: Command, state: str
) -> None:
    kfp.states = ("RUNNING", state)
    judged(tracked, run_id, "pass")
    code, _, errors = command("submit", *QUICK)
    assert (code, len(errors.splitlines())) == (1, 1) and state.lower() in errors


def test_the_package_reaches_kfp_whole_with_parameters_of_its_types(kfp: KfpServer, command: Command) -> None:
    parameters = ("--parameter", "quarantine=true", "--parameter", "experiment=5", "--option", "lr=0.5")
    root = ("--pipeline-root", "s3://team/kfp", "--service-account", "runner")
    code, _, errors = command("submit", *DATASET, "--no-wait", *parameters, *root)
    assert (code, errors) == (0, "")
    (run,) = kfp.runs.values()
    wanted = {"dataset": DATASET[1], "quarantine": True, "experiment": "5", "options": {"lr": 0.5}}
    assert run["runtime_config"] == {"parameters": wanted, "pipeline_root": "s3://team/kfp"}
    assert run["service_account"] == "runner" and set(run["pipeline_spec"]) == {"pipeline_spec", "platform_spec"}


@pytest.mark.parametrize(
    "trouble", [{"troubles": [500, 500]}, {"troubles": [503, 429]}, {"troubles": [0, 0]}, {"lost_answers": 1}]
)
def test_hiccups_and_lost_answers_are_survived_and_make_one_run(
    kfp: KfpServer, tracked: str, run_id: str, command: Command, trouble: dict[str, Any]
) -> None:
    judged(tracked, run_id, "pass")
    for name, value in trouble.items():
        setattr(kfp, name, value)
    assert command("submit", *QUICK)[0] == 0
    assert len(kfp.runs) == 1


@pytest.mark.parametrize(
    ("trouble", "code", "named"),
    [
        ([401], 2, "token"),
        ([403], 2, "token"),
        ([404], 2, "address"),
        ([400], 2, "refused"),
        ([302], 2, "it sends elsewhere (302)"),
        ([503] * 4, 1, "answers 503"),
        ([0] * 4, 1, "no answer"),
    ],
)
def test_a_refusal_or_a_server_that_never_recovers_is_one_line(
    kfp: KfpServer, command: Command, trouble: list[int], code: int, named: str
) -> None:
    kfp.troubles = trouble
    ended, _, errors = command("submit", *DATASET)
    assert (ended, len(errors.splitlines())) == (code, 1)
    assert named in errors and not kfp.runs and not kfp.troubles and kfp.requests == []


def test_a_run_that_is_not_over_in_time_goes_on(kfp: KfpServer, run_id: str, command: Command) -> None:
    kfp.states = ("RUNNING",)
    code, _, errors = command("submit", *QUICK, "--timeout", "0")
    assert code == 1 and "not over after 0 s" in errors and kfp.runs[run_id]["state"] == "RUNNING"


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


WITHOUT_POOL = (
    "description: d\nimage: i:1\ndataset: synthetic\nrecorded_reference: published\nlegs:\n"
    "  - {name: npu, runtime: tf1, device: npu, resources: {accelerator: huawei.com/Ascend910}}\n"
)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--parameter", "speed=9"), "parameter 'speed': unknown"),
        (("--parameter", "quarantine=5"), "parameter quarantine: 5 is not of type BOOLEAN"),
        (("--parameter", "options=[1]"), "parameter options: [1] is not of type STRUCT"),
        (("--parameter", "tracking_uri=http://me:hush@mlflow:5000"), "http://mlflow:5000: without its login"),
        (("--dataset", "http://h/a.zip?token=hush"), "without its login"),
        (("--option", "image_size=48"), "--image_size 48"),
        (("--dataset", "sketch-foto"), "sketch-photo"),
        (("--profile", "nightly"), "profile nightly: unknown"),
        (("--profile", "without-pool.yaml"), "without a pool"),
        (("--endpoint", "http://"), "no address such as"),
        (("--ca-file", "absent.pem"), "--ca-file absent.pem: no such file"),
        (("--header", "Authorization: hush"), "--header, KFP_COOKIES: must be NAME=VALUE"),
        (("--header", "X-A=hush\n"), "--header, KFP_COOKIES: must be NAME=VALUE"),
        (("--package", "absent.yaml"), "absent.yaml: No such file"),
        (("--package", "without-pool.yaml"), "no pipeline package"),
        (("--package", "package.yaml", "--seeds", "6"), "--package: it has its seeds"),
        (("--add-to", "an-id", "--upload"), "--upload: with --add-to the package has RUN's id in it"),
        (("--timeout", "-1"), "'--timeout'"),
    ],
)
def test_wrong_input_is_one_line_without_secrets_and_submits_nothing(
    kfp: KfpServer,
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    named: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("without-pool.yaml").write_text(WITHOUT_POOL)
    code, _, errors = command("submit", *DATASET, *arguments)
    assert (code, len(errors.splitlines())) == (2, 1)
    assert named in errors and "hush" not in errors and kfp.requests == []


def test_a_profile_without_a_dataset_or_no_endpoint_submits_nothing(
    kfp: KfpServer, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for verb in (("submit",), ("retrain", "--tracking-uri", "http://mlflow"), ("schedule", "--cron", "0 17 3 * * *")):
        code, _, errors = command(*verb)
        assert (code, len(errors.splitlines())) == (2, 1)
        assert "profile ascend910-vs-gpu names no dataset: give --dataset" in errors and kfp.requests == []
    monkeypatch.delenv("KFP_ENDPOINT")
    code, _, errors = command("submit", *DATASET)
    assert code == 2 and "KFP_ENDPOINT" in errors


def test_a_schedule_is_made_enabled_and_once_and_replaced_if_asked(kfp: KfpServer, command: Command) -> None:
    assert command(*SCHEDULE)[0] == 0
    (first,) = kfp.recurring_runs.values()
    assert first["mode"] == "ENABLE" and first["trigger"]["cron_schedule"]["cron"] == "0 17 3 * * *"
    code, _, errors = command(*SCHEDULE)
    assert code == 2 and "there already; --replace it" in errors and len(kfp.recurring_runs) == 1
    assert command("schedule", *DATASET, "--cron", "17 3 * * *")[0] == 2
    # More than a page of them, and others; the answer to the first that is deleted is lost.
    kfp.lost_answers = 1
    kfp.recurring_runs |= {f"old-{number}": {**first, "recurring_run_id": f"old-{number}"} for number in range(150)}
    kfp.recurring_runs["other"] = {**first, "recurring_run_id": "other", "display_name": "other"}
    assert command(*SCHEDULE[:-1], "0 18 3 * * *", "--replace")[0] == 0
    left = {one["display_name"]: one["trigger"]["cron_schedule"]["cron"] for one in kfp.recurring_runs.values()}
    assert left == {"dualgan-parity-ascend910-vs-gpu": "0 18 3 * * *", "other": "0 17 3 * * *"}
    assert len(kfp.recurring_runs) == 2 and kfp.lost_answers == 0


def test_an_uploaded_package_is_one_version_and_what_runs_and_recurs_refers_to_it(
    kfp: KfpServer, command: Command
) -> None:
    profile = ("--profile", "ascend910")
    kfp.lost_answers = 1
    for _ in range(2):
        code, printed, errors = command("upload", *profile)
        assert code == 0, errors
    (pipeline,), (version,) = kfp.pipelines.values(), kfp.versions.values()
    assert pipeline["name"] == pipeline["display_name"] == "dualgan-parity-ascend910"
    assert version["name"].rpartition("-")[0] == code_commit()
    address = f"{kfp.url}/#/pipelines/details/{pipeline['pipeline_id']}/version/{version['pipeline_version_id']}"
    assert printed == f"version {version['name']} of dualgan-parity-ascend910: {address}\n"
    assert version["pipeline_spec"] == package_once(load_profile("ascend910")).to_api()
    # With a dataset of S3 a package has its keys, and so is another.
    wanted = (*profile, *DATASET, "--upload")
    assert command("submit", *wanted, "--no-wait")[0] == 0 and command("submit", *wanted, "--no-wait")[0] == 0
    assert command("schedule", *wanted, "--cron", "0 17 3 * * *")[0] == 0
    assert len(kfp.pipelines) == 1 and len(kfp.runs) == 2 and len(kfp.versions) == 2
    for started in (*kfp.runs.values(), *kfp.recurring_runs.values()):
        reference = started["pipeline_version_reference"]
        assert kfp.versions[reference["pipeline_version_id"]]["pipeline_id"] == reference["pipeline_id"]
        assert "pipeline_spec" not in started and started["runtime_config"]["parameters"]["dataset"] == DATASET[1]


def test_a_version_has_one_name_whether_it_was_compiled_into_a_file_or_not(
    kfp: KfpServer, command: Command, tmp_path: Path
) -> None:
    package = tmp_path / "package.yaml"
    assert command("compile", "--profile", "ascend910", "--output", package)[0] == 0
    assert command("upload", "--package", package)[0] == command("upload", "--profile", "ascend910")[0] == 0
    assert command("upload", "--profile", "ascend910", "--seeds", "2")[0] == 0
    assert len(kfp.pipelines) == 1 and len({one["name"] for one in kfp.versions.values()}) == len(kfp.versions) == 2


def test_a_pipeline_that_another_call_makes_meanwhile_is_taken(
    kfp: KfpServer, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = kfp._new_pipeline

    def new_pipeline(asked: dict[str, Any]) -> dict[str, Any]:
        made(dict(asked))
        return made(asked)

    monkeypatch.setattr(kfp, "_new_pipeline", new_pipeline)
    assert command("upload", "--profile", "ascend910")[0] == 0
    assert len(kfp.pipelines) == len(kfp.versions) == 1


def cache_key(package: Package, task: str, run_id: str) -> Any:
    """What KFP's cache knows a task by, if the run is called ``run_id``: inputs, outputs, image and command."""
    content = json.loads(json.dumps(package.specification).replace(RUN_ID, run_id))
    component = content["root"]["dag"]["tasks"][task]
    executor = content["components"][component["componentRef"]["name"]]
    return component["inputs"], executor["outputDefinitions"], content["deploymentSpec"]["executors"][f"exec-{task}"]


def test_a_run_that_adds_seeds_to_another_takes_its_trainings_from_kfps_cache() -> None:
    few, many = (package_once(load_profile("ascend910-vs-gpu").with_seeds(0, count)) for count in (3, 6))
    for task in ("dataset", "train-npu-seed-2", "sample-gpu-seed-0"):
        assert cache_key(few, task, "earlier") == cache_key(many.added_to("earlier"), task, "later")
        assert cache_key(few, task, "earlier") != cache_key(many, task, "later"), "of no other run"


def test_seeds_are_added_to_a_run_that_is_there(kfp: KfpServer, command: Command) -> None:
    assert command("submit", *DATASET, "--no-wait")[0] == 0
    (earlier,) = kfp.runs
    assert command("submit", *DATASET, "--no-wait", "--add-to", earlier, "--seeds", "6")[0] == 0
    text = json.dumps(kfp.runs[next(run for run in kfp.runs if run != earlier)])
    assert RUN_ID not in text and "train-npu-seed-5" in text
    assert command("submit", *DATASET, "--no-wait", "--add-to", "unknown")[0] != 0 and len(kfp.runs) == 2
