"""Files that no run and no registered model refers to any more: in KFP's bucket, in MLflow, and on this machine.

What a server does not answer for is not taken for gone: each question raises an error then, before anything is deleted.
"""

import functools
import json
import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.common.s3 import S3Address, S3Object, client, failures, objects_below, parse_address
from components.tracking.reasons import patiently
from components.tracking.store import connect, database_of, resolve_tracking_uri
from components.train.checkpoint_mirror import NOTE
from dualgan.errors import DualGANError
from pipelines import run_state
from pipelines.kfp_api import KfpApi, NotThere
from pipelines.local_run import tracking_address
from pipelines.parity import PIPELINE_NAME

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

# KFP's ids of runs: nothing else below a prefix is taken for a run's.
RUN_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ID_LENGTH = 36
# Where MLflow keeps the files of a run, or of a model.
OWN_FOLDER = re.compile(r"/(?:m-)?[0-9a-f]{32}/artifacts/?$")
ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")


@dataclass(frozen=True)
class Leftover:
    """What nobody refers to: where it is, its bytes, why it is one, and what deletes it."""

    place: str
    size: int
    reason: str
    delete: Callable[[], None]


def in_bucket(api: KfpApi, pipeline_root: str, checkpoints: str, before: float) -> list[Leftover]:
    """Return artifacts of runs that KFP does not know, and checkpoints of runs that it does not know or that ended.

    Args:
        pipeline_root: s3:// or minio:// address below which KFP keeps artifacts; "" to leave them out.
        checkpoints: s3:// address of the profile's checkpoints; "" to leave them out.
        before: What changed later, in seconds since 1970, is left out.

    Raises:
        DualGANError: KFP knows not one of the runs in the bucket, so it is another one's; or no question is answered.
    """
    s3 = client()
    artifacts = _objects_of_runs(s3, pipeline_root, f"{PIPELINE_NAME}-", "[^/]+/")
    mirrors = _objects_of_runs(s3, checkpoints)
    known = {str(run["run_id"]): run for run in api.runs()}
    ids = {place.key[-ID_LENGTH:] for place in (*artifacts, *mirrors)}
    gone = {run_id for run_id in ids - known.keys() if _is_absent(api, run_id)}
    if ids and gone == ids:
        raise DualGANError(f"{api.at.url}: that KFP knows none of the {len(ids)} runs in the bucket; is it theirs?")
    is_over = {run_id for run_id, run in known.items() if run.get("state") in ENDED}
    # A run that was added to another one has artifacts of that, and checkpoints below its id.
    named = {run_id: set(RUN_ID.findall(json.dumps(run))) - {run_id} for run_id, run in known.items()}
    by_any = set[str]().union(*named.values())
    by_open = set[str]().union(*(named[run_id] for run_id in known.keys() - is_over))
    unused = [("artifacts", artifacts, gone - by_any), ("checkpoints", mirrors, (gone | is_over) - by_open)]
    found = []
    for what, places, run_ids in unused:
        for place, objects in places.items():
            run_id = place.key[-ID_LENGTH:]
            if run_id not in run_ids or any(one.modified is None or one.modified >= before for one in objects):
                continue
            why = "KFP does not know" if run_id in gone else f"is over ({str(known[run_id]['state']).lower()})"
            delete = functools.partial(_delete_objects, s3, place, objects)
            found.append(Leftover(str(place), sum(one.size for one in objects), f"{what} of a run that {why}", delete))
    return found


def _objects_of_runs(s3: Any, address: str, name: str = "", rest: str = "") -> Mapping[S3Address, list[S3Object]]:
    """Return the objects of each run's folder below ``address``, above which is ``name`` and the pattern ``rest``."""
    found: dict[S3Address, list[S3Object]] = defaultdict(list)
    if not address:
        return found
    # A query is KFP's own.
    root = parse_address(re.sub(r"^minio://", "s3://", address).partition("?")[0])
    prefix = (f"{root.key}/" if root.key else "") + name
    folder = re.compile(rf"({re.escape(prefix)}{rest}{RUN_ID.pattern})/.")
    with failures(str(root), root.bucket):
        for one in objects_below(s3, root.bucket, prefix):
            if match := folder.match(one.key):
                found[S3Address(root.bucket, match[1])].append(one)
    return found


def _is_absent(api: KfpApi, run_id: str) -> bool:
    try:
        api.run(run_id)
    except NotThere:
        return True
    return False


def _delete_objects(s3: Any, place: S3Address, objects: list[S3Object]) -> None:
    with failures(str(place), place.bucket):
        # First what names a checkpoint: nothing goes on from what is half deleted.
        for one in sorted(objects, key=lambda one: not one.key.endswith(f"/{NOTE}")):
            s3.delete_object(Bucket=place.bucket, Key=one.key)


