"""The pipeline in containers: the same numbers as without them, and each task in its leg's image."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from docker import APIClient

from components.common.processes import Terminated
from components.tracking.store import store_uri
from components.train.runtimes import is_set_up
from dualgan.run_folder import Event, RunFolder, is_training_step, read_json
from pipelines.containers import LABEL, containers
from pipelines.local_tasks import Task
from pipelines.profile import load_profile
from pipelines.run_state import Parameters, RunState
from tests.images.built import client, image

pytestmark = [pytest.mark.system("docker"), pytest.mark.timeout(1500)]
LEGS = ("cpu-tf1", "cpu-tf2")
STEPS = 30
# What a container's start and TensorFlow's take on a machine that has other things to do as well.
SECONDS_TO_FIRST_STEP = 60


class Run(NamedTuple):
    """folder: with the tasks' own; started: when a container of a task was, in seconds since 1970, by its image."""

    folder: Path
    output: str
    started: dict[str, list[float]]


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Profile "local", tiny, in the images of this tree."""
    file = tmp_path_factory.mktemp("profile") / "tiny.yaml"
    options = "{image_size: 32, gcn: 4, dcn: 4, threads: 1, max_steps: 30, sample_freq: 15, save_freq: 0}"
    file.write_text(f"""
description: Small enough for a test.
image: {image("cpu")}
dataset: synthetic://?n=10&size=32
reference: cpu-tf1
legs:
  - {{name: cpu-tf1, runtime: tf1, device: cpu, image: "{image("tf1")}"}}
  - {{name: cpu-tf2, runtime: tf2, device: cpu}}
