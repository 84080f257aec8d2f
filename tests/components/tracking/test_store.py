import urllib.request
from pathlib import Path
from urllib.parse import quote

import pytest
from mlflow.tracking import MlflowClient

from components.common.address import Address
from components.tracking.placement import Placement
from components.tracking.store import local_store, resolve_tracking_uri, store_uri
from components.tracking.sync import RunFolderSync
from tests.components.tracking.folders import finished_run
from tests.components.tracking.observed import history, images, legs


def test_the_tracking_uri_is_the_one_asked_for_then_the_variable_then_the_local_store(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert resolve_tracking_uri() == Address(store_uri(local_store()))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://variable")
    assert resolve_tracking_uri() == Address("http://variable")
    assert resolve_tracking_uri("http://asked-for") == Address("http://asked-for")


def test_the_local_store_lies_in_the_ignored_folder_of_the_working_tree(tmp_path: Path) -> None:
    assert store_uri(local_store(tmp_path)) == f"sqlite:///{tmp_path}/.local/mlflow/mlflow.db"


def test_what_was_written_without_a_server_is_served_with_its_images(
    tmp_path: Path, shared_store: Path, server: str, client: MlflowClient
) -> None:
    placement = Placement(store_uri(shared_store), pipeline_run_id="direct", experiment="without-server")
    sync = RunFolderSync(finished_run(tmp_path / "run"), placement)
    sync.step()

    run = client.get_run(sync.run_id)
    assert len(history(client, run, "loss/A_loss")) == 20
    picture = next(name for name in images(client, run) if name.endswith(".png"))
    path = quote(f"images/{picture}")
    address = f"{server}/get-artifact?run_id={run.info.run_id}&path={path}"
    with urllib.request.urlopen(address, timeout=30) as answer:
        assert answer.read().startswith(b"\x89PNG")


@pytest.mark.parametrize("server_first", [True, False])
def test_an_experiment_can_be_used_with_the_local_server_and_without_it(
    tmp_path: Path, shared_store: Path, server: str, client: MlflowClient, server_first: bool
) -> None:
    experiment = f"both-ways-{server_first}"
    uris = [store_uri(shared_store), server]
    for number, uri in enumerate(reversed(uris) if server_first else uris):
        placement = Placement(uri, experiment=experiment, pipeline_run_id="both", leg=f"leg-{number}")
        for _ in range(2):
            folder = tmp_path / f"run-{number}"
            RunFolderSync(folder if folder.exists() else finished_run(folder), placement).step()

    found = legs(client, "both", experiment)
    assert [len(history(client, run, "loss/A_loss")) for run in found] == [20, 20]
    assert [len(images(client, run)) for run in found] == [12, 12]