def in_mlflow(tracking_uri: str | None, results: Path, before: float) -> list[Leftover]:
    """Return artifacts of runs that were deleted in MLflow, and their folders on this machine.

    What a version of a registered model refers to is left out, and so is the newest comparison, a run that a process
    is at, and one that this MLflow has never had, but for a folder in which nothing was trained.

    Args:
        tracking_uri: None for MLFLOW_TRACKING_URI, or the local store; without a file of that nothing is found.
        results: Folder of runs/ and latest.
        before: What was at work later, in seconds since 1970, is left out.
    """
    # "" if it is of no use without its password, which the environment has.
    uri = tracking_address(tracking_uri or "")
    if (database := database_of(uri)) and not database.is_file():
        return []

    def look() -> tuple[list[Leftover], set[str], set[str]]:
        from mlflow.entities import ViewType

        store = connect(uri or resolve_tracking_uri())
        versions = _pages(store.search_model_versions)
        registered = " ".join(f"{one.run_id} {one.source} {one.model_id}" for one in versions)
        listed = _pages(functools.partial(store.search_experiments, view_type=ViewType.ALL))
        experiments = [one.experiment_id for one in listed]
        used: set[str] = set()
        unused: set[str] = set()
        old = []
        for run in _pages(functools.partial(store.search_runs, experiments, run_view_type=ViewType.ALL)):
            is_unused = run.info.lifecycle_stage == "deleted" and run.info.run_id not in registered
            if name := run.data.tags.get("pipeline_run_id"):
                (unused if is_unused else used).add(name)
            if is_unused and (run.info.end_time or run.info.start_time) < before * 1000:
                old.append(run)
        return list(_artifacts(store, experiments, old, registered)), used, unused

    artifacts, used, unused = patiently(look, resolve_tracking_uri(tracking_uri), 0, print)
    return [*artifacts, *(_folders(results, uri, used, unused, before) if uri else ())]


def _pages(search: Callable[..., Any]) -> Iterator[Any]:
    """Yield what is on every page of a list of MLflow's."""
    token = None
    while True:
        page = search(page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _artifacts(
    store: "MlflowClient", experiments: list[str], runs: Sequence["Run"], registered: str
) -> Iterator[Leftover]:
    """Yield the artifacts of ``runs``, which are deleted, and of their models that are not registered."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    ids = {run.info.run_id for run in runs}
    models = _pages(functools.partial(store.search_logged_models, experiments))
    places = [(f"run {run.info.run_id}", run.info.artifact_uri, "the run is deleted there") for run in runs] + [
        (f"model {one.model_id}", one.artifact_location, "its run is deleted there, and no version is registered")
        for one in models
        if one.source_run_id in ids and one.model_id not in registered
    ]
    for place, address, reason in places:
        # A server's word is not enough to delete files of this machine, or what is more than a run's.
        is_here = not address.startswith(("mlflow-artifacts:", "s3:"))
        if not OWN_FOLDER.search(address) or (is_here and not database_of(store.tracking_uri)):
            continue
        files = get_artifact_repository(address, store.tracking_uri)
        if size := _size(files):
            delete = functools.partial(patiently, files.delete_artifacts, store.tracking_uri, 0, print)
            yield Leftover(f"{place} in MLflow", size, reason, delete)


def _size(files: Any, folder: str | None = None) -> int:
    found = files.list_artifacts(folder)
    return sum(_size(files, one.path) if one.is_dir else int(one.file_size or 0) for one in found)


def _folders(results: Path, uri: str, used: set[str], unused: set[str], before: float) -> Iterator[Leftover]:
    newest = (results / "latest").resolve()
    for folder in run_state.all_folders(results):
        state = run_state.read_state(folder)
        if not state or state.tracking_uri != uri or state.run_id in used or newest.is_relative_to(folder.resolve()):
            continue
        if state.run_id not in unused and any(folder.glob("*/train-*/records/*")):
            # Perhaps all that is left of a training whose MLflow was lost.
            continue
        with run_state.held(folder) as is_free:
            # Who looks at a lock touches it.
            files = [path.lstat() for path in folder.rglob("*") if path.is_file() and path.name != run_state.LOCK_FILE]
            if is_free and all(file.st_mtime < before for file in files):
                reason = "its runs are deleted in MLflow" if state.run_id in unused else "nothing was trained in it"
                size = sum(file.st_size for file in files)
                yield Leftover(str(folder), size, reason, functools.partial(_delete_folder, folder))


def _delete_folder(folder: Path) -> None:
    with run_state.held(folder) as is_free:
        if not is_free:
            raise DualGANError(f"{folder}: another process is at this run")
        shutil.rmtree(folder)
