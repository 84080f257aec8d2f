"""From a run folder and its comparison to a model in the registry, in a local store without a server."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient

from components.publish.component import publish as publish_task
from components.publish.registry import Graphs, logged_model_id
from components.tracking import reasons
from components.tracking.comparison_view import VIEW_TAG_PREFIX, log_comparison, view_key
from components.tracking.runs import PARENT_TAG, PipelineRun, find_experiment
from components.tracking.store import connect, store_uri
from components.tracking.target import TARGET, TrackingTarget, neighbour, take_along, write_target
from components.train.leg import LegSettings
from components.train.train import split_off_model
from dualgan.run_folder import RunFolder, read_json, write_json
from parity.cli import main
from tests.components.publish.conftest import worsen, write_comparison
from tests.components.tracking.observed import history, images, legs, only_leg, parents
from tests.services import free_port

NAME = "dualgan-shapes"


class Result(NamedTuple):
    returncode: int
    stdout: str
    stderr: str
    exported: list[Path]


Publish = Callable[..., Result]


@pytest.fixture
def publish(
    store: Path, exported: Graphs, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Publish:
    """The command line within this process, into ``store``; the export, which takes seconds, was done once."""
    asked: list[Path] = []

    def take_exported(leg: LegSettings, run: Path, output: Path) -> Graphs:
        asked.append(run)
        return exported

    monkeypatch.setattr("components.publish.publish.export_graphs", take_exported)

    def publish(*arguments: str | Path, uri: str = store_uri(store)) -> Result:
        returncode = main(["publish", *map(str, arguments), "--tracking-uri", uri])
        return Result(returncode, *capsys.readouterr(), asked)

    return publish


@pytest.fixture
def client(store: Path) -> MlflowClient:
    return connect(store_uri(store))


def aliases(client: MlflowClient) -> dict[str, str]:
    return {alias: str(version) for alias, version in client.get_registered_model(NAME).aliases.items()}


def test_a_candidate_that_passed_is_challenger_and_the_first_champion_with_its_evidence_and_twice_the_same(
    run: Path, comparison: Path, publish: Publish, client: MlflowClient
) -> None:
    answer, again = (publish(run, comparison, "--pipeline-run-id", "p1") for _ in range(2))

    assert (answer.returncode, again.returncode) == (0, 0), answer.stderr + again.stderr
    assert f"{NAME} version 1 is challenger and champion" in answer.stdout
    assert "it is the champion already" in again.stdout
    assert aliases(client) == {"challenger": "1", "champion": "1"}
    version = client.get_model_version_by_alias(NAME, "champion")
    leg = only_leg(client, "p1")
    summary = read_json(RunFolder(run).summary)
    digest = read_json(RunFolder(run).options)["dataset"]["digest"]
    expected = {
        "dataset": "shapes",
        "dataset_digest": digest,
        "leg": "npu",
        "reference": "gpu",
        "verdict": "pass",
        "step": "12",
        "image_size": "32",
        "min_loss": repr(summary["min_loss"]),
        "comparison_run_id": leg.data.tags[PARENT_TAG],
    }
    assert expected.items() <= version.tags.items()
    assert version.run_id == leg.info.run_id and leg.info.status == "FINISHED"
    assert "npu was held against gpu." in version.description
    # The model shows the metrics of its run and of its comparison; the run has them once.
    model = client.get_logged_model(logged_model_id(version))
    metrics: dict[str, Metric] = {metric.key: metric for metric in model.metrics}
    assert metrics["parity/training/min_loss_ratio"].value == 1.01
    lowest = metrics["summary/min_loss"]
    assert (lowest.value, lowest.dataset_digest, lowest.run_id) == (summary["min_loss"], digest[:36], leg.info.run_id)
    assert len(client.get_metric_history(leg.info.run_id, "summary/min_loss")) == 1
    assert (model.params["image_size"], model.source_run_id) == ("32", leg.info.run_id)


@pytest.mark.parametrize(("factor", "champion"), [(1.1, "2"), (1.3, "1")])
def test_the_champion_changes_only_for_one_that_is_not_worse(
    tmp_path: Path,
    run: Path,
    comparison: Path,
    publish: Publish,
    client: MlflowClient,
    factor: float,
    champion: str,
) -> None:
    assert publish(run, comparison).returncode == 0
    worsen(run, factor)
    second = publish(run, write_comparison(tmp_path / "second", run))

    assert second.returncode == 0, second.stderr
    assert aliases(client) == {"challenger": "2", "champion": champion}
    assert f"is {factor:.3f} times that of the champion, version 1" in second.stdout


def test_a_candidate_whose_comparison_failed_is_challenger_only(
    tmp_path: Path, run: Path, publish: Publish, client: MlflowClient
) -> None:
    # A pipeline keeps the checkpoints apart.
    split_off_model(run, tmp_path / "model")
    answer = publish(run, write_comparison(tmp_path / "failed", run, "fail"), "--model", tmp_path / "model")

    assert answer.returncode == 0, answer.stderr
    assert answer.exported == [tmp_path / "model"] and not RunFolder(run).checkpoints.exists()
    assert "not made champion: the comparison's verdict is fail" in answer.stdout
    assert aliases(client) == {"challenger": "1"}


@pytest.mark.parametrize(
    ("summary", "removed", "content", "flags", "returncode", "named"),
    [
        ({"status": "failed"}, None, None, [], 1, "did not finish (failed)"),
        ({"min_loss": 0.5}, None, None, [], 2, "give the run folder that was compared"),
        ({}, "candidate/options.json", None, [], 2, "options.json"),
        ({}, "comparison/comparison.json", None, [], 2, "comparison.json"),
        ({}, None, '{"verdict": "pass"}', [], 2, "no comparison"),
        ({}, None, None, ["--leg", "tpu"], 2, "--leg tpu: not among its candidates, npu"),
        ({}, None, None, ["--name", "a/b"], 2, "model name 'a/b'"),
    ],
)
def test_what_cannot_be_published_is_one_line_and_nothing_is_registered(
    tmp_path: Path,
    run: Path,
    comparison: Path,
    publish: Publish,
    client: MlflowClient,
    summary: dict[str, Any],
    removed: str | None,
    content: str | None,
    flags: list[str],
    returncode: int,
    named: str,
) -> None:
    write_json(RunFolder(run).summary, {**read_json(RunFolder(run).summary), **summary})
    if removed:
        (tmp_path / removed).unlink()
    if content:
        (comparison / "comparison.json").write_text(content)
    answer = publish(run, comparison, *flags)

    assert answer.returncode == returncode
    (line,) = answer.stderr.splitlines()
    assert line.startswith("error: ") and named in line
    assert client.search_registered_models() == []


@pytest.mark.parametrize("in_pod", [False, True])
def test_a_server_that_is_down_is_one_line_with_the_address_that_a_pod_s_comparison_has(
    tmp_path: Path, run: Path, comparison: Path, publish: Publish, monkeypatch: pytest.MonkeyPatch, in_pod: bool
) -> None:
    if in_pod:
        monkeypatch.setattr(reasons, "ARTIFACT_FOLDERS", {f"{tmp_path}/": "s3://"})
    uri = f"http://127.0.0.1:{free_port()}"
    answer = publish(run, comparison, uri=uri)
    assert answer.returncode == 1
    reason = f"error: {uri}: no answer (Connection refused); start the server or correct the tracking URI"
    assert answer.stderr == reason + ("; the comparison is kept at s3://comparison\n" if in_pod else "\n")


def reference_run(trained: Path, folder: Path, seed: int) -> Path:
    """The records of a reference's training, as a pipeline hands them on: tracking's files are in the folder."""
    run = Path(shutil.copytree(trained, folder))
    options = read_json(RunFolder(run).options)
    write_json(RunFolder(run).options, {**options, "options": {**options["options"], "seed": seed}})
    write_target(run, TrackingTarget(pipeline_run_id="p1", leg="gpu", role="reference", runtime="tf1"))
    take_along(run)
    neighbour(run, TARGET).unlink()
    return run


def test_whatever_is_missing_of_any_leg_and_seed_is_sent_and_the_view_of_all_is_renewed(
    tmp_path: Path, run: Path, comparison: Path, store: Path, client: MlflowClient, publish: Publish
) -> None:
    # Away since the first training began, but for the moment in which the comparison was logged.
    log_comparison(client, PipelineRun("shapes", "p1"), comparison)
    experiment = find_experiment(client, "shapes")
    view = VIEW_TAG_PREFIX + view_key("p1")
    before = json.loads(client.get_experiment(experiment).tags[view])["state"]
    others = [reference_run(run, tmp_path / f"reference-{seed}" / "records", seed) for seed in (0, 1)]

    def artifact(path: Path) -> Any:
        return SimpleNamespace(path=str(path), metadata={})

    registered = artifact(tmp_path / "registered")
    for _ in range(2):
        publish_task(
            leg=asdict(LegSettings("npu", "tf2", "cpu", "candidate")),
            model=artifact(run),
            comparison=artifact(comparison),
            pipeline_run_id="p1",
            tracking_uri=store_uri(store),
            experiment="",
            registered=registered,
            candidate_records_1=artifact(run),
            reference_records_1=artifact(others[0]),
            reference_records_2=artifact(others[1]),
            hours=0.0,
        )
    assert registered.metadata["version"] == read_json(Path(registered.path))["version"] == "1"

    runs = legs(client, "p1")
    found = {(one.data.tags["leg"], one.data.tags["seed"]): one for one in runs}
    assert sorted(found) == [("gpu", "0"), ("gpu", "1"), ("npu", "0")]
    for seed in ("0", "1"):
        reference = found["gpu", seed]
        assert (reference.data.tags["role"], reference.data.tags["runtime"]) == ("reference", "tf1")
        assert [point[0] for point in history(client, reference, "loss/A_loss")] == list(range(1, 13))
        assert len(images(client, reference)) == 12 and reference.info.status == "FINISHED"
    (parent,) = parents(client, "p1")
    assert {one.data.tags[PARENT_TAG] for one in runs} == {parent.info.run_id}
    assert len(client.get_metric_history(parent.info.run_id, "parity/training/min_loss_ratio")) == 1
    assert json.loads(client.get_experiment(experiment).tags[view])["state"] != before
