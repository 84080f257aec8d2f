"""What grows with pictures and steps grows in proportion to them: counted, not timed."""

import os
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from components.compare.leg import read_history
from dualgan.dataset_folder import checked_description, image_counts, list_images
from dualgan.run_folder import EventLog, read_events
from dualgan.summary import summarise
from tests.bench.scale import FEED, make_pictures
from tests.components.run_folders import loss_rows, write_events


@pytest.mark.parametrize("pictures", [40, 80])
def test_pictures_are_listed_folder_by_folder_and_read_once(
    tmp_path: Path, pictures: int, counted: Callable[[Any, str], list[object]]
) -> None:
    make_pictures(tmp_path, pictures)
    listed, read = counted(os, "scandir"), counted(Path, "read_bytes")
    assert sum(image_counts(tmp_path / "data").values()) == pictures
    assert len(listed) == 2
    checked_description(tmp_path / "data")
    assert read == [path for domain in "AB" for path in list_images(tmp_path / "data", "train", domain)]


@contextmanager
def peak_memory() -> Iterator[list[int]]:
    """Note the most bytes that Python's objects took within the block beyond those before it."""
    peak: list[int] = []
    tracemalloc.start()
    try:
        yield peak
        peak.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()


def summarised(events: Path) -> object:
    return summarise(read_events(events), "finished", None, 1, {})


def resumed(events: Path) -> None:
    EventLog(events).cut_after(10**6)


@pytest.mark.parametrize(("work", "bytes_a_step"), [(summarised, 100), (resumed, 10), (read_history, 1000)])
def test_of_each_step_few_bytes_are_held(tmp_path: Path, work: Callable[[Path], object], bytes_a_step: int) -> None:
    peaks = []
    # A log that is opened reads a megabyte of what is there.
    for steps in (3000, 5000):
        write_events(tmp_path / "events.jsonl", loss_rows(steps), feed=FEED)
        with peak_memory() as peak:
            work(tmp_path / "events.jsonl")
        peaks += peak
    assert (peaks[1] - peaks[0]) / 2000 < bytes_a_step
