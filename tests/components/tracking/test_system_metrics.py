import json
import threading
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from components.tracking.placement import Placement
from components.tracking.sync import RunFolderSync
from components.tracking.system_metrics import (
    is_switched_on,
    recorded,
    sampling_interval,
    sources,
    system_metrics_file,
)
from tests.components.tracking.folders import finished_run
from tests.components.tracking.observed import history, only_leg

SECONDS = 30.0


def lines(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


class Counted:
    """A source of metrics that says when it was asked ``wanted`` times."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._asked = 0
        self.enough = threading.Event()

    def __call__(self) -> dict[str, float]:
        self._asked += 1
        if self._asked >= self._wanted:
            self.enough.set()
        return {"asked": float(self._asked)}


def record(file: Path, samples: int) -> None:
    counted = Counted(samples)
    with recorded(file, [counted], interval=0.01):
        assert counted.enough.wait(SECONDS)


def test_the_names_are_those_of_mlflow_s_own_system_metrics() -> None:
    measured: dict[str, float] = {}
    for source in sources():
        measured.update(source())

    assert {
        "cpu_utilization_percentage",
        "system_memory_usage_megabytes",
        "system_memory_usage_percentage",
        "disk_usage_percentage",
        "network_receive_megabytes",
    } <= set(measured)
    assert 0 < measured["system_memory_usage_percentage"] <= 100


def test_samples_are_counted_on_where_a_killed_process_left_off(tmp_path: Path) -> None:
    file = tmp_path / "run.system.jsonl"
    record(file, 3)
    before = len(lines(file))
    with file.open("a") as unfinished:
        unfinished.write('{"type": "system", "st')

    record(file, 3)

    assert [line["step"] for line in lines(file)] == list(range(len(lines(file))))
    assert len(lines(file)) >= before + 3


def test_a_source_that_fails_leaves_the_others_alone(tmp_path: Path) -> None:
    def broken() -> dict[str, float]:
        raise OSError("no device")

    counted = Counted(2)
    with recorded(tmp_path / "system.jsonl", [broken, counted], interval=0.01):
        assert counted.enough.wait(SECONDS)

    assert [line["metrics"] for line in lines(tmp_path / "system.jsonl")][:2] == [{"asked": 1.0}, {"asked": 2.0}]


def test_a_file_that_cannot_be_written_ends_the_recording_and_nothing_else(tmp_path: Path) -> None:
    with recorded(tmp_path / "missing" / "system.jsonl", [Counted(1)], interval=0.01):
        pass

    assert not (tmp_path / "missing").exists()


def test_a_sync_sends_every_sample_once_where_the_page_of_system_metrics_looks_for_it(
    tmp_path: Path, server: str, client: MlflowClient
) -> None:
    folder = finished_run(tmp_path / "run")
    file = neighbour(folder, SYSTEM_METRICS)
    record(file, 3)
    placement = Placement(server, pipeline_run_id="system", leg="cpu")
    RunFolderSync(folder, placement).step()
    record(file, 2)
    for _ in range(2):
        RunFolderSync(folder, placement).step()

    points = history(client, only_leg(client, "system"), "system/asked")
    expected = [
        (line["step"], int(float(str(line["time"])) * 1000), dict(line["metrics"])["asked"])  # type: ignore[call-overload]
        for line in lines(file)
    ]
    assert points == expected


def test_mlflow_s_own_variables_switch_them_off_and_set_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_switched_on() and sampling_interval() == 10.0
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "2.5")
    assert sampling_interval() == 2.5
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "often")
    assert sampling_interval() == 10.0
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "false")
    assert not is_switched_on()