options: {options}
""")
    return file


def run_pipeline(profile: Path, results: Path, runner: str) -> Run:
    began = int(time.time())
    answer = pipelines("run", "--profile", str(profile), "--runner", runner, "--results", str(results),
                       "--tracking-uri", store_uri(results / "mlflow"))  # fmt: skip
    # 30 steps of one seed decide nothing: any verdict will do, a failure won't.
    assert answer.returncode in (0, 3, 4), answer.stdout + answer.stderr
    (folder,) = (results / "runs").glob("*/*/")
    started: dict[str, list[float]] = {}
    wanted = {"type": "container", "event": "start", "label": f"{LABEL}={folder.parent}"}
    for event in client().events(since=began, until=int(time.time()) + 1, decode=True, filters=wanted):
        started.setdefault(event["from"], []).append(event["timeNano"] / 1e9)
    return Run(folder, answer.stdout, started)


def containers_of_runs() -> list[str]:
    return [found["Names"][0] for found in client().api.containers(all=True, filters={"label": LABEL})]


def pipelines(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "pipelines", *arguments], capture_output=True, text=True, timeout=900, check=False
    )


@pytest.fixture(scope="module")
def in_containers(profile: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_pipeline(profile, tmp_path_factory.mktemp("docker"), "docker")


@pytest.fixture(scope="module")
def in_processes(profile: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_pipeline(profile, tmp_path_factory.mktemp("subprocess"), "subprocess")


def training_steps(run: Run, leg: str) -> list[Event]:
    events = RunFolder(run.folder / f"train-{leg}-seed-0" / "records").events
    return [event for event in map(json.loads, events.read_text().splitlines()) if is_training_step(event)]


def test_losses_in_containers_and_in_processes_are_the_same_to_the_last_digit(
    in_containers: Run, in_processes: Run
) -> None:
    assert is_set_up("tf1"), "a Python 3.7 is needed to compare with"
    for leg in LEGS:
        one, other = training_steps(in_containers, leg), training_steps(in_processes, leg)
        assert len(one) == STEPS
        assert [event["metrics"] for event in one] == [event["metrics"] for event in other]


def test_each_leg_ran_in_its_own_image(in_containers: Run) -> None:
    assert set(in_containers.started) == {image("cpu"), image("tf1")}
    for leg, version in (("cpu-tf1", "1.15.0"), ("cpu-tf2", "2.21.0")):
        environment = read_json(RunFolder(in_containers.folder / f"train-{leg}-seed-0" / "records").options)[
            "environment"
        ]
        assert environment["tensorflow"] == version


def test_the_first_step_comes_soon_after_its_container_starts(
    in_containers: Run, record_property: Callable[[str, object], None]
) -> None:
    for leg, tag in (("cpu-tf1", "tf1"), ("cpu-tf2", "cpu")):
        first_step = training_steps(in_containers, leg)[0]["time"]
        began = max(start for start in in_containers.started[image(tag)] if start < first_step)
        record_property(f"seconds to the first step of {leg}", first_step - began)
        assert first_step - began < SECONDS_TO_FIRST_STEP


def test_results_belong_to_nobody_of_importance_and_are_published(in_containers: Run) -> None:
    owner = os.getuid() or 1000
    written = [*in_containers.folder.rglob("*")]
    assert written and {path.stat().st_uid for path in written} == {owner}
    assert "model: dualgan-synthetic version 1, challenger" in in_containers.output
    assert not containers_of_runs()


def synthetic(profile: Path, folder: Path) -> RunState:
    """A run of synthetic pictures whose store is in ``folder``."""
    parameters = Parameters(dataset="synthetic")
    return RunState(
        profile=load_profile(str(profile)), parameters=parameters, tracking_uri=store_uri(folder / "mlflow")
    )


def test_a_container_sees_no_network_and_writes_nowhere_but_where_results_go(profile: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    look = (
        "id -u; ls /sys/class/net; for folder in / /opt/dualgan-parity /home /tmp $PLACES;"
        " do (touch $folder/x && rm $folder/x && echo $folder) 2>/dev/null; done; true"
    )
    variables = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PLACES": f"{results} {tmp_path}/mlflow {tmp_path}/cache"}
    with containers(synthetic(profile, tmp_path), results, variables) as runner:
        answer = client().containers.run(image("cpu"), ["sh", "-c", look], remove=True, **runner.settings)
    shown = answer.decode().split()
    assert shown == [str(os.getuid() or 1000), "lo", "/tmp", *variables["PLACES"].split()]


def test_what_runs_still_ends_with_the_run_and_what_the_engine_removes_meanwhile_is_no_error(
    profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspect = APIClient.inspect_container
    removed: list[str] = []

    def inspect_too_late(engine: APIClient, container: str) -> Any:
        """The engine removes the container between listing it and being asked about it."""
        if container == leaving.id and not removed:
            removed.append(container)
            engine.remove_container(container, force=True)
        return inspect(engine, container)

    (tmp_path / "results").mkdir()
    variables = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    with containers(synthetic(profile, tmp_path), tmp_path / "results", variables) as runner:
        started = [
            client().containers.run(image("cpu"), ["sleep", "60"], detach=True, **runner.settings) for _ in range(2)
        ]
        leaving = started[0]
        monkeypatch.setattr(APIClient, "inspect_container", inspect_too_late)
    assert removed == [leaving.id]
    assert not containers_of_runs()


def test_what_a_container_prints_is_in_its_log_at_once_and_stays_there_if_it_is_ended(
    profile: Path, tmp_path: Path
) -> None:
    def check() -> None:
        if log.read_text():
            raise Terminated(signal.SIGINT)
        assert time.monotonic() < deadline, "nothing printed"

    log, deadline = tmp_path / "train-a.log", time.monotonic() + 60
    folder = tmp_path / "results" / "tasks" / "train-a"
    folder.mkdir(parents=True)
    task = Task("train-a", image("cpu"), ["sh", "-c", "echo out; echo error >&2; sleep 600"], folder, dict)
    variables = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    with containers(synthetic(profile, tmp_path), tmp_path / "results", variables) as runner:
        with log.open("wb", buffering=0) as output, pytest.raises(Terminated):
            runner.run(task, output, check)
        assert not containers_of_runs()
        assert sorted(log.read_text().split()) == ["error", "out"]
        with log.open("wb", buffering=0) as output:
            ended = task._replace(command=["sh", "-c", "seq 100000; exit 7"])
            assert runner.run(ended, output, lambda: None) == 7
    assert log.read_text().split() == [str(number) for number in range(1, 100001)]


def test_an_image_that_is_missing_ends_the_run_before_it_begins(profile: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(profile.read_text().replace(image("tf1"), "dualgan-parity/tf1:nowhere"))
    answer = pipelines("run", "--profile", str(other), "--runner", "docker", "--results", str(tmp_path / "results"))
    assert answer.returncode == 2
    assert answer.stderr == (
        "error: image dualgan-parity/tf1:nowhere: not on this machine; `make images` builds it, or docker pull it\n"
    )
    assert not (tmp_path / "results").exists()
