"""A server with PostgreSQL behind it and S3 for its artifacts, by the forms of its flags that work."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.tracking.comparison_view import log_comparison
from components.tracking.runs import PipelineRun
from components.tracking.store import connect
from components.tracking.ui import SERVER_ENVIRONMENT
from parity.cli import main
from tests.components.tracking.conftest import answers
from tests.components.tracking.folders import finished_run
from tests.components.tracking.observed import history, images, parents
from tests.components.tracking.test_comparison_view import comparison_folder
from tests.services import S3_KEYS, SECONDS, free_port, postgresql_database, s3_client, s3_service


@pytest.fixture
def postgresql() -> Iterator[str]:
    """The URI of an empty database."""
    with postgresql_database() as database:
        yield database.uri


@pytest.fixture
def s3() -> Iterator[str]:
    """The address of an S3 service with a bucket called "artifacts"."""
    with s3_service("artifacts") as address:
        yield address


@pytest.fixture
def server(tmp_path: Path, postgresql: str, s3: str) -> Iterator[str]:
    """An MLflow server; it alone knows the database and the keys of S3."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", postgresql, "--artifacts-destination", "s3://artifacts/mlflow"]
    variables = {**os.environ, **SERVER_ENVIRONMENT, **S3_KEYS, "MLFLOW_S3_ENDPOINT_URL": s3}
    log = tmp_path / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=variables, stdout=output, stderr=output, start_new_session=True)
    try:
        deadline = time.monotonic() + SECONDS
        while not answers(f"http://127.0.0.1:{port}/health"):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.system("postgresql")
def test_runs_images_and_reports_are_kept_by_postgresql_and_s3_exactly_once(
    tmp_path: Path, server: str, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in S3_KEYS:
        monkeypatch.delenv(name, raising=False)
    flags = ["--tracking-uri", server, "--pipeline-run-id", "p", "--leg"]
    folders = {leg: finished_run(tmp_path / leg) for leg in ("gpu", "npu")}
    # Both legs at once, and each again.
    threads = [
        threading.Thread(target=main, args=(["sync", str(folder), *flags, leg],)) for leg, folder in folders.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    for leg, folder in folders.items():
        assert main(["sync", str(folder), *flags, leg]) == 0
    client = connect(server)
    log_comparison(client, PipelineRun("shapes", "p"), comparison_folder(tmp_path / "comparison"))

    (parent,) = parents(client, "p")
    assert parent.data.tags["verdict"] == "inconclusive"
    experiment = client.get_experiment(parent.info.experiment_id)
    runs = {run.data.tags["leg"]: run for run in client.search_runs([experiment.experiment_id], "tags.leg != ''")}
    assert sorted(runs) == ["gpu", "npu"]
    for run in runs.values():
        assert [point[0] for point in history(client, run, "loss/A_loss")] == list(range(1, 21))
        assert len(images(client, run)) == 12
        assert run.info.status == "FINISHED"
    kept = s3_client(s3).list_objects_v2(Bucket="artifacts", Prefix="mlflow/")["Contents"]
    names = [entry["Key"].rpartition("/")[2] for entry in kept]
    assert names.count("report.html") == 1 and names.count("samples.html") == 2
    path = next(entry["Key"] for entry in kept if entry["Key"].endswith("final_A2B.png"))
    assert s3_client(s3).get_object(Bucket="artifacts", Key=path)["Body"].read().startswith(b"\x89PNG")
    downloaded = client.download_artifacts(runs["npu"].info.run_id, "final_A2B.png", str(tmp_path))
    assert Path(downloaded).read_bytes().startswith(b"\x89PNG")
