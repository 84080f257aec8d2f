"""Whether files are whole images of a sensible size, checked with the decoder that training has.

Decoding what anybody may have made is kept out of the process that fetches.
"""

import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
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


def check_images(paths: Sequence[str], limits: Limits) -> dict[str, Checked]:
    """Check image files, and return what is known of each by its path.

    Raises DualGANError if the fault is this machine's: a Pillow without a format, no memory.
    """
    with Progress("checking", len(paths), "images") as progress:
        found = {}
        for path, checked in _check_all(paths, limits) if len(paths) <= BATCH else _in_processes(paths, limits):
            found[path] = checked
            progress.advance(1)
        return found


def _check_all(paths: Sequence[str], limits: Limits) -> list[tuple[str, Checked]]:
    # What Pillow only warns of is no reason to refuse a file.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [(path, _check(path, limits)) for path in paths]


def _check(path: str, limits: Limits) -> Checked:
    try:
        width, height, bits = check_picture(path, limits.pixels)
    except BadPicture as error:
        return Checked(error.reason)
    if min(width, height) < limits.side:
        return Checked(f"{width}x{height} pixels, too small: less than {limits.side} a side")
    return Checked("", bits)


def _in_processes(paths: Sequence[str], limits: Limits) -> Iterator[tuple[str, Checked]]:
    batches = [paths[start : start + BATCH] for start in range(0, len(paths), BATCH)]
    pool = _pool(min(len(os.sched_getaffinity(0)), MAX_PROCESSES))
    try:
        answers = [pool.submit(_check_all, batch, limits) for batch in batches]
        for batch, answer in zip(batches, answers, strict=True):
            try:
                yield from answer.result()
            except BrokenProcessPool:
                # A decoder has crashed, perhaps on another batch: of this one each file is tried alone.
                yield from _one_by_one(batch, limits)
        pool.shutdown()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.kill()
        raise


def _one_by_one(paths: Sequence[str], limits: Limits) -> Iterator[tuple[str, Checked]]:
    pool = _pool(1)
    for path in paths:
        try:
            yield path, pool.submit(_check, path, limits).result()
        except BrokenProcessPool:
            yield path, Checked("decoding it ended the decoder")
            pool = _pool(1)
    pool.shutdown()


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
