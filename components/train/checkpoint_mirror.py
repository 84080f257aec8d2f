"""Checkpoints in S3 while a leg is trained, so that the next try of a task that lost its node goes on with them.

Below the address, ``latest.json`` names the newest checkpoint that is whole there and its files. It is written last.
The pictures drawn before that checkpoint are not among them: MLflow has them. A training that ended leaves its last
checkpoint there, because the upload of its artifacts can still fail: a task that has read them deletes it.
"""

import contextlib
import json
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from components.dataset.errors import TransferBroken
from components.dataset.options import Patience
from components.dataset.sources import parse_s3
from dualgan.errors import DualGANError
from dualgan.run_folder import RunFolder, step_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

POLL_SECONDS = 5.0
NOTE = "latest.json"
MAX_NOTE_BYTES = 1 << 20


def training_uri(checkpoints: str, pipeline_run_id: str, leg: str, seed: int) -> str | None:
    """Return where below ``checkpoints`` (s3://bucket/prefix) one training's are; None if that is empty."""
    return f"{checkpoints.rstrip('/')}/{pipeline_run_id}/{leg}-seed-{seed}" if checkpoints else None


class CheckpointMirror:
    """The newest checkpoint of the run folder ``run``, copied to ``checkpoint_uri`` (s3://bucket/prefix).

    Raises:
        BadInput: for an address that is none.
    """

    def __init__(self, run: Path, checkpoint_uri: str, patience: Patience | None = None) -> None:
        # boto3 takes a second to import.
        from components.dataset.s3 import client

        self._run, self._place = run, parse_s3(checkpoint_uri)
        self._s3: S3Client = client(patience or Patience())
        self._newest: str | None = None

    @property
    def _prefix(self) -> str:
        return f"{self._place.key}/" if self._place.key else ""

    def restore(self) -> str | None:
        """Bring the copy into the run folder if that has no checkpoint.

        Returns:
            The checkpoint's name; None without one.

        Raises:
            BadInput: if S3 refuses.
            TransferBroken: if the transfer breaks off; the run folder is then as it was.
        """
        from components.dataset.s3 import failures, objects_below, read_object

        if checkpoint_folders(self._run):
            return None
        with failures(self._place.source, self._place.bucket):
            # A list, for a bucket that is missing looks to other questions like an object that is.
            if not list(objects_below(self._s3, self._place.bucket, self._prefix + NOTE)):
                return None
            note = json.loads(read_object(self._s3, self._place.bucket, self._prefix + NOTE, MAX_NOTE_BYTES))
            unfinished = self._run.with_name(f"{self._run.name}.restoring")
            shutil.rmtree(unfinished, ignore_errors=True)
            for name in note["files"]:
                target = unfinished / name
                if not target.resolve().is_relative_to(unfinished.resolve()):
                    raise DualGANError(f"{self._place.source}: names a file outside of the run folder: {name}")
                target.parent.mkdir(parents=True, exist_ok=True)
                self._s3.download_file(self._place.bucket, f"{self._prefix}{note['checkpoint']}/{name}", str(target))
        shutil.rmtree(self._run, ignore_errors=True)
        unfinished.replace(self._run)
        self._newest = str(note["checkpoint"])
        return self._newest

    def upload(self) -> str | None:
        """Copy the newest checkpoint if it is not there yet.

        A checkpoint that the trainer replaces meanwhile is left for the next call. Raises as ``restore`` does.

        Returns:
            The checkpoint's name; None if there is nothing new.
        """
        from components.dataset.s3 import failures

        found = checkpoint_folders(self._run)
        if not found or found[-1].name == self._newest:
            return None
        checkpoint, folder = found[-1], RunFolder(self._run)
        with failures(self._place.source, self._place.bucket):
            try:
                files = [
                    folder.options,
                    folder.events,
                    *sorted(file for file in checkpoint.iterdir() if file.is_file()),
                ]
                names = [file.relative_to(self._run).as_posix() for file in files]
                for file, name in zip(files, names, strict=True):
                    self._s3.upload_file(str(file), self._place.bucket, f"{self._prefix}{checkpoint.name}/{name}")
            except FileNotFoundError:
                return None
            note = json.dumps({"checkpoint": checkpoint.name, "files": names})
            self._s3.put_object(Bucket=self._place.bucket, Key=self._prefix + NOTE, Body=note.encode())
            self._newest = checkpoint.name
            self._delete_checkpoints(but=self._newest)
        return self._newest

    def delete(self) -> None:
        """Delete the copy. Raises as ``restore`` does."""
        from components.dataset.s3 import failures

        with failures(self._place.source, self._place.bucket):
            # The note first: without it nothing is restored from what is half deleted.
            self._s3.delete_object(Bucket=self._place.bucket, Key=self._prefix + NOTE)
            self._delete_checkpoints()

    def _delete_checkpoints(self, but: str | None = None) -> None:
        from components.dataset.s3 import objects_below

        for entry in list(objects_below(self._s3, self._place.bucket, f"{self._prefix}step-")):
            if not (but and entry.key.startswith(f"{self._prefix}{but}/")):
                self._s3.delete_object(Bucket=self._place.bucket, Key=entry.key)


def checkpoint_folders(run: Path) -> Sequence[Path]:
    """Return the checkpoints of a run folder, the oldest first. The trainer renames one there when it is whole."""
    folder = RunFolder(run).checkpoints
    steps = {step: path for path in (folder.iterdir() if folder.is_dir() else ()) if (step := step_of(path.name))}
    return [steps[step] for step in sorted(steps)]


@contextlib.contextmanager
def mirrored(run: Path, checkpoint_uri: str | None, report: Callable[[str], None]) -> Iterator[None]:
    """Restore ``run`` from ``checkpoint_uri``, and keep the copy there up to date until the block is left.

    However the block is left, the last checkpoint is copied then. A copy that fails is reported once and stops
    nothing.

    Args:
        run: The run folder.
        checkpoint_uri: s3://bucket/prefix; None copies nothing.
        report: Gets a line on what happened.

    Raises:
        BadInput, TransferBroken: if the copy cannot be looked for.
    """
    if not checkpoint_uri:
        yield
        return
    mirror = CheckpointMirror(run, checkpoint_uri)
    restored = mirror.restore()
    if restored:
        report(f"goes on from {restored}, found in {checkpoint_uri}")
    done = threading.Event()
    thread = threading.Thread(target=_upload_until, args=(done, mirror, report), name="checkpoint mirror", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        with _reported("the checkpoint is not copied", report, set()):
            mirror.upload()


def delete_mirror(checkpoint_uri: str | None, report: Callable[[str], None]) -> None:
    """Delete the checkpoints at ``checkpoint_uri``, which an artifact holds by now; a failure is reported only."""
    if checkpoint_uri:
        with _reported(f"{checkpoint_uri} is not deleted", report, set()):
            CheckpointMirror(Path(), checkpoint_uri).delete()


def _upload_until(done: threading.Event, mirror: CheckpointMirror, report: Callable[[str], None]) -> None:
    reported: set[str] = set()
    while not done.wait(POLL_SECONDS):
        with _reported("the checkpoint is not copied", report, reported):
            mirror.upload()


@contextlib.contextmanager
def _reported(what: str, report: Callable[[str], None], reported: set[str]) -> Iterator[None]:
    try:
        yield
    except (DualGANError, TransferBroken, OSError) as error:
        if what not in reported:
            reported.add(what)
            report(f"{what}: {error}")
