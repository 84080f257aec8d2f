"""What `parity gc` calls nobody's, and what it leaves alone."""

import contextlib
import functools
import os
import shutil
import sqlite3
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from mlflow.entities import LoggedModelOutput
from mlflow.tracking import MlflowClient

from components.tracking.store import SQLITE, artifact_location, connect, store_uri
from pipelines import run_state
from pipelines.kfp_api import KfpApi
from pipelines.local_run import tracking_address
from pipelines.profile import load_profile
from pipelines.run_state import Parameters, RunState
from tests.components.tracking.servers import mlflow_server
from tests.pipelines.kfp_server import KfpServer
from tests.services import S3_KEYS, free_port, s3_client, s3_service

Command = Callable[..., tuple[int, str, str]]
BUCKET, ROOT = "mlpipeline", "minio://mlpipeline/v2/artifacts"
CHECKPOINTS = "dualgan-parity/checkpoints"
# No file of a test is older.
ALL = ("--older-than", "0h")


def run_id(number: int) -> str:
    return str(UUID(int=number))


RUNNING, OVER, DELETED, ADDED_TO = (run_id(number) for number in range(1, 5))


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with s3_service(BUCKET) as address:
        for name, value in {**S3_KEYS, "AWS_ENDPOINT_URL": address}.items():
            monkeypatch.setenv(name, value)
        yield s3_client(address)


