"""Whether files are whole images of a sensible size: checked in processes of their own.

Decoding what anybody may have made is kept out of the process that fetches.
"""

import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import NamedTuple

from components.common.console import Progress
from components.dataset.options import Limits
from dualgan.pictures import BadPicture, check_picture

# So few images are checked sooner than a process starts; so many are sent to one at a time.
BATCH = 64
MAX_PROCESSES = 8


class Checked(NamedTuple):
    """Why a file cannot be used, "" if it can, and how many bits a value of the image has."""

    problem: str
    bits: int = 8


def check_image(path: str, limits: Limits) -> Checked:
    """Check a file with the decoder that training has.

    Raises DualGANError if the fault is this machine's: a Pillow without a format, no memory.
    """
    try:
        width, height, bits = check_picture(path, limits.pixels)
    except BadPicture as error:
        return Checked(error.reason)
    if min(width, height) < limits.side:
        return Checked(f"{width}x{height} pixels, too small: less than {limits.side} a side")
    return Checked("", bits)


def _check_all(paths: Sequence[str], limits: Limits) -> list[Checked]:
    # What Pillow only warns of is no reason to refuse a file.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [check_image(path, limits) for path in paths]


class ImageChecks:
    """Checks files while more of them are being written: ``submit`` what is written, then ask for ``results``."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._waiting: list[str] = []
        self._sent: list[tuple[list[str], Future[list[Checked]]]] = []
        self._pool = _pool(min(len(os.sched_getaffinity(0)), MAX_PROCESSES))

    def submit(self, file: str) -> None:
        self._waiting.append(file)
        if len(self._waiting) == BATCH:
            batch, self._waiting = self._waiting, []
            self._sent.append((batch, self._send(batch)))

    def results(self) -> dict[str, Checked]:
        """Return what is known of each file submitted."""
        with Progress("checking", BATCH * len(self._sent) + len(self._waiting), "images") as progress:
            found = {}
            for file, checked in self._answers():
                progress.advance(1)
                found[file] = checked
            return found

    def _answers(self) -> Iterator[tuple[str, Checked]]:
        for batch, answer in self._sent:
            try:
                checked = answer.result()
            except BrokenProcessPool:
                # A decoder has crashed, perhaps on another batch: of this one each file is tried alone.
                checked = [self._check_alone(file) for file in batch]
            yield from zip(batch, checked, strict=True)
        yield from zip(self._waiting, _check_all(self._waiting, self.limits), strict=True)

    def _check_alone(self, file: str) -> Checked:
        try:
            return self._send([file]).result()[0]
        except BrokenProcessPool:
            return Checked("decoding it ended the decoder")

    def _send(self, files: list[str]) -> "Future[list[Checked]]":
        try:
            return self._pool.submit(_check_all, files, self.limits)
        except BrokenProcessPool:
            self._pool = _pool(1)
            return self._pool.submit(_check_all, files, self.limits)

    def __enter__(self) -> "ImageChecks":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=kind is None, cancel_futures=True)
        if kind is not None:
            for process in multiprocessing.active_children():
                process.kill()


def _pool(processes: int) -> ProcessPoolExecutor:
    # Not forked: the process that fetches may have threads.
    context = multiprocessing.get_context("forkserver")
    return ProcessPoolExecutor(processes, mp_context=context, initializer=_begin)


def _begin() -> None:
    """Make a process of the pool quiet, and let it end with the one that fetches: else it would wait forever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
