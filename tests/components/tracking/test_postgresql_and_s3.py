"""A server with PostgreSQL behind it and S3 for its artifacts, by the forms of its flags that work."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from components.tracking.__main__ import main
from components.tracking.pipeline_results import log_comparison
from components.tracking.runs import PipelineRun
from components.tracking.store import connect
from components.tracking.ui import SERVER_ENVIRONMENT
from tests.components.tracking.conftest import answers, free_port
from tests.components.tracking.folders import finished_run
from tests.components.tracking.observed import history, images, parents
from tests.components.tracking.test_pipeline_results import comparison_folder

SECONDS = 180.0
S3_KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


def postgresql_program(name: str) -> str:
    """Debian keeps the programs of each version apart, and off the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    program = str(found[-1]) if found else shutil.which(name)
    assert program, f"no {name} in /usr/lib/postgresql or on the PATH"
    return program


def as_its_user(command: list[str]) -> list[str]:
    """PostgreSQL refuses to run as root: then the user that its package makes runs it."""
    return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else command


@pytest.fixture
def postgresql() -> Iterator[str]:
    """The URI of an empty database of a cluster of its own."""
    # A socket's path may have 107 characters, and its user must be able to pass through every folder above.
    folder = Path(subprocess.check_output(["mktemp", "-d", "/tmp/postgresql.XXXXXX"], text=True).strip())
    port = free_port()
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    data = folder / "data"

    def run(program: str, *arguments: str) -> None:
        command = as_its_user([postgresql_program(program), *arguments])
        answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
        assert answer.returncode == 0, answer.stderr + answer.stdout

    options = f"-h 127.0.0.1 -p {port} -k {folder} -c fsync=off"
    try:
        run("initdb", "-D", str(data), "-U", "mlflow", "-A", "trust", "-E", "UTF8", "--no-sync")
        run("pg_ctl", "-D", str(data), "-o", options, "-l", str(folder / "log"), "-w", "start")
        try:
            run("createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "mlflow", "tracking")
            yield f"postgresql+psycopg2://mlflow@127.0.0.1:{port}/tracking"
        finally:
            run("pg_ctl", "-D", str(data), "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def s3() -> Iterator[str]:
    """The address of an S3 service with a bucket called "artifacts"."""
    service = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    service.start()
    host, port = service.get_host_and_port()
    address = f"http://{host}:{port}"
    bucket_owner(address).create_bucket(Bucket="artifacts")
    yield address
    service.stop()


def bucket_owner(address: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=address,
        aws_access_key_id=S3_KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=S3_KEYS["AWS_SECRET_ACCESS_KEY"],
        region_name=S3_KEYS["AWS_DEFAULT_REGION"],
    )


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
    kept = bucket_owner(s3).list_objects_v2(Bucket="artifacts", Prefix="mlflow/")["Contents"]
    names = [entry["Key"].rpartition("/")[2] for entry in kept]
    assert names.count("report.html") == 1 and names.count("samples.html") == 2
    path = next(entry["Key"] for entry in kept if entry["Key"].endswith("final_A2B.png"))
    assert bucket_owner(s3).get_object(Bucket="artifacts", Key=path)["Body"].read().startswith(b"\x89PNG")
    downloaded = client.download_artifacts(runs["npu"].info.run_id, "final_A2B.png", str(tmp_path))
    assert Path(downloaded).read_bytes().startswith(b"\x89PNG")
