"""The whole job as `make run` does it, small: every task in a process of its own, both legs, MLflow, the verdict."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from components.tracking.runs import find_experiment, leg_runs, pipeline_runs
from components.tracking.store import connect, store_uri
from components.train.runtimes import is_set_up
from dualgan.run_folder import LOSS_METRICS, read_json
from tests.pipelines.backend_rules import long_metadata, refused_output

SMALL = ("image_size=32", "gcn=4", "dcn=4", "max_steps=30", "sample_freq=15", "save_freq=0")
STEPS = 30
SEEDS = (0,)


def pipelines(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "pipelines", *arguments],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
        env={**os.environ, **variables},
    )


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def output(results: Path) -> str:
    """What a run of profile "local" prints; results and store are in a folder of the test."""
    options = [part for option in SMALL for part in ("--option", option)]
    answer = pipelines(
        "run", "--dataset", "synthetic://?n=10&size=32", "--results", str(results), *options,
        "--seeds", str(len(SEEDS)),
        "--tracking-uri", store_uri(results / "mlflow"),
    )  # fmt: skip
    # 30 steps decide nothing about speed or images: any verdict will do, a failure won't.
    assert answer.returncode in (0, 3, 4), answer.stdout + answer.stderr
    return answer.stdout


def legs() -> list[str]:
    return ["cpu-tf1" if is_set_up("tf1") else "cpu-tf2-plain", "cpu-tf2"]


def test_it_shows_the_progress_of_each_step_and_the_verdict(output: str) -> None:
    for leg in legs():
        for seed in SEEDS:
            assert f"train {leg} seed {seed}: finished after {STEPS} steps" in output
            assert f"sample {leg} seed {seed}: drew 8 images of A and 8 of B" in output
    assert "executor_input" not in output
    assert output.splitlines()[-4].split(":")[0] in ("PASS", "FAIL", "INCONCLUSIVE")


def test_the_comparison_is_of_the_legs_as_they_were(output: str, results: Path) -> None:
    comparison = json.loads((results / "latest" / "comparison.json").read_text())
    assert comparison["reference"] == legs()[0] and comparison["candidates"] == [legs()[1]]
    assert comparison["axes"]["function"]["verdict"] == "pass"
    assert comparison["axes"]["training"]["verdict"] == "inconclusive"
    assert "one run a leg is weak evidence" in comparison["axes"]["training"]["reason"]
    assert comparison["axes"]["arithmetic"]["verdict"] == "pass"
    for leg in legs():
        assert [run["seed"] for run in comparison["legs"][leg]["runs"]] == list(SEEDS)
    version = "1.15.0" if is_set_up("tf1") else "2."
    assert comparison["legs"][legs()[0]]["tensorflow"].startswith(version)
    assert "on a CPU" in (results / "latest" / "report.html").read_text()


def test_mlflow_has_every_loss_of_every_leg_under_one_pipeline_run(output: str, results: Path) -> None:
    client = connect(store_uri(results / "mlflow"))
    experiment = find_experiment(client, "synthetic")
    assert experiment
    (parent,) = client.search_runs([experiment], "tags.role = 'pipeline'")
    runs = leg_runs(client, experiment, parent.data.tags["pipeline_run_id"])
    found = [(run.data.tags["leg"], run.data.tags["seed"]) for run in runs]
    assert sorted(found) == sorted((leg, str(seed)) for leg in legs() for seed in SEEDS)
    assert len(pipeline_runs(client, experiment, parent.data.tags["pipeline_run_id"])) == 1
    for run in runs:
        for metric in LOSS_METRICS:
            history = client.get_metric_history(run.info.run_id, f"loss/{metric}")
            assert [point.step for point in history] == list(range(1, STEPS + 1)), metric
        assert client.list_artifacts(run.info.run_id, "images")
    assert parent.data.tags["verdict"] in ("pass", "fail", "inconclusive")


def test_the_candidate_is_registered_as_challenger_and_as_champion_if_it_passed(output: str, results: Path) -> None:
    client = connect(store_uri(results / "mlflow"))
    (model,) = client.search_registered_models()
    passed = output.splitlines()[-4].startswith("PASS")
    assert model.name == "dualgan-synthetic"
    assert sorted(model.aliases) == (["challenger", "champion"] if passed else ["challenger"])
    version = client.get_model_version_by_alias(model.name, "challenger")
    assert version.tags["leg"] == legs()[1] and version.tags["verdict"] in ("pass", "fail", "inconclusive")
    assert f"model: dualgan-synthetic version 1, {' and '.join(sorted(model.aliases))}" in output


def test_every_task_left_its_artifact(output: str, results: Path) -> None:
    (run,) = (results / "runs").iterdir()
    for name in [f"{leg}-seed-{seed}" for leg in legs() for seed in SEEDS]:
        (summary,) = run.glob(f"*/train-{name}/records/summary.json")
        assert read_json(summary)["status"] == "finished"
        (sheet,) = run.glob(f"*/sample-{name}/sheet")
        assert "A2B2A" in sheet.read_text()


def test_a_cluster_would_take_what_every_task_left(output: str, results: Path) -> None:
    (run,) = (results / "runs").glob("*/*/")
    files = [task / "executor_output.json" for task in run.iterdir()]
    assert len(files) >= 9
    for file in files:
        text = file.read_text()
        assert refused_output(text) == [], file
        # The comparison's metrics have no reader but KFP's page.
        assert [found for found in long_metadata(text) if not found.startswith("metrics:")] == [], file


def test_records_and_model_are_apart_and_both_whole(output: str, results: Path) -> None:
    (run,) = (results / "runs").iterdir()
    for leg in legs():
        (records,), (model,) = (list(run.glob(f"*/train-{leg}-seed-0/{name}")) for name in ("records", "model"))
        names = {path.name for path in records.iterdir()}
        # And where the run belongs in MLflow, and the machine's metrics, since another pod knows neither.
        assert names == {*("events.jsonl", "options.json", "samples", "summary.json"), "tracking.json", "system.jsonl"}
        assert {path.name for path in model.iterdir()} == {"checkpoint", "options.json"}
        metrics = json.loads((records.parent / "executor_output.json").read_text())["artifacts"]["metrics"]
        assert {"steps", "min_loss", "sec_per_step", "final_A_loss"} <= set(metrics["artifacts"][0]["metadata"])


def test_an_unreadable_image_ends_the_run_in_one_line_and_leaves_nothing(tmp_path: Path, results: Path) -> None:
    dataset = tmp_path / "broken"
    for domain in "AB":
        (dataset / "train" / domain).mkdir(parents=True)
        (dataset / "train" / domain / "1.png").write_bytes(b"no image")
    answer = pipelines("run", "--dataset", str(dataset), "--results", str(tmp_path / "results"))
    assert answer.returncode == 2, answer.stdout + answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1
    assert answer.stderr.startswith("error: ") and "1.png" in answer.stderr
    assert not list((tmp_path / "results").rglob("*"))


@pytest.mark.system()
def test_with_several_seeds_training_gets_a_verdict(tmp_path: Path) -> None:
    options = [part for option in SMALL for part in ("--option", option)]
    answer = pipelines(
        "run", "--dataset", "synthetic://?n=10&size=32", "--results", str(tmp_path), *options,
        "--seed", "3", "--seeds", "2", "--tracking-uri", store_uri(tmp_path / "mlflow"),
    )  # fmt: skip
    assert answer.returncode in (0, 3, 4), answer.stdout + answer.stderr
    comparison = read_json(tmp_path / "latest" / "comparison.json")
    for leg in legs():
        assert [run["seed"] for run in comparison["legs"][leg]["runs"]] == [3, 4]
    assert comparison["axes"]["training"]["verdict"] == "pass"
    assert comparison["axes"]["training"]["numbers"][legs()[1]]["final_A_loss_ratio_low"] > 0.9
