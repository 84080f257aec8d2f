"""Progress of a run by the tasks of its package, as KFP's API tells it.

KFP has a row for each node of Argo's workflow: groups of tries, tries, drivers. All that run a task's container are
called ``executor``, and a row names no parent, only its children's ids. An id is the workflow's name and a hash of the
node's path, so the paths that a task can have tell which ids are its tries.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from typing import Any

from pipelines.package import Package

SUCCEEDED, FAILED, RUNNING, PENDING = "SUCCEEDED", "FAILED", "RUNNING", "PENDING"
TERMINATED = "TERMINATED"
# Argo notes the start of a task and of its first try at most this far apart.
SAME_START = timedelta(seconds=2)


@dataclass(frozen=True)
class TaskState:
    """How far one task of a package is.

    ``tries`` are Argo's ids, the oldest first. ``without_container``: that of the newest try has not started; None
    if KFP's answer does not tell it from another task's.
    """

    name: str
    state: str
    tries: tuple[str, ...] = ()
    limit: int = 1
    seconds: float | None = None
    without_container: bool | None = False

    def __str__(self) -> str:
        if self.state == RUNNING and len(self.tries) > 1:
            # A whole task that Argo repeats has more tries than the package asks for.
            of = f" of {self.limit}" if len(self.tries) <= self.limit else ""
            return f"retrying ({len(self.tries)}{of})"
        text = self.state.lower()
        if self.state not in (SUCCEEDED, FAILED) or self.seconds is None:
            return text
        tries = f", {len(self.tries)} tries" if self.state == FAILED and len(self.tries) > 1 else ""
        return f"{text} {'in' if self.state == SUCCEEDED else 'after'} {duration(self.seconds)}{tries}"


def run_state(run: Any) -> str:
    """The run's state; TERMINATED for one that somebody ended, which KFP calls FAILED after CANCELING."""
    state = str(run.state or PENDING)
    history = {entry.state for entry in run.state_history or ()}
    return TERMINATED if state == "CANCELED" or (state == FAILED and "CANCELING" in history) else state


def task_states(run: Any, package: Package) -> list[TaskState]:
    """The tasks that KFP has begun, in the order of their beginning."""
    rows = _rows(run)
    limits, ids = _limits(package), _ids(rows)
    found = []
    for row in rows:
        name = str(row.display_name)
        if name not in limits or not row.state:
            # Rows without a state are what Argo left out, as an earlier task failed.
            continue
        tries = _tries(rows, ids, "root", name, "executor")
        terminated = row.state == FAILED and run_state(run) == TERMINATED
        found.append(
            TaskState(
                name,
                TERMINATED if terminated else str(row.state),
                tuple(tries),
                limits[name],
                _seconds(row),
                _without_container(rows, row, list(tries.values())) if row.state == RUNNING else False,
            )
        )
    return found


def task_count(package: Package) -> int:
    return len(package.tasks)


def newest_try(run: Any, task: str) -> str | None:
    """Argo's id of a task's newest try, as KfpApi.task_log takes it; None if no pod of it was made."""
    return _newest(run, "root", task, "executor")


def newest_driver(run: Any, task: str) -> str | None:
    """Argo's id of KFP's own pod that prepares ``task``, or the whole run if that is ``root``."""
    return _newest(run, *(() if task == "root" else ("root",)), f"{task}-driver")


def _newest(run: Any, *path: str) -> str | None:
    rows = _rows(run)
    return next(reversed(_tries(rows, _ids(rows), *path)), None)


def workflow_of(run: Any) -> str | None:
    """The name of the run's workflow object."""
    return next((identifier.rpartition("-")[0] for identifier in _ids(_rows(run))), None)


def duration(seconds: float) -> str:
    """Seconds as people say them: 40 s, 41 min, 5 h 3 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _rows(run: Any) -> Sequence[Any]:
    return (run.run_details.task_details if run.run_details else None) or ()


def _ids(rows: Sequence[Any]) -> dict[str, None]:
    return {str(child.pod_name): None for row in rows for child in row.child_tasks or () if child.pod_name}


def _limits(package: Package) -> dict[str, int]:
    """Return how many tries each task may have."""
    return {name: int(task.get("retryPolicy", {}).get("maxRetryCount", 0)) + 1 for name, task in package.tasks.items()}


def _seconds(row: Any) -> float | None:
    if row.start_time is None or row.end_time is None or row.end_time < row.start_time:
        return None
    return float((row.end_time - row.start_time).total_seconds())


def _tries(rows: Sequence[Any], ids: Mapping[str, None], *path: str) -> dict[str, str]:
    """The ids of the tries of the node at ``path`` below the workflow, the oldest first, and what KFP calls each."""
    workflow = next(iter(ids), "").rpartition("-")[0]
    seen = {str(row.display_name) for row in rows}
    steps = [list(_numbered(name, seen)) for name in (workflow, *path)]
    found = {}
    for nodes in product(*steps):
        identifier = f"{workflow}-{_fnv1a('.'.join(nodes))}"
        if identifier in ids:
            found[identifier] = nodes[-1]
    # Without numbered ones the node is a pod itself, and with them their group.
    return {key: name for key, name in found.items() if name != path[-1]} or found


def _numbered(name: str, seen: set[str]) -> Iterator[str]:
    """``name`` and the tries ``name(0)``, ``name(1)``, ... as far as they are seen."""
    numbers = [int(found[1]) for text in seen if (found := re.fullmatch(re.escape(name) + r"\((\d+)\)", text))]
    if name in seen:
        yield name
    yield from (f"{name}({number})" for number in sorted(numbers))


def _fnv1a(text: str) -> int:
    """The hash that Argo makes its nodes' ids of, FNV-1a with 32 bits."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def _without_container(rows: Sequence[Any], task: Any, tries: Sequence[str]) -> bool | None:
    """Whether the newest of a running task's tries has no container; None if rows of other tasks look the same."""
    if not tries or task.start_time is None:
        return False
    first = len(tries) == 1
    states = {
        row.state
        for row in rows
        if row.display_name == tries[-1]
        and row.state in (PENDING, RUNNING)
        and row.start_time is not None
        and row.start_time >= task.start_time - SAME_START
        and (not first or row.start_time <= task.start_time + SAME_START)
    }
    return None if len(states) > 1 else states == {PENDING}
