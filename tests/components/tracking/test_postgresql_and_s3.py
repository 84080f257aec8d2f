"""A server with PostgreSQL behind it and S3 for its artifacts, by the forms of its flags that work."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.tracking.comparison_view import log_comparison
from components.tracking.runs import PipelineRun
from components.tracking.store import connect
from parity.cli import main
from tests.components.tracking.folders import finished_run
from tests.components.tracking.observed import history, images, parents
from tests.components.tracking.servers import mlflow_server
from tests.components.tracking.test_comparison_view import comparison_folder
from tests.services import S3_KEYS, SECONDS, postgresql_database, s3_client, s3_service


@pytest.fixture
def s3() -> Iterator[str]:
    """The address of an S3 service with a bucket called "artifacts"."""
    with s3_service("artifacts") as address:
        yield address


@pytest.fixture
def server(tmp_path: Path, s3: str) -> Iterator[str]:
    """An MLflow server; it alone knows the database and the keys of S3."""
    with postgresql_database() as database:
        options = ["--backend-store-uri", database.uri, "--artifacts-destination", "s3://artifacts/mlflow"]
        with mlflow_server(tmp_path, *options, **S3_KEYS, MLFLOW_S3_ENDPOINT_URL=s3) as address:
            yield address


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
