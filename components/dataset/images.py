"""Images, checked with the decoder that training has, in processes of their own: anybody may have made them."""

import logging
import multiprocessing
import os
import signal
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import NamedTuple

from components.common.console import Progress
from components.common.processes import die_with_parent
from components.dataset.options import FetchOptions
from dualgan.errors import printable
from dualgan.pictures import BadPicture, check_picture

# So few images are checked sooner than a process starts; so many are sent to one at a time.
BATCH = 64
MAX_PROCESSES = 8
MAX_NAMED = 10

log = logging.getLogger(__name__)


class Checked(NamedTuple):
    """Why a file cannot be used, "" if it can, and how many bits a value of the image has."""

    problem: str
    bits: int = 8


def log_bad_images(images: Sequence[tuple[str, str]]) -> str:
    """Log each of ``images`` by name and reason, and return the first ones in a line."""
    lines = [f"{on_one_line(name)} ({reason})" for name, reason in images]
    for line in lines:
        log.info("bad image: %s", line)
    more = f" and {len(lines) - MAX_NAMED} more" if len(lines) > MAX_NAMED else ""
    return ", ".join(lines[:MAX_NAMED]) + more


def on_one_line(name: str) -> str:
    return printable(name).replace("\n", "\\n")


def check_images(paths: Sequence[str], options: FetchOptions) -> dict[str, Checked]:
    """Check image files, and return what is known of each by its path.

    Raises DualGANError if the fault is this machine's: a Pillow without a format, no memory.
    """
    found = {}
    with Progress("checking", len(paths), "images") as progress:
        for path, checked in _check_all(paths, options) if len(paths) <= BATCH else _in_processes(paths, options):
            found[path] = checked
            progress.advance(1)
    return found


def _check_all(paths: Sequence[str], options: FetchOptions) -> list[tuple[str, Checked]]:
    # What Pillow only warns of is no reason to refuse a file.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [(path, _check(path, options)) for path in paths]


def _check(path: str, options: FetchOptions) -> Checked:
    try:
        width, height, bits = check_picture(path, options.max_pixels)
    except BadPicture as error:
        return Checked(error.reason)
    if min(width, height) < options.min_side:
        return Checked(f"{width}x{height} pixels, too small: less than {options.min_side} a side")
    return Checked("", bits)


def _in_processes(paths: Sequence[str], options: FetchOptions) -> Iterator[tuple[str, Checked]]:
    batches = [paths[start : start + BATCH] for start in range(0, len(paths), BATCH)]
    pool = _pool(min(len(os.sched_getaffinity(0)), MAX_PROCESSES))
    try:
        answers = [pool.submit(_check_all, batch, options) for batch in batches]
        for batch, answer in zip(batches, answers, strict=True):
            try:
                yield from answer.result()
            except BrokenProcessPool:
                # A decoder has crashed, perhaps on another batch: of this one each file is tried alone.
                yield from _one_by_one(batch, options)
        pool.shutdown()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.kill()
        raise


def _one_by_one(paths: Sequence[str], options: FetchOptions) -> Iterator[tuple[str, Checked]]:
    pool = _pool(1)
    for path in paths:
        try:
            yield path, pool.submit(_check, path, options).result()
        except BrokenProcessPool:
            yield path, Checked("decoding it ended the decoder")
            pool = _pool(1)
    pool.shutdown()


def _pool(processes: int) -> ProcessPoolExecutor:
    # Not forked: the process that fetches may have threads.
    return ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _begin)


def _begin() -> None:
    """Make a process of the pool quiet, and let it end with the one that fetches: else it would wait forever."""
    die_with_parent()
    parent = multiprocessing.parent_process()
    if parent is None or os.getppid() != parent.pid:
        os._exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
