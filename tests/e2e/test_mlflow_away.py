"""MLflow is stopped while the pipeline works, and comes back after the comparison: nothing of the run is lost."""

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from components.compare.verdict import verdict_in_log
from components.tracking.comparison_view import has_view
from components.tracking.runs import leg_runs, pipeline_runs
from components.tracking.store import connect
from components.train.runtimes import is_set_up
from dualgan.run_folder import LOSS_METRICS
from tests.components.tracking.conftest import database, store
from tests.components.tracking.observed import history, images
from tests.components.tracking.servers import KillableServer

__all__ = ["database", "store"]

STEPS, SIDE = 30, 32
OPTIONS = {"image_size": SIDE, "gcn": 4, "dcn": 4, "max_steps": STEPS, "sample_freq": 15, "save_freq": 0}
LEGS = ("cpu-tf1" if is_set_up("tf1") else "cpu-tf2-plain", "cpu-tf2")
SECONDS = 400.0


class Lines:
    """What a process prints, read while it runs."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.text = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self.text += line

    def wait_for(self, pattern: str) -> None:
        deadline = time.monotonic() + SECONDS
        while not re.search(pattern, self.text):
            assert self._process.poll() is None and time.monotonic() < deadline, f"{pattern}:\n{self.text}"
            time.sleep(0.05)

    def all(self) -> str:
        assert self._process.wait(SECONDS) is not None
        self._reader.join(SECONDS)
        return self.text


@pytest.mark.system()
@pytest.mark.timeout(900)
def test_a_run_waits_at_its_end_and_sends_both_legs_and_the_comparison(tmp_path: Path, store: Path) -> None:
    options = [part for name, value in OPTIONS.items() for part in ("--option", f"{name}={value}")]
    with KillableServer(store) as server:
        command = [sys.executable, "-m", "pipelines", "run", "--dataset", f"synthetic://?n=10&size={SIDE}", *options]
        command += ["--seeds", "1", "--results", str(tmp_path), "--tracking-uri", server.address]
        environment = {**os.environ, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
        environment |= {"MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL": "0.5"}
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            lines = Lines(process)
            try:
                # The dataset is there, so the first training begins.
                lines.wait_for(r"train \S+ seed 0: ")
                server.kill()
                lines.wait_for("waiting for MLflow")
                server.start()
                output = lines.all()
            finally:
                process.kill()

        # 30 steps decide nothing: any verdict will do, a failure won't.
        assert process.returncode in (0, 3, 4), output
        assert output.count("waiting for MLflow") == 1 and "MLflow answers again" in output
        assert re.search(r"^model: dualgan-synthetic version 1, challenger", output, re.MULTILINE)
        logged = verdict_in_log(output)
        assert logged and (Path(logged.address) / "comparison.json").is_file()
        client = connect(server.address)
        (experiment,) = [one.experiment_id for one in client.search_experiments() if one.name == "synthetic"]
        (parent,) = client.search_runs([experiment], "tags.role = 'pipeline'")
        pipeline_run_id = parent.data.tags["pipeline_run_id"]
        assert len(pipeline_runs(client, experiment, pipeline_run_id)) == 1
        runs = leg_runs(client, experiment, pipeline_run_id)
        roles = {run.data.tags["leg"]: (run.data.tags["role"], run.info.status) for run in runs}
        assert roles == {LEGS[0]: ("reference", "FINISHED"), LEGS[1]: ("candidate", "FINISHED")}
        for run in runs:
            for metric in LOSS_METRICS:
                assert [point[0] for point in history(client, run, f"loss/{metric}")] == list(range(1, STEPS + 1))
            # Six kinds of four images after two steps, each with its thumbnail.
            assert len(images(client, run)) == 6 * 4 * 2 * 2
            files = {file.path for file in client.list_artifacts(run.info.run_id)}
            assert {"samples.html", "final_A2B.png"} <= files
            assert run.data.metrics.keys() >= {"system/cpu_utilization_percentage", "summary/min_loss"}
        assert parent.data.tags["verdict"] in ("pass", "fail", "inconclusive")
        assert {"comparison.json", "report.html"} <= {file.path for file in client.list_artifacts(parent.info.run_id)}
        assert has_view(client, experiment, pipeline_run_id)
