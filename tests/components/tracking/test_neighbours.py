"""A pipeline hands a run folder on without its neighbours: the copies inside say as much."""

import json
import shutil
from pathlib import Path

from mlflow.tracking import MlflowClient

from components.tracking.placement import Placement, read_placement, take_along, write_placement
from components.tracking.sync import RunFolderSync
from components.tracking.system_metrics import system_metrics_file
from tests.components.tracking.folders import event_time, finished_run
from tests.components.tracking.observed import history, only_leg


def test_a_folder_that_was_handed_on_has_its_place_and_its_system_metrics(
    tmp_path: Path, server: str, client: MlflowClient
) -> None:
    trained = finished_run(tmp_path / "pod" / "records")
    place = Placement(server, pipeline_run_id="handed-on", leg="gpu", role="reference", runtime="tf1")
    write_placement(trained, place)
    samples = [{"type": "system", "step": n, "time": event_time(n), "metrics": {"load": n / 10}} for n in range(3)]
    system_metrics_file(trained).write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    take_along(trained)
    handed_on = Path(shutil.copytree(trained, tmp_path / "another-pod" / "records"))

    assert read_placement(handed_on) == place
    RunFolderSync(handed_on, read_placement(handed_on)).step(ended=True)

    run = only_leg(client, "handed-on")
    assert (run.data.tags["leg"], run.data.tags["role"]) == ("gpu", "reference")
    assert [point[2] for point in history(client, run, "system/load")] == [0.0, 0.1, 0.2]


def test_a_training_without_neighbours_takes_none_along(tmp_path: Path) -> None:
    folder = finished_run(tmp_path / "run")
    before = sorted(folder.rglob("*"))
    take_along(folder)
    assert sorted(folder.rglob("*")) == before and read_placement(folder) == Placement()
