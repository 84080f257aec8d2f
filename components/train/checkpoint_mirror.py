"""Checkpoints in S3 while a leg is trained, so that the next try of a task that lost its node goes on with them.

Below the address, ``latest.json`` names the newest checkpoint that is whole there, its files, and the pictures that
were drawn until then. It is written last. A training that ended leaves its last checkpoint there, because the upload of
its artifacts can still fail: a task that has read them deletes it.
"""

import contextlib
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, Field

from components.common.s3 import client, failures, objects_below, parse_address, read_object
from components.common.threads import in_background
from dualgan.errors import DualGANError
from dualgan.json_files import parse_object
from dualgan.run_folder import RunFolder, step_name, step_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

POLL_SECONDS = 5.0
NOTE = "latest.json"
# It names every picture.
MAX_NOTE_BYTES = 16 << 20


def _within(name: str) -> str:
    if "\0" in name or any(part in ("", ".", "..") for part in name.split("/")):
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


def newest_checkpoint(run: Path) -> int:
    """Return the step of a run folder's newest checkpoint, 0 without one. The trainer names one when it is whole."""
    folder = RunFolder(run).checkpoints
    return max((step_of(path.name) or 0 for path in folder.iterdir()), default=0) if folder.is_dir() else 0


class CheckpointMirror:
    """The newest checkpoint of the run folder ``run``, copied to ``checkpoint_uri`` (s3://bucket/prefix).

    Raises:
        BadInput: for an address that is none, and if S3 refuses.
        TransferInterrupted: if a transfer breaks off; a run folder that was to be restored is then as it was.
    """

    def __init__(self, run: Path, checkpoint_uri: str, idle_timeout: float = 120.0) -> None:
        self._run, self._address = run, parse_address(checkpoint_uri)
        self._prefix = f"{self._address.key}/" if self._address.key else ""
        self._s3: S3Client = client(idle_timeout=idle_timeout)
        self._newest: str | None = None
        self._pictures: set[str] = set()

    def restore(self) -> str | None:
        """Bring the copy into the run folder if that has no checkpoint; return the checkpoint's name, None without."""
        if newest_checkpoint(self._run):
            return None
        with failures(str(self._address), self._address.bucket):
            # A list, for a bucket that is missing looks to other questions like an object that is.
            if not list(objects_below(self._s3, self._address.bucket, self._prefix + NOTE)):
                return None
            note = self._read_note()
            unfinished = self._run.with_name(f"{self._run.name}.restoring")
            shutil.rmtree(unfinished, ignore_errors=True)
            keys = {name: f"{note.checkpoint}/{name}" for name in note.files} | {name: name for name in note.pictures}
            for name, key in keys.items():
                target = unfinished / name
                target.parent.mkdir(parents=True, exist_ok=True)
                self._s3.download_file(self._address.bucket, self._prefix + key, str(target))
        shutil.rmtree(self._run, ignore_errors=True)
        unfinished.replace(self._run)
        self._newest, self._pictures = note.checkpoint, set(note.pictures)
        return self._newest

    def _read_note(self) -> Note:
        content = read_object(self._s3, self._address.bucket, self._prefix + NOTE, MAX_NOTE_BYTES)
        with contextlib.suppress(ValueError):
            return Note.model_validate(parse_object(content, NOTE, MAX_NOTE_BYTES))
        raise DualGANError(f"{self._address}/{NOTE}: names no checkpoint; delete it, and the training begins again")

    def upload(self) -> str | None:
        """Copy the newest checkpoint if it is not there yet; return its name, None if there is nothing new.

        A checkpoint that the trainer replaces meanwhile is left for the next call.
        """
        step = newest_checkpoint(self._run)
        name = step_name(step)
        if not step or name == self._newest:
            return None
        folder = RunFolder(self._run)
        with failures(str(self._address), self._address.bucket):
            try:
                weights = sorted(file for file in (folder.checkpoints / name).iterdir() if file.is_file())
                files = [self._upload(file, f"{name}/") for file in (folder.options, folder.events, *weights)]
                # What is drawn after the checkpoint may not be whole.
                for file in sorted(folder.samples.glob("step-*/*.png")):
                    if (step_of(file.parent.name) or 0) <= step and self._name(file) not in self._pictures:
                        self._pictures.add(self._upload(file))
            except FileNotFoundError:
                return None
            note = Note(checkpoint=name, files=files, pictures=sorted(self._pictures))
            content = note.model_dump_json().encode()
            self._s3.put_object(Bucket=self._address.bucket, Key=self._prefix + NOTE, Body=content)
            self._newest = name
            self._delete_below("step-", but=f"{name}/")
        return name

    def delete(self) -> None:
        """Delete the copy."""
        with failures(str(self._address), self._address.bucket):
            # The note first: without it nothing is restored from what is half deleted.
            for prefix in (NOTE, "step-", "samples/"):
                self._delete_below(prefix)

    def _name(self, file: Path) -> str:
        return file.relative_to(self._run).as_posix()

    def _upload(self, file: Path, below: str = "") -> str:
        name = self._name(file)
        self._s3.upload_file(str(file), self._address.bucket, f"{self._prefix}{below}{name}")
        return name

    def _delete_below(self, prefix: str, but: str | None = None) -> None:
        for entry in list(objects_below(self._s3, self._address.bucket, self._prefix + prefix)):
            if but is None or not entry.key.startswith(self._prefix + but):
                self._s3.delete_object(Bucket=self._address.bucket, Key=entry.key)


@contextlib.contextmanager
def mirrored(run: Path, checkpoint_uri: str | None, report: Callable[[str], None]) -> Iterator[None]:
    """Restore ``run`` from ``checkpoint_uri``, and keep the copy there up to date until the block is left.

    However the block is left, the last checkpoint is copied then. A copy that fails is reported once and stops
    nothing; one that cannot be looked for at the start is an error. Without ``checkpoint_uri`` nothing is copied.
    """
    if not checkpoint_uri:
        yield
        return
    mirror = CheckpointMirror(run, checkpoint_uri)
    if restored := mirror.restore():
        report(f"goes on from {restored}, found in {checkpoint_uri}")

    def upload_until(ended: threading.Event) -> None:
        reported = False
        while not ended.wait(POLL_SECONDS):
            error = _failure(mirror.upload)
            if error and not reported:
                report(f"the checkpoint is not copied: {error}")
                reported = True

    try:
        with in_background("checkpoint mirror", upload_until):
            yield
    finally:
        if error := _failure(mirror.upload):
            report(f"the checkpoint is not copied: {error}")


def delete_mirror(checkpoint_uri: str | None, report: Callable[[str], None]) -> None:
    """Delete the checkpoints at ``checkpoint_uri``, which an artifact holds by now; a failure is reported only."""
    if checkpoint_uri and (error := _failure(lambda: CheckpointMirror(Path(), checkpoint_uri).delete())):
        report(f"{checkpoint_uri} is not deleted: {error}")


def _failure(work: Callable[[], object]) -> Exception | None:
    try:
        work()
    except (DualGANError, OSError) as error:
        return error
    return None
