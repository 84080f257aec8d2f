"""What a browser shows at the addresses that are printed."""

import shutil
import subprocess
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from components.tracking.comparison_view import has_view, publish_view
from components.tracking.links import comparison_url, ui_address, view_url
from components.tracking.placement import Placement
from components.tracking.runs import find_experiment
from components.tracking.sync import RunFolderSync
from tests.components.tracking.folders import finished_run

CHROMIUM_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=30000",
    "--window-size=1900,1700",
    "--dump-dom",
)


def page_text(url: str, profile: Path) -> str:
    browser = shutil.which("chromium")
    assert browser, "this test needs Chromium (apt-get install chromium)"
    command = [browser, *CHROMIUM_FLAGS, f"--user-data-dir={profile}", url]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.fixture
def two_pipeline_runs(tmp_path: Path, server: str, client: MlflowClient) -> str:
    """Legs page-gpu and page-npu of pipeline run page, stranger of another; returns the experiment."""
    for pipeline_run_id, leg in (("page", "page-gpu"), ("page", "page-npu"), ("not-page", "stranger")):
        placement = Placement(server, pipeline_run_id=pipeline_run_id, leg=leg, experiment="page")
        RunFolderSync(finished_run(tmp_path / leg), placement).step()
    experiment_id = find_experiment(client, "page")
    assert experiment_id
    return experiment_id


@pytest.mark.system("chromium")
def test_the_comparison_page_shows_the_legs_of_one_pipeline_run_and_no_other(
    tmp_path: Path, server: str, two_pipeline_runs: str
) -> None:
    text = page_text(comparison_url(server, two_pipeline_runs, "page"), tmp_path / "profile")

    assert "page-gpu seed 3" in text
    assert "page-npu seed 3" in text
    assert "stranger" not in text
    assert ">loss<" in text


@pytest.mark.system("chromium")
def test_the_saved_view_opens_with_the_curves_and_the_images_of_both_legs(
    tmp_path: Path, server: str, client: MlflowClient, two_pipeline_runs: str
) -> None:
    assert not has_view(client, two_pipeline_runs, "page")
    key = publish_view(client, two_pipeline_runs, "page")
    assert has_view(client, two_pipeline_runs, "page")

    text = page_text(view_url(server, two_pipeline_runs, key), tmp_path / "profile")

    assert "Legs of page" in text
    assert "page-gpu seed 3" in text
    assert "page-npu seed 3" in text
    assert "stranger" not in text
    assert ">Curves<" in text
    assert ">Images<" in text


def test_the_address_of_a_server_is_shown_without_its_password() -> None:
    assert ui_address("https://me:secret@mlflow.example:5000/") == "https://mlflow.example:5000"
    assert ui_address("sqlite:////data/mlflow.db") is None
