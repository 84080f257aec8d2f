"""The tasks of a run on this machine: KFP orders them, this module starts, remembers, shows and ends each.

KFP's own two functions that start a task give no hold of its process, cannot leave a finished one out, and take a
container that vanished for one that succeeded. So they are replaced while a pipeline runs.
"""

import contextlib
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from components.common.console import STATUS
from components.common.processes import child_process, exit_reason
from components.common.task import ERROR_FILE, PARENT_VARIABLE
from components.common.threads import in_background
from dualgan.errors import EXIT_BAD_INPUT, BadInput, DualGANError, printable
from dualgan.run_folder import read_json

# The folder of a run that the tasks' own folders are in. KFP would name it by the time, and a later try by another.
TASKS = "tasks"
DONE_FILE, OUTPUT_FILE = "done.json", "executor_output.json"
# What a later try goes on with; any other unfinished task begins with an empty folder.
GOING_ON = ("dataset", "train-")
EVENT_SECONDS = 0.2
CLEAR_LINE = "\r\x1b[K"


@dataclass
class Tasks:
    """The tasks of a run; what they print goes into ``log``.

    Attributes:
        failure: Why the newest task failed, None if it did not.
    """

    log: TextIO
    failure: DualGANError | None = None

    def run_process(self, full_command: Sequence[str], env_vars: Mapping[str, str] | None = None) -> int:
        """Run a task's command as a process; stands in for KFP's ``run_local_subprocess``."""

        def run() -> int:
            environment = {**os.environ, **(env_vars or {}), PARENT_VARIABLE: str(os.getpid())}
            # What KFP has said comes before what the task says.
            self.log.flush()
            # A session of its own: a terminal's Ctrl-C comes to the run, which then ends its task.
            settings: dict[str, Any] = {"env": environment, "stdout": self.log, "stderr": self.log}
            with child_process(full_command, margin=1.0, start_new_session=True, **settings) as process:
                return process.wait()

        return self._run(full_command, run)

    def run_container(self, run: Callable[..., int], **arguments: Any) -> int:
        """Run a task's container with ``run``, KFP's own function; its user writes into the task's folder."""
        uid, gid = map(int, arguments["user"].split(":"))
        return self._run(arguments["command"], lambda: run(**arguments), owner=(uid, gid))

    def _run(self, command: Sequence[str], run: Callable[[], int], owner: tuple[int, int] | None = None) -> int:
        """Run a task unless the very same has been done; return its exit code, 1 if it left no results."""
        position = command.index("--executor_input") + 1
        executor_input = json.loads(command[position])
        task = Path(executor_input["outputs"]["outputFile"]).parent
        # KFP's order of names differs from process to process.
        content = [*command[:position], executor_input, *command[position + 1 :]]
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        self.failure = None
        with contextlib.suppress(OSError, ValueError):
            if read_json(task / DONE_FILE)["command"] == digest and (task / OUTPUT_FILE).is_file():
                return 0
        if not task.name.startswith(GOING_ON):
            shutil.rmtree(task, ignore_errors=True)
        for name in (DONE_FILE, ERROR_FILE, OUTPUT_FILE):
            (task / name).unlink(missing_ok=True)
        task.mkdir(parents=True, exist_ok=True)
        if owner:
            for folder in (task.parent, task):
                os.chown(folder, *owner)
        exit_code = run()
        if exit_code == 0 and (task / OUTPUT_FILE).is_file():
            (task / DONE_FILE).write_text(json.dumps({"command": digest}))
            if owner:
                os.chown(task / DONE_FILE, *owner)
            return 0
        self.failure = _failure(task, exit_code)
        return exit_code or 1


def _failure(task: Path, exit_code: int) -> DualGANError:
    """Return why a task failed, in its own words if it left any."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        error = read_json(task / ERROR_FILE)
        return (BadInput if error["exit_code"] == EXIT_BAD_INPUT else DualGANError)(str(error["message"]))
    if exit_code == 0:
        return DualGANError(f"task {task.name}: it ended without leaving its results; run it again")
    return DualGANError(f"task {task.name}: {exit_reason(exit_code)}")


@contextlib.contextmanager
def started_by(tasks: Tasks) -> Iterator[None]:
    """Have KFP start tasks through ``tasks``, in a folder whose name stays, within the block."""
    from unittest.mock import patch

    from kfp.local import docker_task_handler, executor_input_utils, subprocess_task_handler

    in_container = docker_task_handler.run_docker_container
    with (
        patch.object(subprocess_task_handler, "run_local_subprocess", tasks.run_process),
        patch.object(docker_task_handler, "run_docker_container", lambda **a: tasks.run_container(in_container, **a)),
        patch.object(executor_input_utils, "get_local_pipeline_resource_name", lambda _: TASKS),
    ):
        yield


@contextlib.contextmanager
def events_shown(file: Path, terminal: TextIO) -> Iterator[None]:
    """Show what tasks report in the events file ``file`` on ``terminal``, from a thread, within the block."""
    file.touch()
    with in_background("events", lambda ended: _show_until(ended, file, terminal)):
        yield


def _show_until(ended: threading.Event, file: Path, terminal: TextIO) -> None:
    renews, rest = terminal.isatty(), b""
    with file.open("rb") as events:
        events.seek(0, os.SEEK_END)
        while True:
            last = ended.wait(EVENT_SECONDS)
            *lines, rest = (rest + events.read()).split(b"\n")
            for line in lines:
                with contextlib.suppress(ValueError, KeyError, OSError):
                    event = json.loads(line)
                    end = "\n" if event["kind"] == STATUS or not renews else ""
                    terminal.write(f"{CLEAR_LINE if renews else ''}{printable(str(event['text']))}{end}")
                    terminal.flush()
            if last:
                return
