"""A leg's run in MLflow as the reference of a later comparison."""

from pathlib import Path

import pytest

from components.compare.judge import compare
from components.compare.references import load_reference
from components.compare.verdict import AxisName, Verdict
from components.tracking.placement import Placement
from components.tracking.store import store_uri
from components.tracking.sync import RunFolderSync
from dualgan.errors import BadInput
from tests.components.run_folders import write_leg
from tests.components.tracking.conftest import database, no_tracking_variables, store

__all__ = ["database", "no_tracking_variables", "store"]


def test_a_run_in_mlflow_is_a_reference_for_what_its_summary_holds(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store_uri(store))
    leg = write_leg("gpu", tmp_path / "gpu", seeds=[0], device="gpu", device_name="Example GPU")
    sync = RunFolderSync(
        leg.sources[0].run, Placement(store_uri(store), pipeline_run_id="then", leg="gpu", role="reference")
    )
    sync.step()
    recorded = load_reference(f"mlflow:{sync.run_id}")
    assert recorded.hardware == "TensorFlow 2.21.0 on Example GPU"
    assert set(recorded.measurements) == {"min_loss", "final_A_loss", "final_B_loss", "sec_per_step"}

    comparison = compare([write_leg("npu", tmp_path / "npu", noise=2)], None, tmp_path / "output", recorded=recorded)
    assert comparison.axes[AxisName.TRAINING].verdict is Verdict.PASS
    assert comparison.axes[AxisName.PERFORMANCE].verdict is Verdict.PASS
    assert comparison.axes[AxisName.IMAGES].verdict is Verdict.NOT_MEASURED


def test_a_run_that_is_not_there_is_named_with_its_server(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store_uri(store))
    with pytest.raises(BadInput, match=r"reference mlflow:0123: sqlite:.* has no such run"):
        load_reference("mlflow:0123")
