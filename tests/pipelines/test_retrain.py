"""Retraining: when it is due, why, and that two calls at the same time submit one run."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest

from components.tracking.store import connect
from components.train.runtimes import code_digest
from pipelines.fingerprint import fingerprint
from pipelines.profile import Profile, load_profile
from pipelines.retrain import DAY, Champion, decide
from tests.pipelines.kfp_server import KfpServer

Command = Callable[..., tuple[int, str, str]]
NOW = 1_800_000_000.0


@pytest.fixture
def profile() -> Profile:
    return load_profile("ascend910")


@pytest.fixture
def champion(profile: Profile) -> Champion:
    tags = {"code_digest": code_digest(), "dataset_digest": "d1", **fingerprint(profile)}
    return Champion("4", NOW - 10 * DAY, tags)


def reasons(profile: Profile, champion: Champion | None, digest: str | None = "d1", days: float | None = None) -> str:
    return "; ".join(decide(profile, champion, digest, days, NOW).reasons)


def test_nothing_changed_is_not_due(profile: Profile, champion: Champion) -> None:
    assert reasons(profile, champion) == "" and reasons(profile, champion, None, 30) == ""


def test_every_change_is_due_and_named(profile: Profile, champion: Champion) -> None:
    assert reasons(profile, None) == "there is no champion yet"
    assert reasons(profile, champion, "d2") == "the dataset changed since the champion, version 4"
    assert reasons(profile, champion, days=7) == "the champion, version 4, is 10 days old; 7 are allowed"
    changed = {"image": "dualgan-parity/cpu:v2"}
    assert reasons(profile.model_copy(update=changed), champion).startswith("the images changed")
    changed_bounds = {"bounds": {"max_loss_ratio": 1.5}}
    assert reasons(profile.model_copy(update=changed_bounds), champion).startswith(
        "the bounds or the reference changed"
    )
    older_code = replace(champion, tags={**champion.tags, "code_digest": "other"})
    assert reasons(profile, older_code).startswith("the trainer's code changed")
    unknown = replace(champion, tags={})
    assert "the trainer's code is not recorded" in reasons(profile, unknown)


def test_what_is_decided_alike_has_one_key_and_what_differs_another(profile: Profile, champion: Champion) -> None:
    def key(digest: str, days: float | None = None) -> str:
        return decide(profile, champion, digest, days, NOW).key

    assert key("d2") == key("d2")
    assert len({key("d1"), key("d2"), key("d1", 9), key("d1", 4)}) == 4


def retrain(*arguments: str) -> tuple[str, ...]:
    return ("retrain", "--profile", "ascend910", "--dataset", "synthetic", *arguments)


def test_two_processes_at_the_same_time_submit_one_run(kfp: KfpServer, tracked: str) -> None:
    program = [sys.executable, "-m", "pipelines", *retrain("--poll", "0")]
    calls = [subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(2)]
    answers = [(call.communicate(timeout=300)[0], call.returncode) for call in calls]
    assert [code for _, code in answers] == [0, 0], answers
    assert len(kfp.runs) == 1
    assert sorted("nothing submitted: " in said for said, _ in answers) == [False, True], answers


def test_a_run_that_failed_is_tried_again_and_not_for_ever(kfp: KfpServer, tracked: str, command: Command) -> None:
    for count in (1, 2):
        assert command(*retrain("--attempts", "2"))[0] == 0
        assert len(kfp.runs) == count
        for run in kfp.runs.values():
            run["state"] = "FAILED"
    code, _, errors = command(*retrain("--attempts", "2"))
    assert code == 1 and "failed 2 times" in errors and len(kfp.runs) == 2


@pytest.mark.parametrize("state", ["RUNNING", "SUCCEEDED"])
def test_a_run_that_is_there_is_not_repeated(kfp: KfpServer, tracked: str, command: Command, state: str) -> None:
    command(*retrain())
    kfp.runs["run-1"]["state"] = state
    code, printed, _ = command(*retrain())
    assert code == 0 and "nothing submitted: run run-1" in printed and len(kfp.runs) == 1


def test_a_claim_that_was_never_used_gives_way_after_a_while(kfp: KfpServer, tracked: str, command: Command) -> None:
    command(*retrain())
    kfp.runs.clear()
    assert "another call is submitting it" in command(*retrain())[1]
    for experiment in kfp.experiments.values():
        experiment["created_at"] = "2026-01-01T00:00:00+00:00"
    assert command(*retrain())[0] == 0 and len(kfp.runs) == 1


def test_a_dry_run_says_why_and_submits_nothing(kfp: KfpServer, tracked: str, command: Command) -> None:
    code, printed, _ = command(*retrain("--dry-run"))
    assert code == 0 and "due: there is no champion yet" in printed and not kfp.runs


def test_the_champion_of_the_registry_is_what_is_held_against(
    kfp: KfpServer, tracked: str, command: Command, profile: Profile
) -> None:
    client = connect(tracked)
    client.create_registered_model("mine")
    tags = {"code_digest": code_digest(), "dataset_digest": "d1", **fingerprint(profile)}
    version = client.create_model_version("mine", "file:///nowhere", tags=tags)
    client.set_registered_model_alias("mine", "champion", version.version)
    code, printed, _ = command(*retrain("--model", "mine", "--dataset-digest", "d1"))
    assert code == 0 and "not due" in printed and not kfp.runs
    _, printed, _ = command(*retrain("--model", "mine", "--dataset-digest", "d2"))
    assert "due: the dataset changed" in printed and len(kfp.runs) == 1


def test_a_champion_trained_with_other_options_is_held_against_those(
    kfp: KfpServer, tracked: str, command: Command
) -> None:
    wanted = ("--model", "slow", "--option", "lr=0.5", "--dataset-digest", "d1")
    assert command(*retrain(*wanted))[0] == 0
    (run,) = kfp.runs.values()
    task = run["pipeline_spec"]["pipeline_spec"]["root"]["dag"]["tasks"]["publish-npu"]
    tags = task["inputs"]["parameters"]["tags"]["runtimeValue"]["constant"]
    client = connect(tracked)
    client.create_registered_model("slow")
    made = client.create_model_version(
        "slow", "file:///nowhere", tags={"code_digest": code_digest(), "dataset_digest": "d1", **tags}
    )
    client.set_registered_model_alias("slow", "champion", made.version)
    _, printed, _ = command(*retrain(*wanted))
    assert "not due" in printed and len(kfp.runs) == 1
    assert "the training options" in command(*retrain("--model", "slow", "--dataset-digest", "d1", "--dry-run"))[1]


def test_without_mlflow_nothing_is_decided(kfp: KfpServer, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    code, _, errors = command(*retrain())
    assert code == 2 and "--tracking-uri" in errors and not kfp.requests
