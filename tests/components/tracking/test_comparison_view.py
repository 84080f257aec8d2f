"""A comparison in MLflow: what its pipeline run carries, and what a browser shows at the addresses that are printed."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from components.tracking.comparison_view import has_view, log_comparison, publish_view, view_key
from components.tracking.runs import PipelineRun, find_experiment
from components.tracking.sync import RunFolderSync
from components.tracking.target import TrackingTarget
from components.tracking.ui import comparison_url, view_url
from tests.components.tracking.folders import finished_run
from tests.components.tracking.observed import legs, parents

COMPARISON: dict[str, Any] = {
    "schema_version": 2,
    "verdict": "inconclusive",
    "axes": {
        "function": {
            "verdict": "pass",
            "numbers": {"npu": {"legs": 2}},
            "bound": None,
            "reason": "both legs finished",
        },
        "training": {
            "verdict": "inconclusive",
            "numbers": {"npu": {"min_loss_ratio": 1.04, "not_measured": None, "diverged": float("nan"), "flag": True}},
            "bound": 1.15,
            "reason": "one run a leg",
        },
        "images": {"verdict": "not_measured"},
    },
}


def comparison_folder(folder: Path, comparison: Any = COMPARISON) -> Path:
    folder.mkdir()
    (folder / "comparison.json").write_text(json.dumps(comparison))
    (folder / "report.html").write_text("<p>report</p>")
    (folder / "report.md").write_text("# Report")
    (folder / "npu_A2B.jpg").write_bytes(b"picture")
    return folder


def test_the_pipeline_run_carries_verdicts_numbers_and_reports(
    tmp_path: Path, server: str, client: MlflowClient
) -> None:
    RunFolderSync(finished_run(tmp_path / "run"), TrackingTarget(server, pipeline_run_id="compared", leg="npu")).step()
    pipeline = PipelineRun("shapes", "compared")

    ids = [log_comparison(client, pipeline, folder) for folder in [comparison_folder(tmp_path / "out")] * 2]

    (run,) = parents(client, "compared")
    assert ids == [run.info.run_id] * 2
    assert run.data.metrics == {"parity/function/legs": 2.0, "parity/training/min_loss_ratio": 1.04}
    assert len(client.get_metric_history(run.info.run_id, "parity/training/min_loss_ratio")) == 1
    verdicts = {name: value for name, value in run.data.tags.items() if name.startswith("verdict")}
    assert verdicts == {
        "verdict": "inconclusive",
        "verdict.function": "pass",
        "verdict.function.reason": "both legs finished",
        "verdict.training": "inconclusive",
        "verdict.training.reason": "one run a leg",
        "verdict.images": "not_measured",
    }
    files = [file.path for file in client.list_artifacts(run.info.run_id)]
    assert sorted(files) == ["comparison.json", "npu_A2B.jpg", "report.html", "report.md"]


def test_each_of_two_candidates_has_its_own_comparison_and_the_run_has_the_worse_verdict(
    tmp_path: Path, server: str, client: MlflowClient
) -> None:
    for name, role in (("gpu", "reference"), ("npu", "candidate"), ("npu/2", "candidate")):
        place = TrackingTarget(server, pipeline_run_id="two-candidates", leg=name, role=role)  # type: ignore[arg-type]
        RunFolderSync(finished_run(tmp_path / name), place).step()
    for name, verdict in (("npu", "fail"), ("npu/2", "pass")):
        content = {**COMPARISON, "candidates": [name], "verdict": verdict}
        log_comparison(client, PipelineRun("shapes", "two-candidates"), comparison_folder(tmp_path / verdict, content))

    (run,) = parents(client, "two-candidates")
    assert (run.data.tags["verdict"], run.data.tags["candidate.npu/2"]) == ("fail", "pass")
    folders = [file.path for file in client.list_artifacts(run.info.run_id)]
    assert len(folders) == 2 and folders[0] == "npu" and folders[1].startswith("npu_2-")
    for folder, verdict in zip(folders, ("fail", "pass"), strict=True):
        stored = client.download_artifacts(run.info.run_id, f"{folder}/comparison.json", str(tmp_path))
        assert json.loads(Path(stored).read_text())["verdict"] == verdict
    assert run.info.status == "FINISHED"


CHROMIUM_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--dump-dom"),
    *("--virtual-time-budget=30000", "--window-size=1900,1700"),
)


def page_text(url: str, profile: Path, last: str) -> str:
    """Return the page's text; on a busy machine Chromium draws less in its time, so it is asked again for ``last``."""
    browser = shutil.which("chromium")
    assert browser, "this test needs Chromium (apt-get install chromium)"
    command = [browser, *CHROMIUM_FLAGS, f"--user-data-dir={profile}", url]
    text = ""
    for _ in range(4):
        text = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
        if last in text:
            break
    return text


@pytest.mark.system("chromium")
def test_the_pages_show_curves_and_images_of_the_legs_of_one_pipeline_run_and_no_other(
    tmp_path: Path, server: str, client: MlflowClient
) -> None:
    for pipeline_run_id, leg in (("page", "page-gpu"), ("page", "page-npu"), ("not-page", "stranger")):
        target = TrackingTarget(server, pipeline_run_id=pipeline_run_id, leg=leg, experiment="page")
        RunFolderSync(finished_run(tmp_path / leg, name="猫'"), target).step()
    experiment_id = str(find_experiment(client, "page"))
    assert not has_view(client, experiment_id, "page")
    publish_view(client, experiment_id, "page", legs(client, "page", "page"))
    assert has_view(client, experiment_id, "page")

    both = ("page-gpu seed 3", "page-npu seed 3")
    for url, shown in (
        (comparison_url(server, experiment_id, "page"), (*both, ">loss<")),
        (
            view_url(server, experiment_id, view_key("page")),
            (*both, "Legs of page", ">Curves<", ">Images<", "A2B/猫_-"),
        ),
    ):
        text = page_text(url, tmp_path / "profile", last=shown[-1])
        assert [words for words in shown if words not in text] == []
        assert "stranger" not in text
