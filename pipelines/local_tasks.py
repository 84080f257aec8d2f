"""The tasks of a run on this machine: which may start when, what each runs, and what becomes of it.

KFP's own local runner does one task after the other, and each of them anew. So only a task's arguments and command, as
a compiled pipeline has them, are worked out by KFP's functions.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from signal import SIGINT
from typing import Any, BinaryIO, NamedTuple

from components.common.processes import Terminated, child_process, exit_reason
from components.common.task import ERROR_FILE, PARENT_VARIABLE
from dualgan.errors import EXIT_BAD_INPUT, BadInput, DualGANError, described
from dualgan.run_folder import read_json

# The folder of a run that the tasks' own folders are in.
TASKS = "tasks"
DONE_FILE, OUTPUT_FILE = "done.json", "executor_output.json"
# What a later try goes on with; any other unfinished task begins with an empty folder.
GOING_ON = ("dataset", "train-")
# Of tasks that could start, the earlier kind does: trainings take longest, and a replay needs the trace.
KINDS = ("dataset", "train", "trace", "replay", "sample", "compare", "publish")
SEED = re.compile(r"-seed-(\d+)$")
POLL_SECONDS = 0.2


class Task(NamedTuple):
    """A task that can start: ``command`` runs in ``image``, and leaves in ``folder`` what ``outputs`` then reads."""

    name: str
    image: str
    command: Sequence[str]
    folder: Path
    outputs: Callable[[], Mapping[str, Any]]


# Runs a task, whose output goes to the file, and returns its exit code. Meanwhile it calls the function, which raises
# Terminated if the task is to end.
TaskRunner = Callable[[Task, BinaryIO, Callable[[], None]], int]


class Timing(NamedTuple):
    """When a task could have started, did, and ended, in seconds since 1970."""

    task: Task
    ready: float
    began: float
    ended: float


def process_runner(variables: Mapping[str, str]) -> TaskRunner:
    """Return what runs a task as a process of this environment and ``variables``."""

    def run(task: Task, log: BinaryIO, check: Callable[[], None]) -> int:
        environment = {**os.environ, **variables, PARENT_VARIABLE: str(os.getpid())}
        # A session of its own: a terminal's Ctrl-C comes to the run, which then ends its tasks.
        settings: dict[str, Any] = {"env": environment, "stdout": log, "stderr": log, "start_new_session": True}
        with child_process([sys.executable, *task.command[1:]], margin=1.0, **settings) as process:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return process.wait(POLL_SECONDS)
                check()

    return run


class Tasks:
    """The tasks of a compiled pipeline.

    Attributes:
        timings: Of the tasks that ran, in the order of their ends.
    """

    def __init__(self, specification: Any, arguments: Mapping[str, Any], root: Path, runner: TaskRunner) -> None:
        """specification: KFP's, of the pipeline. arguments: its parameters. root: the run's folder."""
        from kfp.local.io import IOStore
        from kfp.local.orchestrator.orchestrator_utils import OrchestratorUtils

        self._specification, self._root, self._runner = specification, root, runner
        self._store = IOStore()
        definitions = specification.root.input_definitions
        for name, value in OrchestratorUtils.join_user_inputs_and_defaults(dict(arguments), definitions).items():
            self._store.put_parent_input(name, value)
        self._waiting = {name: set(task.dependent_tasks) for name, task in specification.root.dag.tasks.items()}
        self._stopped_by = 0
        self._log_lock = threading.Lock()
        self.timings: list[Timing] = []

    def run(self, log: BinaryIO, at_once: int) -> DualGANError | None:
        """Run all tasks, each as soon as what it reads is there; what the very same task has left before is taken.

        Args:
            log: Gets what a task prints, when that ends; until then it is in NAME.log in the run's folder.
            at_once: How many run side by side; of one leg's trainings always one.

        Returns:
            Why a task failed that no other one waits for; None if none did.

        Raises:
            DualGANError: if any other task fails. What runs beside it is ended, as Ctrl-C would.
        """
        needed, done = set[str]().union(*self._waiting.values()), set[str]()
        running: dict[Future[Mapping[str, Any]], str] = {}
        ready: dict[str, float] = {}
        failure = None
        with ThreadPoolExecutor(at_once) as pool:
            try:
                while True:
                    for name in [name for name, others in self._waiting.items() if others <= done]:
                        del self._waiting[name]
                        ready[name] = time.time()
                    for name in startable(ready, running.values(), at_once):
                        running[pool.submit(self._run, self._prepared(name), log, ready.pop(name))] = name
                    if not running:
                        return failure
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        name = running.pop(future)
                        try:
                            outputs = future.result()
                        except DualGANError as error:
                            if name in needed:
                                raise
                            failure = error
                            continue
                        done.add(name)
                        for key, value in outputs.items():
                            self._store.put_task_output(name, key, value)
            except BaseException as error:
                self._stopped_by = error.signum if isinstance(error, Terminated) else SIGINT
                raise

    def _check(self) -> None:
        if self._stopped_by:
            raise Terminated(self._stopped_by)

    def _prepared(self, name: str) -> Task:
        from kfp.local import executor_input_utils, executor_output_utils, placeholder_utils, utils
        from kfp.local.orchestrator.orchestrator_utils import OrchestratorUtils

        stated = self._specification.root.dag.tasks[name]
        component = self._specification.components[stated.component_ref.name]
        executor = self._specification.deployment_spec["executors"][component.executor_label]
        container = utils.struct_to_executor_spec(executor).container
        folder = self._root / TASKS / name
        inputs = executor_input_utils.construct_executor_input(
            component_spec=component,
            arguments=OrchestratorUtils.make_task_arguments(stated.inputs, self._store),
            task_root=str(folder),
            block_input_artifact=False,
        )
        command = placeholder_utils.replace_placeholders(
            full_command=[*container.command, *container.args],
            executor_input_dict=executor_input_utils.executor_input_to_dict(inputs, component),
            pipeline_resource_name=TASKS,
            task_resource_name=name,
            pipeline_root=str(self._root),
            unique_pipeline_id="",
        )
        outputs = partial(executor_output_utils.get_outputs_for_task, inputs, component)
        return Task(name, container.image, command, folder, outputs)

    def _run(self, task: Task, log: BinaryIO, ready: float) -> Mapping[str, Any]:
        """Run a task unless the very same has been done; return its outputs. Raises DualGANError if it failed."""
        try:
            return self._outputs(task, log, ready)
        except DualGANError:
            raise
        except Exception as error:
            # Such as KFP's, of outputs that it cannot read.
            raise DualGANError(f"task {task.name}: {described(error)}") from error

    def _outputs(self, task: Task, log: BinaryIO, ready: float) -> Mapping[str, Any]:
        position = task.command.index("--executor_input") + 1
        # KFP's order of names differs from process to process.
        content = [*task.command[:position], json.loads(task.command[position]), *task.command[position + 1 :]]
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        # What cannot be read, for which KFP has errors of its own, has not been done.
        with contextlib.suppress(Exception):
            if read_json(task.folder / DONE_FILE)["command"] == digest and (task.folder / OUTPUT_FILE).is_file():
                return task.outputs()
        if not task.name.startswith(GOING_ON):
            shutil.rmtree(task.folder, ignore_errors=True)
        for name in (DONE_FILE, ERROR_FILE, OUTPUT_FILE):
            (task.folder / name).unlink(missing_ok=True)
        task.folder.mkdir(parents=True, exist_ok=True)
        began = time.time()
        with self._logged(task, log) as output:
            exit_code = self._runner(task, output, self._check)
        self.timings.append(Timing(task, ready, began, time.time()))
        if exit_code or not (task.folder / OUTPUT_FILE).is_file():
            raise _failure(task, exit_code)
        (task.folder / DONE_FILE).write_text(json.dumps({"command": digest}))
        return task.outputs()

    @contextlib.contextmanager
    def _logged(self, task: Task, log: BinaryIO) -> Iterator[BinaryIO]:
        """Yield the file of what a task prints, which goes into ``log`` whole, so that tasks do not mix there."""
        file = self._root / f"{task.name}.log"
        try:
            # A try that was killed has left it, and a reader follows it while the task runs.
            with file.open("ab", buffering=0) as output:
                yield output
        finally:
            with self._log_lock, file.open("rb") as printed:
                log.write(f"--- {task.name}\n".encode())
                shutil.copyfileobj(printed, log)
                log.flush()
            file.unlink()


def startable(ready: Iterable[str], running: Collection[str], at_once: int) -> list[str]:
    """Return which of the tasks that are ``ready`` start beside those that are ``running``.

    The trainings of one seed come before those of the next, and one of a leg at a time: so legs train side by side, and
    the speeds that they reach are comparable.
    """
    chosen: list[str] = []
    training = {SEED.sub("", name) for name in running}
    for name in sorted(ready, key=_order):
        leg = SEED.sub("", name)
        if len(running) + len(chosen) < at_once and not (name.startswith("train-") and leg in training):
            chosen.append(name)
            training.add(leg)
    return chosen


def _order(name: str) -> tuple[int, int, str]:
    seed = SEED.search(name)
    return KINDS.index(name.partition("-")[0]), int(seed[1]) if seed else 0, name


def _failure(task: Task, exit_code: int) -> DualGANError:
    """Return why a task failed, in its own words if it left any."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        error = read_json(task.folder / ERROR_FILE)
        return (BadInput if error["exit_code"] == EXIT_BAD_INPUT else DualGANError)(str(error["message"]))
    if exit_code == 0:
        return DualGANError(f"task {task.name}: it ended without leaving its results; run it again")
    return DualGANError(f"task {task.name}: {exit_reason(exit_code)}")
