import json
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from components.tracking.comparison_view import log_comparison
from components.tracking.placement import Placement
from components.tracking.runs import PipelineRun
from components.tracking.sync import RunFolderSync
from dualgan.errors import BadInput
from tests.components.tracking.folders import finished_run
from tests.components.tracking.observed import parents

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
    RunFolderSync(finished_run(tmp_path / "run"), Placement(server, pipeline_run_id="compared", leg="npu")).step()
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
    assert run.info.status == "FINISHED"


@pytest.mark.parametrize("content", ["no JSON", "[]", "{}", '{"verdict": "pass"}'])
def test_a_folder_without_a_comparison_is_refused_before_anything_is_logged(
    tmp_path: Path, direct_client: MlflowClient, content: str
) -> None:
    (tmp_path / "comparison.json").write_text(content)

    with pytest.raises(BadInput, match=r"comparison\.json"):
        log_comparison(direct_client, PipelineRun("never-made", "x"), tmp_path)

    assert direct_client.get_experiment_by_name("never-made") is None
