"""Checkpoints in S3 while a leg is trained, so that the next try of a task that lost its node goes on with them.

Below the address, ``latest.json`` names the newest checkpoint that is whole there, its files, and the pictures that
were drawn until then. It is written last. A training that ended leaves its last checkpoint there, because the upload of
its artifacts can still fail: a task that has read them deletes it.
"""

import contextlib
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, Field

from components.common.s3 import TransferBroken, client, failures, objects_below, parse_address, read_object
from components.common.threads import in_background
from dualgan.errors import DualGANError
from dualgan.json_files import parse_object
from dualgan.run_folder import RunFolder, step_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

POLL_SECONDS = 5.0
NOTE = "latest.json"
# It names every picture.
MAX_NOTE_BYTES = 16 << 20


def _within(name: str) -> str:
    parts = name.split("/")
    if "\0" in name or any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"{name!r} is no file of a run folder")
    return name


FileName = Annotated[str, AfterValidator(_within)]


class Note(BaseModel):
    """What is whole in S3: the newest checkpoint's name, its files, and the pictures drawn until then."""

    checkpoint: Annotated[str, Field(pattern=r"^step-\d{1,12}$")]
    files: Annotated[list[FileName], Field(min_length=1)]
    pictures: list[FileName] = []


def training_uri(checkpoints: str, pipeline_run_id: str, leg: str, seed: int) -> str | None:
    """Return where below ``checkpoints`` (s3://bucket/prefix) one training's are; None if that is empty."""
    return f"{checkpoints.rstrip('/')}/{pipeline_run_id}/{leg}-seed-{seed}" if checkpoints else None


class CheckpointMirror:
    """The newest checkpoint of the run folder ``run``, copied to ``checkpoint_uri`` (s3://bucket/prefix).

    Raises:
        BadInput: for an address that is none.
    """

    def __init__(self, run: Path, checkpoint_uri: str, idle_timeout: float = 120.0) -> None:
        self._run, self._address = run, parse_address(checkpoint_uri)
        self._s3: S3Client = client(idle_timeout=idle_timeout)
        self._newest: str | None = None
        self._pictures: set[str] = set()

    @property
    def _prefix(self) -> str:
        return f"{self._address.key}/" if self._address.key else ""

    def restore(self) -> str | None:
        """Bring the copy into the run folder if that has no checkpoint.

        Returns:
            The checkpoint's name; None without one.

        Raises:
            BadInput: if S3 refuses.
            TransferBroken: if the transfer breaks off; the run folder is then as it was.
        """
        if checkpoint_folders(self._run):
            return None
        with failures(str(self._address), self._address.bucket):
            # A list, for a bucket that is missing looks to other questions like an object that is.
            if not list(objects_below(self._s3, self._address.bucket, self._prefix + NOTE)):
                return None
            note = self._read_note()
            unfinished = self._run.with_name(f"{self._run.name}.restoring")
            shutil.rmtree(unfinished, ignore_errors=True)
            pictures = {name: name for name in note.pictures}
            for name, key in {**{name: f"{note.checkpoint}/{name}" for name in note.files}, **pictures}.items():
                target = unfinished / name
                target.parent.mkdir(parents=True, exist_ok=True)
                self._s3.download_file(self._address.bucket, f"{self._prefix}{key}", str(target))
        shutil.rmtree(self._run, ignore_errors=True)
        unfinished.replace(self._run)
        self._newest, self._pictures = note.checkpoint, set(pictures)
        return self._newest

    def _read_note(self) -> Note:
        content = read_object(self._s3, self._address.bucket, self._prefix + NOTE, MAX_NOTE_BYTES)
        with contextlib.suppress(ValueError):
            return Note.model_validate(parse_object(content, NOTE, MAX_NOTE_BYTES))
        raise DualGANError(f"{self._address}/{NOTE}: names no checkpoint; delete it, and the training begins again")

    def upload(self) -> str | None:
        """Copy the newest checkpoint if it is not there yet.

        A checkpoint that the trainer replaces meanwhile is left for the next call. Raises as ``restore`` does.

        Returns:
            The checkpoint's name; None if there is nothing new.
        """
        found = checkpoint_folders(self._run)
        if not found or found[-1].name == self._newest:
            return None
        checkpoint, folder = found[-1], RunFolder(self._run)
        with failures(str(self._address), self._address.bucket):
            try:
                files = [
                    folder.options,
                    folder.events,
                    *sorted(file for file in checkpoint.iterdir() if file.is_file()),
                ]
                names = [file.relative_to(self._run).as_posix() for file in files]
                for file, name in zip(files, names, strict=True):
                    self._s3.upload_file(str(file), self._address.bucket, f"{self._prefix}{checkpoint.name}/{name}")
                self._upload_pictures(step_of(checkpoint.name) or 0)
            except FileNotFoundError:
                return None
            note = Note(checkpoint=checkpoint.name, files=names, pictures=sorted(self._pictures))
            content = note.model_dump_json().encode()
            self._s3.put_object(Bucket=self._address.bucket, Key=self._prefix + NOTE, Body=content)
            self._newest = checkpoint.name
            self._delete_checkpoints(but=self._newest)
        return self._newest

    def delete(self) -> None:
        """Delete the copy. Raises as ``restore`` does."""
        with failures(str(self._address), self._address.bucket):
            # The note first: without it nothing is restored from what is half deleted.
            self._s3.delete_object(Bucket=self._address.bucket, Key=self._prefix + NOTE)
            self._delete_checkpoints()
            self._delete_below("samples/")

    def _upload_pictures(self, last_step: int) -> None:
        """Copy what was drawn until the checkpoint; what is drawn after it may not be whole."""
        for folder in RunFolder(self._run).samples.glob("step-*"):
            if (step_of(folder.name) or 0) > last_step:
                continue
            for file in sorted(folder.glob("*.png")):
                name = file.relative_to(self._run).as_posix()
                if name not in self._pictures:
                    self._s3.upload_file(str(file), self._address.bucket, f"{self._prefix}{name}")
                    self._pictures.add(name)

    def _delete_checkpoints(self, but: str | None = None) -> None:
        self._delete_below("step-", f"{but}/" if but else None)

    def _delete_below(self, prefix: str, but: str | None = None) -> None:
        for entry in list(objects_below(self._s3, self._address.bucket, self._prefix + prefix)):
            if not (but and entry.key.startswith(self._prefix + but)):
                self._s3.delete_object(Bucket=self._address.bucket, Key=entry.key)


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
    try:
        with in_background("checkpoint mirror", lambda ended: _upload_until(ended, mirror, report)):
            yield
    finally:
        with _reported("the checkpoint is not copied", report, set()):
            mirror.upload()


def delete_mirror(checkpoint_uri: str | None, report: Callable[[str], None]) -> None:
    """Delete the checkpoints at ``checkpoint_uri``, which an artifact holds by now; a failure is reported only."""
    if checkpoint_uri:
        with _reported(f"{checkpoint_uri} is not deleted", report, set()):
            CheckpointMirror(Path(), checkpoint_uri).delete()


def _upload_until(ended: threading.Event, mirror: CheckpointMirror, report: Callable[[str], None]) -> None:
    reported: set[str] = set()
    while not ended.wait(POLL_SECONDS):
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
