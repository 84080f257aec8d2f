"""Retraining: when it is due, why, and that two calls at the same time submit one run."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities.model_registry import ModelVersion, ModelVersionTag

from components.common.revision import code_commit
from components.tracking.store import connect
from components.train.runtimes import code_digest
from pipelines.fingerprint import fingerprint
from pipelines.profile import Profile, load_profile
from pipelines.retrain import DAY, decide
from tests.pipelines.kfp_server import KfpServer, Refusal

Command = Callable[..., tuple[int, str, str]]
NOW = 1_800_000_000.0


@pytest.fixture
def profile() -> Profile:
    return load_profile("ascend910")


def champion(tags: dict[str, str]) -> ModelVersion:
    made = int((NOW - 10 * DAY) * 1000)
    return ModelVersion("dualgan", "4", made, tags=[ModelVersionTag(*tag) for tag in tags.items()])


def recorded(profile: Profile) -> dict[str, str]:
    return {"code_digest": code_digest(), "dataset_digest": "d1", **fingerprint(profile)}


@pytest.mark.parametrize(
    ("changed_profile", "changed_tags", "digest", "days", "reason"),
    [
        ({}, {}, "d1", None, ""),
        ({}, {}, None, 30, ""),
        ({}, {}, "d2", None, "the dataset changed since the champion, version 4"),
        ({}, {}, "d1", 7, "the champion, version 4, is 10 days old; 7 are allowed"),
        ({"image": "dualgan-parity/cpu:v2"}, {}, "d1", None, "the images changed"),
        ({"bounds": {"max_loss_ratio": 1.5}}, {}, "d1", None, "the bounds or the reference changed"),
        ({"seeds": (0, 1)}, {}, "d1", None, "the training options, seeds or environments changed"),
        ({}, {"code_digest": "other"}, "d1", None, "the trainer's code changed"),
        ({}, None, "d1", None, "of the champion, version 4, the trainer's code is not recorded"),
    ],
)
def test_every_change_is_due_and_named(
    profile: Profile,
    changed_profile: dict[str, Any],
    changed_tags: dict[str, str] | None,
    digest: str | None,
    days: float | None,
    reason: str,
) -> None:
    wanted = profile.model_copy(update=changed_profile)
    known = champion({} if changed_tags is None else {**recorded(profile), **changed_tags})
    found = "; ".join(decide(wanted, known, digest, days, NOW)[0])
    assert found.startswith(reason) and bool(found) is bool(reason)
    assert decide(wanted, None, digest, days, NOW)[0] == ["there is no champion yet"]


def test_what_is_decided_alike_has_one_key_and_what_differs_another(profile: Profile) -> None:
    asked = [("d1", None), ("d1", None), ("d2", None), ("d1", 9), ("d1", 4)]
    known = champion(recorded(profile))
    assert len({decide(profile, known, digest, days, NOW)[1] for digest, days in asked}) == 4


def retrain(*arguments: str) -> tuple[str, ...]:
    return ("retrain", "--profile", "ascend910", "--dataset", "synthetic", *arguments)


def register_champion(tracked: str, run: dict[str, Any], model: str, **tags: str) -> None:
    """Do what the last task of a run does, with the tags that its package has for it."""
    task = run["pipeline_spec"]["pipeline_spec"]["root"]["dag"]["tasks"]["publish-npu"]
    given = task["inputs"]["parameters"]["tags"]["runtimeValue"]["constant"]
    client = connect(tracked)
    client.create_registered_model(model)
    tags = {**given, "code_digest": code_digest(), **tags}
    version = client.create_model_version(model, "file:///nowhere", tags=tags).version
    client.set_registered_model_alias(model, "champion", version)


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


def test_a_run_that_is_there_is_not_repeated_unless_forced(kfp: KfpServer, tracked: str, command: Command) -> None:
    command(*retrain())
    for state in ("RUNNING", "SUCCEEDED"):
        kfp.runs["run-1"]["state"] = state
        code, printed, _ = command(*retrain())
        assert code == 0 and "nothing submitted: run run-1" in printed and len(kfp.runs) == 1
    assert command(*retrain("--force"))[0] == 0 and len(kfp.runs) == 2


def test_a_claim_that_was_never_used_gives_way_after_a_while(kfp: KfpServer, tracked: str, command: Command) -> None:
    command(*retrain())
    kfp.runs.clear()
    assert "another call is submitting it" in command(*retrain())[1]
    for experiment in kfp.experiments.values():
        experiment["created_at"] = "2026-01-01T00:00:00+00:00"
    assert command(*retrain())[0] == 0 and len(kfp.runs) == 1


def test_a_dry_run_says_why_and_submits_nothing_nor_does_a_call_without_mlflow(
    kfp: KfpServer, tracked: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, printed, _ = command(*retrain("--dry-run"))
    assert code == 0 and "due: there is no champion yet" in printed and not kfp.runs
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    code, _, errors = command(*retrain())
    assert code == 2 and "--tracking-uri" in errors and not kfp.requests


def test_the_champion_of_the_registry_is_what_is_held_against_with_the_options_that_trained_it(
    kfp: KfpServer, tracked: str, command: Command
) -> None:
    wanted = ("--model", "slow", "--option", "lr=0.5", "--dataset-digest")
    assert command(*retrain(*wanted, "d1"))[0] == 0
    (run,) = kfp.runs.values()
    register_champion(tracked, run, "slow", dataset_digest="d1")
    _, printed, _ = command(*retrain(*wanted, "d1"))
    assert "not due" in printed and len(kfp.runs) == 1
    assert "the training options" in command(*retrain("--model", "slow", "--dataset-digest", "d1", "--dry-run"))[1]
    _, printed, _ = command(*retrain(*wanted, "d2"))
    assert "due: the dataset changed" in printed and len(kfp.runs) == 2


def test_a_retrain_is_of_a_version_and_what_cannot_be_uploaded_is_not_claimed(
    kfp: KfpServer, tracked: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> dict[str, Any]:
        raise Refusal(403, "not authorized to create pipelines")

    with monkeypatch.context() as patched:
        patched.setattr(kfp, "_new_pipeline", refuse)
        code, _, errors = command(*retrain("--upload"))
        assert code == 2 and "not authorized" in errors and not kfp.experiments
    assert command(*retrain("--upload"))[0] == 0
    (version,) = kfp.versions
    assert kfp.runs["run-1"]["pipeline_version_reference"]["pipeline_version_id"] == version


def test_a_second_retrain_on_the_same_images_has_nothing_to_do_whatever_registry_has_them(
    kfp: KfpServer, tracked: str, command: Command, tmp_path: Path
) -> None:
    def images(registry: str, digit: str) -> tuple[str, ...]:
        """A list of what the profile needs, as an option."""
        commit = code_commit()
        listed = [
            {
                "name": name,
                "reference": f"{registry}/dualgan-parity/{name}@sha256:{digit * 64}",
                "architectures": [architecture],
                "revision": commit,
            }
            for name, architecture in (("cpu", "amd64"), ("ascend", "arm64"))
        ]
        file = tmp_path / "images.json"
        file.write_text(json.dumps(listed))
        return "--model", "by-digest", "--images", str(file)

    assert command(*retrain(*images("registry.example", "0")))[0] == 0
    register_champion(tracked, kfp.runs["run-1"], "by-digest")
    for registry in ("registry.example", "mirror.example:5000"):
        assert "not due: nothing changed" in command(*retrain(*images(registry, "0")))[1] and len(kfp.runs) == 1
    printed = command(*retrain(*images("registry.example", "1"), "--dry-run"))[1]
    assert printed.count("due: ") == 1 and "due: the images changed since the champion" in printed
    assert "due: the images changed" in command(*retrain("--model", "by-digest", "--dry-run"))[1]
