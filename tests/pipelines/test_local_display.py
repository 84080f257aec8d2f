"""What a run on this machine shows while it goes on, and the table of where its time went."""

import io
import json
import os
import time
from pathlib import Path

import pytest

from components.common.console import PROGRESS, STATUS
from dualgan.run_folder import write_json
from pipelines.local_display import events_shown, write_timings
from pipelines.local_tasks import Task, Timing


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("terminal", "shown"),
    [
        (io.StringIO(), "train a seed 0: 1/9\ntrain b seed 0: 2/9\ntrain a seed 0: finished\n"),
        (
            Terminal(),
            "\r\x1b[Ktrain a seed 0: 1/9\r\x1b[Ktrain a seed 0: 1/9 | train b seed 0: 2/9"
            "\r\x1b[Ktrain a seed 0: finished\ntrain b seed 0: 2/9",
        ),
    ],
)
def test_on_a_terminal_works_side_by_side_share_a_line_that_is_renewed(
    tmp_path: Path, terminal: io.StringIO, shown: str
) -> None:
    events = [
        (PROGRESS, "train a seed 0: 1/9"),
        (PROGRESS, "train b seed 0: 2/9"),
        (STATUS, "train a seed 0: finished"),
    ]
    with events_shown(tmp_path / "events.jsonl", terminal), (tmp_path / "events.jsonl").open("a") as file:
        file.writelines(json.dumps({"kind": kind, "text": text}) + "\n" for kind, text in events)
        file.flush()
    assert terminal.getvalue() == shown


def test_the_table_tells_what_each_task_took_and_the_parts_of_a_training(tmp_path: Path) -> None:
    began = time.time() - 100
    training, other = (Task(name, "", (), tmp_path / name, dict) for name in ("train-a-seed-0", "dataset"))
    records = training.folder / "records"
    records.mkdir(parents=True)
    steps: list[dict[str, object]] = [
        {"step": n, "epoch": 0, "time": began + 10 + n, "seconds": 1.0, "metrics": {}} for n in (1, 2)
    ]
    (records / "events.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))
    times = {"training": 1.75, "waiting_for_data": 0.25, "checkpointing": 0.5, "sampling": 0.25}
    times |= {"importing": 4.0, "building": 3.0}
    write_json(records / "summary.json", {"time": times})
    os.utime(records / "summary.json", (began + 15, began + 15))
    timings = [Timing(training, began - 2, began, began + 18), Timing(other, began - 5, began - 5, began - 2)]
    write_timings(tmp_path / "timings.txt", timings)
    header, *rows = [line.split() for line in (tmp_path / "timings.txt").read_text().splitlines()]
    assert header[:6] == ["task", "waited", "total", "start-up", "import", "graph"]
    assert rows == [
        ["dataset", "0.0", "3.0"],
        ["train-a-seed-0", "2.0", "18.0", "3.0", "4.0", "3.0", "1.0", "1.0", "0.5", "0.2", "3.0"],
    ]
