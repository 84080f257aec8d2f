"""Files that no run and no registered model refers to any more: in KFP's bucket, in MLflow, and on this machine.

What a server does not answer for is not taken for gone: each question raises an error then, before anything is deleted.
"""

import functools
import json
import math
import re
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.common.console import print_line as print
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
# What a checkpoint mirror writes below a run's id: nothing else there is a checkpoint.
MIRRORED = rf"[a-z][a-z0-9-]*-seed-\d+/(?:{re.escape(NOTE)}$|step-\d+/|samples/)"
# Where MLflow keeps the files of a run, or of a model.
OWN_FOLDER = re.compile(r"/(?:m-)?[0-9a-f]{32}/artifacts/?$")
Places = dict[S3Address, list[S3Object]]
ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")


@dataclass(frozen=True)
class Leftover:
    """What nobody refers to: where it is, its bytes, why it is one, and what deletes it; None if it may be in use."""

    place: str
    size: int
    reason: str
    delete: Callable[[], None] | None


def in_bucket(api: KfpApi, pipeline_root: str, checkpoints: str, before: float, is_alone: bool) -> list[Leftover]:
    """Return artifacts of runs that KFP does not know, and checkpoints of runs that it does not know or that ended.

    Args:
        pipeline_root: s3:// or minio:// address below which KFP keeps artifacts; "" to leave them out.
        checkpoints: s3:// address of the profile's checkpoints; "" to leave them out.
        before: What changed later, in seconds since 1970, is left out.
        is_alone: Whether no other KFP writes there; else what is of a run that KFP does not know is not to be deleted.

    Raises:
        DualGANError: KFP knows not one of the runs in the bucket, so it is another one's; or no question is answered.
    """
    s3 = client()
    artifacts = _objects_of_runs(s3, "artifacts", pipeline_root, f"{PIPELINE_NAME}-", "[^/]+/", ".")
    mirrors = _objects_of_runs(s3, "checkpoints", checkpoints, "", "", MIRRORED)
    ids = {place.key[-ID_LENGTH:] for place in (*artifacts, *mirrors)}
    states, named = dict[str, str](), dict[str, set[str]]()
    # Each has its whole package, of which no more is kept than is asked for.
    for run in api.runs():
        run_id = str(run["run_id"])
        states[run_id] = str(run.get("state"))
        # A run that was added to another one has artifacts of that, and checkpoints below its id.
        named[run_id] = ids & set(RUN_ID.findall(json.dumps(run))) - {run_id}
    gone = {run_id for run_id in ids - states.keys() if _is_absent(api, run_id)}
    if ids and gone == ids:
        raise DualGANError(f"{api.at.url}: that KFP knows none of the {len(ids)} runs in the bucket; is it theirs?")
    is_over = {run_id for run_id, state in states.items() if state in ENDED}
    by_any = set[str]().union(*named.values())
    by_open = set[str]().union(*(named[run_id] for run_id in named.keys() - is_over))
    unused = [("artifacts", artifacts, gone - by_any), ("checkpoints", mirrors, (gone | is_over) - by_open)]
    unknown = "KFP does not know" + ("" if is_alone else "; left, for it may be another KFP's (--only-this-kfp)")
    found = []
    for what, places, run_ids in unused:
        for place, objects in places.items():
            run_id = place.key[-ID_LENGTH:]
            if run_id not in run_ids or any(one.modified is None or one.modified >= before for one in objects):
                continue
            why = unknown if run_id in gone else f"is over ({states[run_id].lower()})"
            may_go = is_alone or run_id in is_over
            delete = functools.partial(_delete_objects, s3, place, objects) if may_go else None
            found.append(Leftover(str(place), sum(one.size for one in objects), f"{what} of a run that {why}", delete))
    return found


def _objects_of_runs(s3: Any, what: str, address: str, name: str, above: str, below: str) -> Places:
    """Return the objects of each run's folder, whose keys are ADDRESS/NAME, then what fits ABOVE, the id, and BELOW."""
    found: Places = defaultdict(list)
    if not address:
        return found
    # A query is KFP's own.
    root = parse_address(re.sub(r"^minio://", "s3://", address).partition("?")[0])
    prefix = (f"{root.key}/" if root.key else "") + name
    folder = re.compile(rf"({re.escape(prefix)}{above}{RUN_ID.pattern})/{below}")
    with failures(str(root), root.bucket):
        for one in objects_below(s3, root.bucket, prefix):
            if match := folder.match(one.key):
                found[S3Address(root.bucket, match[1])].append(one)
    print(f"looked at: {what} of {len(found)} runs below {address}")
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

    What a version of a registered model refers to is left out, and so is the newest comparison, a run that goes on,
    and one that this MLflow has never had, but for a folder in which nothing was trained.

    Args:
        tracking_uri: None for MLFLOW_TRACKING_URI, or the local store; without a file of that nothing is found.
        results: Folder of runs/ and latest.
        before: What changed, ended or was deleted later, in seconds since 1970, is left out; a server does not say when
            a run was deleted.
    """
    # "" if it is of no use without its password, which the environment has.
    uri = tracking_address(tracking_uri or "")
    if (database := database_of(uri)) and not database.is_file():
        print(f"not looked at: MLflow and folders of runs; there is no {database}")
        return []

    def look() -> tuple[list[Leftover], set[str], set[str]]:
        from mlflow.entities import RunStatus, ViewType

        store = connect(uri or resolve_tracking_uri())
        versions = _pages(store.search_model_versions)
        registered = " ".join(f"{one.run_id} {one.source} {one.model_id}" for one in versions)
        listed = _pages(functools.partial(store.search_experiments, view_type=ViewType.ALL))
        experiments = [one.experiment_id for one in listed]
        deleted_before = getattr(store._tracking_client.store, "_get_deleted_runs", None)
        deleted = deleted_before and set(deleted_before(int((time.time() - before) * 1000)))
        used, unused = set[str](), set[str]()
        count, old = 0, []
        for run in _pages(functools.partial(store.search_runs, experiments, run_view_type=ViewType.ALL)):
            count, info = count + 1, run.info
            is_unused = (
                info.lifecycle_stage == "deleted"
                and (deleted is None or info.run_id in deleted)
                and RunStatus.is_terminated(RunStatus.from_string(info.status))
                and (info.end_time or math.inf) < before * 1000
                and info.run_id not in registered
            )
            if name := run.data.tags.get("pipeline_run_id"):
                (unused if is_unused else used).add(name)
            if is_unused:
                old.append(run)
        print(f"looked at: {count} runs in MLflow")
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
    # Where a link leads is not ours to delete.
    folders = [folder for folder in run_state.all_folders(results) if not folder.is_symlink()]
    print(f"looked at: {len(folders)} folders of runs in {results}")
    for folder in folders:
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
