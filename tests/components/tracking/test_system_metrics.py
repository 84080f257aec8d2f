import threading
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from components.tracking import system_metrics
from components.tracking.sync import RunFolderSync
from components.tracking.system_metrics import Source, recorded, recording, sources
from components.tracking.target import SYSTEM_METRICS, TrackingTarget, neighbour
from dualgan.run_folder import Event, read_events
from tests.components.tracking.folders import finished_run
from tests.components.tracking.observed import history, only_leg

SECONDS = 30.0


def record(file: Path, samples: int, *more: Source) -> list[Event]:
    """Record until a source was asked ``samples`` times; return all that the file has."""
    asked, enough = [0.0], threading.Event()

    def count() -> dict[str, float]:
        asked[0] += 1
        if asked[0] >= samples:
            enough.set()
        return {"asked": asked[0]}

    with recorded(file, [*more, count], interval=0.01):
        assert enough.wait(SECONDS)
    return list(read_events(file)) if file.is_file() else []


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
    before = record(file, 3)
    with file.open("a") as unfinished:
        unfinished.write('{"type": "system", "st')

    after = record(file, 3)

    assert [event["step"] for event in after] == list(range(len(after)))
    assert len(after) >= len(before) + 3


def test_a_source_that_fails_leaves_the_others_alone(tmp_path: Path) -> None:
    def broken() -> dict[str, float]:
        raise OSError("no device")

    events = record(tmp_path / "system.jsonl", 2, broken)
    assert [event["metrics"] for event in events][:2] == [{"asked": 1.0}, {"asked": 2.0}]


def test_a_file_that_cannot_be_written_ends_the_recording_and_nothing_else(tmp_path: Path) -> None:
    with recorded(tmp_path / "missing" / "system.jsonl", [lambda: {}], interval=0.01):
        pass
    assert not (tmp_path / "missing").exists()


def test_a_sync_sends_every_sample_once_where_the_page_of_system_metrics_looks_for_it(
    tmp_path: Path, server: str, client: MlflowClient
) -> None:
    folder = finished_run(tmp_path / "run")
    file = neighbour(folder, SYSTEM_METRICS)
    target = TrackingTarget(server, pipeline_run_id="system", leg="cpu")
    for _ in range(2):
        events = record(file, 3)
        for _ in range(2):
            RunFolderSync(folder, target).step()

    points = history(client, only_leg(client, "system"), "system/asked")
    assert points == [(event["step"], int(event["time"] * 1000), event["metrics"]["asked"]) for event in events]


@pytest.mark.parametrize(("value", "interval"), [(None, 10.0), ("2.5", 2.5), ("often", 10.0), ("-1", 10.0)])
def test_mlflow_s_own_variables_switch_them_off_and_set_the_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None, interval: float
) -> None:
    found: list[Any] = []
    monkeypatch.setattr(system_metrics, "recorded", lambda *arguments: found.extend(arguments))
    if value:
        monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", value)
    recording(tmp_path / "run")
    assert found[0] == tmp_path / "run.system.jsonl" and found[2] == interval
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "false")
    with recording(tmp_path / "run"):
        assert len(found) == 3
