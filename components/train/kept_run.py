"""A run folder kept in S3 while it is trained, so that the next try of a task that lost its node goes on with it.

Below the prefix, ``latest.json`` names the newest checkpoint that is whole there and its files. It is written last. The
pictures drawn before that checkpoint are not among them: MLflow has them.
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
LONGEST_NOTE = 1 << 20


class KeptRun:
    """The copy of the run folder ``run`` at ``address``. Raises BadInput for an address that is none."""

    def __init__(self, run: Path, address: str, patience: Patience | None = None) -> None:
        # boto3 takes a second to import.
        from components.dataset.s3 import client

        self._run, self._place = run, parse_s3(address)
        self._s3: S3Client = client(patience or Patience())
        self._newest: str | None = None

    @property
    def _prefix(self) -> str:
        return f"{self._place.key}/" if self._place.key else ""

    def restore(self) -> str | None:
        """Bring the copy into the run folder where that has no checkpoint; the checkpoint's name, None without one.

        Raises BadInput where S3 refuses, TransferBroken where it breaks off; the run folder is then as it was.
        """
        from components.dataset.s3 import failures, objects_below, read_object

        if _checkpoints(self._run):
            return None
        with failures(self._place.source, self._place.bucket):
            # A list, for a bucket that is missing looks to other questions like an object that is.
            if not list(objects_below(self._s3, self._place.bucket, self._prefix + NOTE)):
                return None
            note = json.loads(read_object(self._s3, self._place.bucket, self._prefix + NOTE, LONGEST_NOTE))
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

    def keep(self) -> str | None:
        """Copy the newest checkpoint where it is not there yet; its name, None where there is nothing new.

        Raises as ``restore`` does. A checkpoint that the trainer replaces meanwhile is left for the next call.
        """
        from components.dataset.s3 import failures

        found = _checkpoints(self._run)
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
            before, self._newest = self._newest, checkpoint.name
            if before:
                self._remove(f"{self._prefix}{before}/")
        return self._newest

    def forget(self) -> None:
        """Remove the copy: the run is finished, and its folder goes where the pipeline keeps artifacts."""
        from components.dataset.s3 import failures

        with failures(self._place.source, self._place.bucket):
            self._s3.delete_object(Bucket=self._place.bucket, Key=self._prefix + NOTE)
            self._remove(f"{self._prefix}step-")

    def _remove(self, prefix: str) -> None:
        from components.dataset.s3 import objects_below

        for entry in list(objects_below(self._s3, self._place.bucket, prefix)):
            self._s3.delete_object(Bucket=self._place.bucket, Key=entry.key)


def _checkpoints(run: Path) -> Sequence[Path]:
    """The checkpoints of a run folder, the oldest first. The trainer renames one there when it is whole."""
    folder = RunFolder(run).checkpoints
    steps = {step: path for path in (folder.iterdir() if folder.is_dir() else ()) if (step := step_of(path.name))}
    return [steps[step] for step in sorted(steps)]


@contextlib.contextmanager
def keep_in_s3(run: Path, address: str | None, say: Callable[[str], None]) -> Iterator[None]:
    """Restore ``run`` from ``address`` (s3://bucket/prefix, None: nothing is kept), and keep it there inside the block.

    Leaving the block copies the last checkpoint; without an error it removes the copy. Raises BadInput or
    TransferBroken where the copy cannot be looked for; later failures are said once and stop nothing.
    """
    if not address:
        yield
        return
    kept = KeptRun(run, address)
    restored = kept.restore()
    if restored:
        say(f"goes on from {restored}, kept in {address}")
    done = threading.Event()
    thread = threading.Thread(target=_keep_until, args=(done, kept, say), name="kept run", daemon=True)
    thread.start()
    finished = False
    try:
        yield
        finished = True
    finally:
        done.set()
        thread.join()
        with _said(say, set()):
            if finished:
                kept.forget()
            else:
                kept.keep()


def _keep_until(done: threading.Event, kept: KeptRun, say: Callable[[str], None]) -> None:
    said: set[str] = set()
    while not done.wait(POLL_SECONDS):
        with _said(say, said):
            kept.keep()


@contextlib.contextmanager
def _said(say: Callable[[str], None], said: set[str]) -> Iterator[None]:
    try:
        yield
    except (DualGANError, TransferBroken, OSError) as error:
        if "failed" not in said:
            said.add("failed")
            say(f"the checkpoint is not kept: {error}")