@pytest.fixture
def gc(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command, on an empty store and no runs unless the test makes some."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store_uri(tmp_path / "mlflow"))
    return lambda *arguments: command("gc", "--results", tmp_path, *arguments)


def artifacts(run: str, pipeline: str = "dualgan-parity-gpu") -> str:
    return f"v2/artifacts/{pipeline}/{run}/train-gpu-seed-0/records/events.jsonl"


def checkpoint(run: str, name: str = "latest.json") -> str:
    return f"{CHECKPOINTS}/{run}/gpu-seed-0/{name}"


@pytest.fixture
def bucket(s3: Any, kfp: KfpServer) -> Callable[[], set[str]]:
    """What the bucket holds, of three runs that KFP had and one that it never had; KFP has two of them still."""
    for run in (RUNNING, OVER, DELETED, ADDED_TO):
        for key in (artifacts(run), checkpoint(run), checkpoint(run, "step-000100/model.data")):
            s3.put_object(Bucket=BUCKET, Key=key, Body=b"x" * 1000)
    not_ours = [f"{CHECKPOINTS}/{path}" for path in ("a/b", f"{OVER}/faces.csv", f"{OVER}/gpu-seed-0/faces.csv")]
    for key in (artifacts(DELETED, "another-teams"), "v2/artifacts/dualgan-parity-gpu/notes/a", *not_ours):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    about = {"created_at": "2026-11-27T03:50:13Z", "experiment_id": "1"}
    kfp.runs[OVER] = {**about, "run_id": OVER, "display_name": "over", "state": "FAILED"}
    kfp.runs[RUNNING] = {
        **about,
        "run_id": RUNNING,
        "display_name": "running",
        "state": "RUNNING",
        "description": f"added to run {ADDED_TO}",
    }
    return lambda: {one["Key"] for one in s3.list_objects_v2(Bucket=BUCKET)["Contents"]}


def test_in_the_bucket_goes_what_is_of_runs_that_kfp_has_deleted_and_checkpoints_of_those_that_are_over(
    gc: Command, bucket: Callable[[], set[str]]
) -> None:
    gc_alone = functools.partial(gc, "--pipeline-root", ROOT, "--only-this-kfp")
    before = bucket()
    assert "deleted 0 places" in gc_alone("--delete")[1], "all of it is younger than a week"
    code, listed, _ = gc_alone(*ALL)
    assert code == 0 and bucket() == before
    assert f"looked at: artifacts of 4 runs below {ROOT}\nlooked at: checkpoints of 4 runs below s3://" in listed
    assert f"s3://{BUCKET}/v2/artifacts/dualgan-parity-gpu/{DELETED}: 0.0 MiB, artifacts of a run that KFP" in listed
    assert f"s3://{BUCKET}/{CHECKPOINTS}/{DELETED}: 0.0 MiB, checkpoints of a run that KFP does not know\n" in listed
    assert f"s3://{BUCKET}/{CHECKPOINTS}/{OVER}: 0.0 MiB, checkpoints of a run that is over (failed)" in listed
    assert "3 places, 0.0 MiB; --delete removes them" in listed
    code, said, _ = gc_alone("--delete", *ALL)
    assert code == 0 and "deleted 3 places" in said
    gone = {artifacts(DELETED)} | {checkpoint(run, "step-000100/model.data") for run in (DELETED, OVER)}
    assert bucket() == before - gone - {checkpoint(run) for run in (DELETED, OVER)}
    assert "0 places" in gc_alone("--delete", *ALL)[1]


def test_what_may_be_of_another_kfp_that_shares_the_bucket_is_listed_and_left(
    gc: Command, bucket: Callable[[], set[str]]
) -> None:
    before = bucket()
    code, said, _ = gc("--pipeline-root", ROOT, "--delete", *ALL)
    left = "of a run that KFP does not know; left, for it may be another KFP's (--only-this-kfp)"
    assert code == 0 and "deleted 1 place," in said and said.count(left) == 2
    assert bucket() == before - {checkpoint(OVER), checkpoint(OVER, "step-000100/model.data")}


def test_an_address_below_which_no_run_is_shows_in_what_was_looked_at(
    gc: Command, bucket: Callable[[], set[str]]
) -> None:
    said = gc("--pipeline-root", f"s3://{BUCKET}/v2/art", *ALL)[1]
    assert f"looked at: artifacts of 0 runs below s3://{BUCKET}/v2/art\n" in said
    assert "not looked at: MLflow and folders of runs; there is no " in said


def test_of_a_run_that_kfp_has_its_package_is_not_kept(
    gc: Command, bucket: Callable[[], set[str]], kfp: KfpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Listed(dict[str, Any]):
        """Unlike a dict, it can be followed."""

    alive: weakref.WeakValueDictionary[str, Listed] = weakref.WeakValueDictionary()
    most, listed = [], KfpApi.runs

    def runs(api: KfpApi) -> Iterator[dict[str, Any]]:
        for run in listed(api):
            one = Listed(run)
            alive[run["run_id"]] = one
            yield one
            most.append(len(alive))

    monkeypatch.setattr(KfpApi, "runs", runs)
    kfp.runs |= {run_id(number): {**kfp.runs[OVER], "run_id": run_id(number)} for number in range(10, 30)}
    assert gc("--pipeline-root", ROOT, *ALL)[0] == 0
    assert len(most) == 22 and max(most) <= 2


def test_a_run_that_was_added_to_another_says_so_to_kfp(kfp: KfpServer, gc: Command, command: Command) -> None:
    kfp.runs[OVER] = {"run_id": OVER, "display_name": "over", "state": "SUCCEEDED"}
    command("submit", "--profile", "kind", "--add-to", OVER, "--no-wait")
    assert [run["description"] for run in kfp.runs.values() if run["run_id"] != OVER] == [f"added to run {OVER}"]


@pytest.mark.parametrize(
    ("trouble", "said", "exit_code"),
    [
        ({"troubles": [503] * 10}, "answers 503", 1),
        ({"runs": {}}, "knows none of the 4 runs in the bucket", 1),
        ({"token": "another"}, "no permission", 2),
    ],
)
def test_a_kfp_that_does_not_know_what_it_is_asked_about_deletes_nothing(
    gc: Command, bucket: Callable[[], set[str]], kfp: KfpServer, trouble: dict[str, Any], said: str, exit_code: int
) -> None:
    before = bucket()
    for name, value in trouble.items():
        setattr(kfp, name, value)
    code, _, error = gc("--pipeline-root", ROOT, "--delete", "--only-this-kfp", *ALL)
    assert code == exit_code and said in error and len(error.splitlines()) == 1 and bucket() == before


def test_what_cannot_be_asked_is_one_line(gc: Command, bucket: Callable[[], set[str]]) -> None:
    assert "there is no bucket absent" in gc("--pipeline-root", "s3://absent/kfp")[2]
    assert "'never' is no age, such as 7d or 12h" in gc("--older-than", "never")[2]


def new_store(folder: Path, empty: str) -> str:
    (folder / "mlflow").mkdir()
    shutil.copy(empty.removeprefix(SQLITE), folder / "mlflow" / "mlflow.db")
    return store_uri(folder / "mlflow")


def tracked_run(
    client: MlflowClient, folder: Path, tag: str, experiment: str, end: int | None = None, goes_on: bool = False
) -> str:
    """A run with a file of 3 MiB; ``end``, in milliseconds since 1970, is now by default."""
    run = client.create_run(experiment, start_time=end, tags={"pipeline_run_id": tag}).info.run_id
    (folder / "losses.txt").write_text("x" * 3 * 2**20)
    client.log_artifact(run, str(folder / "losses.txt"), "kept")
    client.set_terminated(run, end_time=end)
    if goes_on:
        # As of a run that was resumed: it has an end.
        client.update_run(run, status="RUNNING")
    return str(run)


def model_of(client: MlflowClient, folder: Path, run: str) -> str:
    model = client.create_logged_model(client.get_run(run).info.experiment_id, "gan", run)
    (folder / "A2B.pb").write_text("x" * 2**20)
    client.log_model_artifacts(model.model_id, str(folder))
    client.log_outputs(run, [LoggedModelOutput(model.model_id, 1)])
    return str(model.model_id)


@contextlib.contextmanager
def mlflow_at(kind: str, folder: Path, empty: str) -> Iterator[tuple[str, Callable[[], str]]]:
    """MLflow's address, and the names of all the files that it keeps; ``empty`` is a store to begin with."""
    if kind == "store":
        yield new_store(folder, empty), lambda: " ".join(map(str, (folder / "mlflow").rglob("*")))
        return
    with s3_service(BUCKET) as s3:
        options = [
            "--backend-store-uri",
            store_uri(folder / "server"),
            "--artifacts-destination",
            f"s3://{BUCKET}/mlflow",
        ]
        (folder / "server").mkdir()
        with mlflow_server(folder, *options, **S3_KEYS, MLFLOW_S3_ENDPOINT_URL=s3) as address:
            yield address, lambda: str(s3_client(s3).list_objects_v2(Bucket=BUCKET))


@pytest.mark.parametrize("kind", ["store", pytest.param("server", marks=pytest.mark.system())])
def test_in_mlflow_go_artifacts_of_deleted_runs_that_no_registered_version_refers_to(
    command: Command, tmp_path: Path, mlflow_store: str, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    files = tmp_path / "files"
    files.mkdir()
    gc = functools.partial(command, "gc", "--results", tmp_path, *ALL)
    with mlflow_at(kind, tmp_path, mlflow_store) as (address, kept):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        client = connect(address)
        runs, models = [], []
        for name in ("kept", "deleted", "registered"):
            experiment = client.create_experiment(name, artifact_location(address))
            runs.append(tracked_run(client, files, name, experiment))
            models.append(model_of(client, files, runs[-1]))
        client.create_registered_model("gan")
        client.create_model_version("gan", f"models:/{models[2]}", runs[2], model_id=models[2])
        client.delete_run(runs[1])
        going_on = tracked_run(client, files, "going on", experiment, goes_on=True)
        client.delete_run(going_on)
        if kind == "server":
            # Whoever may make an experiment may say that its files are on somebody's machine.
            mine = client.create_experiment("mine", (tmp_path / "mine").as_uri())
            client.delete_run(tracked_run(client, files, "mine", mine))
        client.delete_experiment(experiment)
        code, listed, error = gc()
        assert code == 0, error
        assert f"run {runs[1]} in MLflow: 3.0 MiB, the run is deleted there" in listed
        assert f"model {models[1]} in MLflow: 4.0 MiB, its run is deleted there, and no version" in listed
        assert "2 places, 7.0 MiB; --delete removes them" in listed
        assert "0 places" in gc("--older-than", "1h")[1]
        assert gc("--delete")[0] == 0
        assert all(one in kept() for one in (runs[0], runs[2], f"{going_on}/artifacts/k", models[0], models[2]))
        assert f"{runs[1]}/artifacts/k" not in kept() and f"{models[1]}/artifacts/A2B" not in kept()
        assert "0 places" in gc("--delete")[1]
        assert kind == "store" or list((tmp_path / "mine").rglob("losses.txt"))


def test_what_ended_long_ago_has_days_of_grace_after_its_deletion(
    gc: Command, mlflow_store: str, tmp_path: Path
) -> None:
    client = connect(new_store(tmp_path, mlflow_store))
    experiment = client.create_experiment("faces", artifact_location(client.tracking_uri))
    long_ago = time.time() - 30 * 24 * 3600
    (tmp_path / "files").mkdir()
    for name in ("ended", "goes-on"):
        for path in local_folder(tmp_path, name).rglob("*"):
            os.utime(path, (long_ago, long_ago))
        run = tracked_run(client, tmp_path / "files", name, experiment, int(long_ago * 1000), name == "goes-on")
        client.delete_run(run)
    assert "looked at: 2 runs in MLflow\nlooked at: 2 folders of runs in " in gc()[1]
    assert "\n0 places" in gc()[1] and "\n2 places, 4.0 MiB" in gc(*ALL)[1]
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow" / "mlflow.db")) as database, database:
        database.execute("UPDATE runs SET deleted_time = ?", (int(long_ago * 1000),))
    assert "\n2 places, 4.0 MiB" in gc()[1]


def test_what_cannot_be_deleted_is_named_and_the_rest_is_deleted(
    gc: Command, mlflow_store: str, tmp_path: Path
) -> None:
    client = connect(new_store(tmp_path, mlflow_store))
    experiment = client.create_experiment("faces", artifact_location(client.tracking_uri))
    (tmp_path / "files").mkdir()
    runs = [tracked_run(client, tmp_path / "files", name, experiment) for name in ("one", "two", "three")]
    places = [Path(client.get_run(run).info.artifact_uri.removeprefix("file://")) for run in runs]
    # Somebody's disk was full.
    places[1].rename(tmp_path / "elsewhere")
    places[1].symlink_to(tmp_path / "elsewhere")
    for run in runs:
        client.delete_run(run)
    code, said, error = gc("--delete", *ALL)
    assert code == 1 and "deleted 2 places, 6.0 MiB; 1 could not be" in said
    assert error.startswith(f"error: run {runs[1]} in MLflow: not deleted: ") and len(error.splitlines()) == 1
    assert [any(place.rglob("losses.txt")) for place in (places[0], tmp_path / "elsewhere", places[2])] == [
        False,
        True,
        False,
    ]


def test_an_mlflow_that_does_not_answer_deletes_nothing(gc: Command, tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    folder = local_folder(tmp_path, "any", tracking_uri=address)
    # An MLflow that has no runs would make it one in which nothing was trained.
    shutil.rmtree(folder / "dualgan-parity-local")
    code, _, error = gc("--delete", "--tracking-uri", address, *ALL)
    assert code == 1 and "no answer" in error and len(error.splitlines()) == 1 and folder.is_dir()


def local_folder(root: Path, name: str, **changes: Any) -> Path:
    folder = run_state.new_folder(root)
    state = RunState(
        run_id=name,
        state="finished",
        profile=load_profile("local"),
        parameters=Parameters(dataset="synthetic://?n=2"),
        tracking_uri=tracking_address(""),
    )
    run_state.write_state(folder, state.model_copy(update=changes))
    records = folder / "dualgan-parity-local" / "train-cpu-tf2-seed-0" / "records"
    records.mkdir(parents=True)
    (records / "events.jsonl").write_text("x" * 2**20)
    return folder


def test_on_this_machine_go_runs_that_were_deleted_in_mlflow_or_trained_nothing(
    gc: Command, mlflow_store: str, tmp_path: Path
) -> None:
    client = connect(new_store(tmp_path, mlflow_store))
    experiment = client.create_experiment("faces", artifact_location(client.tracking_uri))
    files = tmp_path / "files"
    files.mkdir()
    tracked_run(client, files, "kept", experiment)
    names = ("kept", "newest", "elsewhere", "in-use", "young", "deleted", "untracked", "untrained")
    folders = {name: local_folder(tmp_path, name) for name in names}
    for name in names[1:-2]:
        client.delete_run(tracked_run(client, files, name, experiment))
    shutil.rmtree(folders["untrained"] / "dualgan-parity-local")
    linked = local_folder(tmp_path, "deleted").rename(tmp_path / "linked")
    (tmp_path / "runs" / "linked").symlink_to(linked)
    changed = run_state.checked_state(folders["elsewhere"]).model_copy(update={"tracking_uri": "http://mlflow:5000"})
    run_state.write_state(folders["elsewhere"], changed)
    (tmp_path / "latest").symlink_to(folders["newest"] / "compare" / "comparison")
    # A folder that says nothing of its run is nobody's to judge.
    (tmp_path / "runs" / "notes").mkdir()
    os.utime(folders["young"] / run_state.STATE_FILE, (time.time() + 60, time.time() + 60))
    with run_state.held(folders["in-use"]):
        code, said, error = gc("--delete", *ALL)
    assert code == 0, error
    assert f"{folders['deleted']}: 1.0 MiB, its runs are deleted in MLflow" in said
    assert f"{folders['untrained']}: 0.0 MiB, nothing was trained in it" in said
    left = {name for name, folder in folders.items() if folder.is_dir()}
    # MLflow may have lost what it never had.
    assert left == {*names} - {"deleted", "untrained"} and (tmp_path / "runs" / "notes").is_dir()
    assert list((tmp_path / "runs" / "linked").glob("*/*/records/*"))
    # Nobody is at it any more.
    assert f"{folders['in-use']}: 1.0 MiB" in gc("--delete", *ALL)[1]


def test_without_a_store_of_mlflow_nothing_on_this_machine_is_nobodys(gc: Command, tmp_path: Path) -> None:
    folder = local_folder(tmp_path, "any")
    code, said, _ = gc("--delete", *ALL)
    assert code == 0 and folder.is_dir() and not (tmp_path / "mlflow").exists()
    assert "deleted 0 places" in said
