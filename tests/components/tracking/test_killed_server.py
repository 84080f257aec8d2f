"""The server is killed with SIGKILL, again and again, at moments that a seed chooses: nothing is lost or doubled."""

import random
import threading
import time
from pathlib import Path

import pytest

from components.tracking.store import connect
from components.tracking.system_metrics import recorded
from components.tracking.target import SYSTEM_METRICS, TrackingTarget, neighbour
from dualgan.run_folder import RunFolder, read_events
from parity.cli import main
from tests.components.tracking.folders import begin, finish, sample, train
from tests.components.tracking.observed import Point, following, history, images, only_leg
from tests.components.tracking.servers import KillableServer

KILLS = 10
STEPS = 500
STEPS_AT_ONCE = 5
SECONDS = 300.0


def write_run(folder: Path, until: threading.Event) -> None:
    """A run of STEPS steps and five sets of samples, whose last part is written when ``until`` is set."""
    for first in range(1, STEPS + 1, STEPS_AT_ONCE):
        if first == STEPS - STEPS_AT_ONCE + 1:
            until.wait(SECONDS)
        train(folder, first, first + STEPS_AT_ONCE - 1)
        if (first + STEPS_AT_ONCE - 1) % 100 == 0:
            sample(folder, first + STEPS_AT_ONCE - 1)
        time.sleep(0.03)
    finish(folder, STEPS)


def points_in(file: Path, name: str) -> list[Point]:
    events = [event for event in read_events(file) if name in event.get("metrics", {})]
    return [(event["step"], int(event["time"] * 1000), event["metrics"][name]) for event in events]


@pytest.mark.system
def test_after_ten_kills_the_history_of_every_metric_is_that_of_the_file(tmp_path: Path, store: Path) -> None:
    chance = random.Random(0)
    folder = begin(tmp_path / "run")
    killed, said = threading.Event(), list[str]()
    system_file = neighbour(folder, SYSTEM_METRICS)
    with KillableServer(store) as server:
        writer = threading.Thread(target=write_run, args=(folder, killed), daemon=True)
        place = TrackingTarget(server.address, pipeline_run_id="killed", leg="cpu")
        with (
            following(folder, place, said.append, interval=0.01),
            recorded(system_file, [lambda: {"load": chance.random()}], interval=0.05),
        ):
            writer.start()
            for _ in range(KILLS):
                time.sleep(chance.uniform(0.0, 0.6))
                server.kill()
                time.sleep(chance.uniform(0.0, 0.2))
                server.start()
            killed.set()
            writer.join(SECONDS)
        assert main(["sync", str(folder)]) == 0

        assert said
        client = connect(server.address)
        run = only_leg(client, "killed")
        for metric in ("A_loss", "B_loss", "d_loss"):
            assert history(client, run, f"loss/{metric}") == points_in(RunFolder(folder).events, metric)
        assert len(history(client, run, "loss/A_loss")) == STEPS
        assert history(client, run, "system/load") == points_in(system_file, "load")
        assert len(images(client, run)) == 5 * 12
        assert run.info.status == "FINISHED"
        assert run.data.tags["mlflow.loggedImages"] == "True"
        assert len(run.inputs.dataset_inputs) == 1
