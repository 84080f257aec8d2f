"""`parity run` that is ended from outside: nothing runs on, and what it was doing can be gone on with."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from components.tracking.store import connect, store_uri
from dualgan.run_folder import RunFolder, is_training_step, read_events, read_json
from tests.e2e.test_killed_trainer import PROFILE

STEPS = 2_000_000
# Of a run that is to be ended, and of one that is gone on with to its end.
LONG, SHORT = f"max_steps: {STEPS}, train_epochs: {STEPS}", "max_steps: 60"
SECONDS_UNTIL_GONE = 5.0
# How often a run is ended by each signal.
ENDINGS = int(os.environ.get("DUALGAN_KILLS", "20"))


class Run:
    """A run of one leg as a user starts it, with MLflow's store beside its results."""

    def __init__(self, folder: Path, *arguments: str, steps: str = LONG) -> None:
        self.folder = folder
        profile = folder / "one-leg.yaml"
        profile.write_text(PROFILE.format(retries=0).replace("max_steps: 100", steps))
        command = [sys.executable, "-m", "parity", "run", "--profile", str(profile), "--results", str(folder)]
        self.process = subprocess.Popen(
            [*command, "--tracking-uri", store_uri(folder), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # As a shell starts it, even if the tests themselves run in the background.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )

    def until(self, happened: Callable[[], bool], seconds: float = 120.0) -> None:
        deadline = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < deadline and self.process.poll() is None, "it did not come so far"
            time.sleep(0.05)

    def has_trained(self) -> bool:
        return any(self.folder.glob("runs/*/*/train-*/records/checkpoint/step-*"))

    def processes(self) -> list[psutil.Process]:
        """All that this run has started, whoever their parent is by now."""
        return [one for one in psutil.process_iter() if one.pid != self.process.pid and self._is_ours(one)]

    def _is_ours(self, process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.Error):
            in_environment = process.environ().get("DUALGAN_EVENTS", "").startswith(str(self.folder))
            return in_environment and process.status() != psutil.STATUS_ZOMBIE
        return False

    def is_alone_after(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.processes():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def statuses(self) -> set[str]:
        client = connect(store_uri(self.folder))
        identifiers = [experiment.experiment_id for experiment in client.search_experiments()]
        return {run.info.status for run in client.search_runs(identifiers)}


@pytest.mark.system()
def test_ctrl_c_saves_and_says_how_to_go_on_and_the_next_run_does(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.until(run.has_trained)
    run.process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    run.process.send_signal(signal.SIGINT)
    output, _ = run.process.communicate(timeout=60)
    assert run.process.returncode == 130 and run.is_alone_after(SECONDS_UNTIL_GONE)
    (folder,) = (tmp_path / "runs").iterdir()
    said = f"stopped by Ctrl-C; `parity run --resume {folder.name}` goes on with {folder}"
    assert output.splitlines()[-1] == said
    (records,) = folder.glob("*/train-*/records")
    assert read_json(records / "summary.json")["status"] == "interrupted"
    assert run.statuses() == {"KILLED"}


@pytest.mark.system()
def test_a_run_that_was_killed_is_gone_on_with_and_finished_legs_are_not_trained_again(tmp_path: Path) -> None:
    killed = Run(tmp_path, "--seeds", "2", steps="max_steps: 60")
    killed.until(lambda: len(list(tmp_path.glob("runs/*/*/train-*/done.json"))) == 1)
    killed.process.kill()
    assert killed.is_alone_after(SECONDS_UNTIL_GONE)
    killed.process.wait()
    resumed = Run(tmp_path, "--seeds", "2", "--resume", steps="max_steps: 60")
    output, _ = resumed.process.communicate(timeout=300)
    assert resumed.process.returncode in (0, 3, 4), output
    (folder,) = (tmp_path / "runs").iterdir()
    assert f"going on with {folder}" in output
    trained = [line.split()[3].rstrip(":") for line in output.splitlines() if "finished after 60 steps" in line]
    assert len(trained) == 1 and output.count("starting after") + output.count("going on after") == 1
    for records in folder.glob("*/train-*/records"):
        steps = [event["step"] for event in read_events(RunFolder(records).events) if is_training_step(event)]
        assert steps == list(range(1, 61))
    assert resumed.statuses() == {"FINISHED"}
    # Seeds that are added later are trained, and all are compared.
    more = Run(tmp_path, "--seeds", "3", "--resume", folder.name, steps="max_steps: 60")
    output, _ = more.process.communicate(timeout=300)
    assert output.count("finished after 60 steps") == 1 and "seed 2: finished after 60 steps" in output
    compared = read_json(tmp_path / "latest" / "comparison.json")
    assert [one["seed"] for one in compared["legs"]["cpu-tf2"]["runs"]] == [0, 1, 2]


@pytest.mark.stress
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143)])
def test_at_whatever_moment_a_run_is_ended_nothing_of_it_is_left(tmp_path: Path, signum: int, code: int) -> None:
    moments = random.Random(int(signum))
    for number in range(ENDINGS):
        folder = tmp_path / str(number)
        folder.mkdir()
        run = Run(folder)
        run.until(lambda run=run: bool(run.processes()))  # type: ignore[misc]
        time.sleep(moments.uniform(0, 25))
        run.process.send_signal(signum)
        assert run.is_alone_after(SECONDS_UNTIL_GONE), [one.cmdline() for one in run.processes()]
        assert run.process.wait(10) == code
