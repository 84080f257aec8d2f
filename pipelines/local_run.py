"""Run the pipeline on this machine, without a cluster: KFP's local runners, a process or a container for each task."""

import contextlib
import os
import re
import shutil
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TextIO

from components.common.console import BAR_SECONDS, MARK, PASSING_MARK, SECONDS_VARIABLE
from components.compare.verdict import WORST_FIRST, Verdict, join
from components.dataset.sources import parse_source
from components.preflight.preflight import Requirements, find_faults, require_none
from components.train.command import checked_options
from components.train.runtimes import WORKING_TREE
from dualgan.errors import BadInput, DualGANError
from dualgan.run_folder import read_json
from pipelines.profile import Profile

LOCAL = WORKING_TREE / ".local"
# How Python's traceback, and so KFP's log, ends where one of our errors ended a task.
OUR_ERROR = re.compile(
    r"(?:dualgan|components\.common)\.errors\.(BadInput|DualGANError|TransferBroken|Interrupted): (.*)"
)
# How KFP's log says that a task ended well.
SUCCESS = re.compile(r"Task '([^']+)' finished with status SUCCESS")
Runner = Literal["subprocess", "docker"]
CLEAR_LINE = "\r\x1b[K"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class LocalRun:
    """Where a pipeline run left its results; ``model`` says what was published, or why nothing was."""

    folder: Path
    verdict: Verdict
    reason: str
    report: Path
    model: str


class Show:
    """A stream that keeps everything in a log and shows only the components' own progress lines."""

    def __init__(self, log: TextIO, terminal: TextIO) -> None:
        self._log, self._terminal = log, terminal
        self.renews = terminal.isatty()
        self._line = ""
        self.errors: list[tuple[str, str]] = []
        self.succeeded: list[str] = []

    def write(self, text: str) -> int:
        self._log.write(text)
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._take(COLOUR.sub("", line))
        return len(text)

    def _take(self, line: str) -> None:
        for mark, ending in ((MARK, "\n"), (PASSING_MARK, "" if self.renews else "\n")):
            _, found_mark, shown = line.partition(mark)
            if found_mark:
                self._terminal.write(f"{CLEAR_LINE if self.renews else ''}{shown}{ending}")
                self._terminal.flush()
                return
        found = OUR_ERROR.search(line)
        if found:
            self.errors.append((found[1], found[2]))
        found = SUCCESS.search(line)
        if found:
            self.succeeded.append(found[1])

    def flush(self) -> None:
        self._log.flush()

    def isatty(self) -> bool:
        return False


def check_parameters(dataset: str, options: Mapping[str, Any]) -> None:
    """Raise BadInput for what would stop a task later: an unknown dataset or a wrong training option."""
    parse_source(dataset)
    checked_options(options)


def run(profile: Profile, parameters: Mapping[str, Any], root: Path = LOCAL, runner: Runner = "subprocess") -> LocalRun:
    """Run ``profile``'s pipeline with ``parameters``; results go into a new folder of ``root``/runs.

    runner: "subprocess" is a process of this environment for each task, "docker" a container of the task's image.

    Raises BadInput, leaving nothing behind, for wrong input; DualGANError, naming the log, where a task fails. Only
    for the last one, which publishes the model, it does not: by then the verdict is known.
    """
    # A run on this machine keeps its checkpoints in its own folder.
    profile = profile.model_copy(update={"checkpoints": ""}) if runner == "docker" else profile.on_this_machine()
    source = profile.source(parameters.get("dataset"))
    check_parameters(source, {**profile.options, **parameters.get("options", {})})
    require_none(find_faults(_requirements(source, parameters)))
    if runner == "docker":
        from pipelines.containers import absolute, check_images, connect_to_engine

        check_images(connect_to_engine(), profile)
        parameters = absolute({**parameters, "dataset": source})
    folder = root / "runs" / time.strftime("%Y-%m-%d-%H%M%S")
    folder = folder.resolve()
    folder.mkdir(parents=True)
    log = folder / "log.txt"
    with log.open("w", encoding="utf-8") as file:
        shown = Show(file, sys.stdout)
        failure = _execute(profile, parameters, folder, shown, runner)
    if (shown.errors or failure) and not any(folder.glob("*/publish-*")):
        silent = isinstance(failure, DualGANError) or not shown.errors
        kind, message = ("DualGANError", f"{failure}") if silent else shown.errors[-1]
        if kind == "BadInput" and not any(folder.glob("*/train-*/records/summary.json")):
            _remove(folder)
            raise BadInput(message)
        if kind == "BadInput":
            raise BadInput(f"{message} (what was trained before is kept in {folder})")
        raise DualGANError(f"{message} (all of it: {log})")
    return _result(folder, log, shown.errors[-1][1] if shown.errors else "")


def _requirements(source: str, parameters: Mapping[str, Any]) -> Requirements:
    return Requirements(
        source, tracking_uri=parameters.get("tracking_uri", ""), experiment=parameters.get("experiment", "")
    )


def _execute(
    profile: Profile, parameters: Mapping[str, Any], folder: Path, shown: Show, runner: Runner
) -> Exception | None:
    """Run the pipeline; what KFP raised, if it did."""
    often = {SECONDS_VARIABLE: str(BAR_SECONDS)} if shown.renews else {}
    variables = {"PYTHONUNBUFFERED": "1", "XDG_CACHE_HOME": str(LOCAL / "cache"), **often}
    with warnings.catch_warnings(), contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
        warnings.simplefilter("ignore")
        from kfp import local

        from pipelines.parity import build

        if runner == "docker":
            from pipelines.containers import container_runner

            running: contextlib.AbstractContextManager[Any] = container_runner(profile, parameters, folder, variables)
        else:
            running = contextlib.nullcontext(local.SubprocessRunner(use_venv=False))
        with running as kfp_runner, _environment(**variables):
            local.init(runner=kfp_runner, pipeline_root=str(folder))
            try:
                # A machine of one's own loses no node: a task that fails there would fail again.
                build(profile)(**parameters)
            except (RuntimeError, ValueError) as error:
                failure = _vanished(folder, shown.succeeded) or error
                # KFP's word for an output that is not there; any other ValueError is a fault of the pipeline.
                if isinstance(failure, ValueError):
                    raise
                return failure
    return _vanished(folder, shown.succeeded)


def _vanished(folder: Path, succeeded: Sequence[str]) -> DualGANError | None:
    """The error for the first of the tasks that left no results, although its runner reported success.

    KFP's runner takes a container that vanished (the engine restarted, someone removed it) for one that succeeded.
    """
    for task in succeeded:
        if not any(folder.glob(f"*/{task}/executor_output.json")):
            return DualGANError(f"task {task}: its container ended without leaving its results; run it again")
    return None


@contextlib.contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Variables that the tasks' processes inherit."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


def _result(folder: Path, log: Path, last_error: str) -> LocalRun:
    """What the last tasks wrote. A runner may report success for a task that vanished, so it is looked for."""
    comparisons = {file: read_json(file) for file in sorted(folder.glob("*/compare-*/comparison/comparison.json"))}
    if not comparisons:
        raise DualGANError(f"{folder}: the pipeline ended without a comparison (all of it: {log})")
    # Of two candidates the worse one decides.
    found = min(comparisons, key=lambda file: WORST_FIRST.index(Verdict(comparisons[file]["verdict"])))
    comparison = comparisons[found]
    latest = folder.parent.parent / "latest"
    latest.unlink(missing_ok=True)
    latest.symlink_to(found.parent.relative_to(latest.parent))
    verdict = Verdict(comparison["verdict"])
    model = _model(folder) or f"not registered: {last_error or f'see {log}'}; {_publish_later(found, comparison)}"
    return LocalRun(folder, verdict, comparison["reason"], latest / "report.html", model)


def _publish_later(comparison: Path, content: Mapping[str, Any]) -> str:
    trained = min(comparison.parents[2].glob(f"train-{content['candidates'][0]}-seed-*"))
    command = f"parity publish {trained / 'records'} {comparison.parent} --model {trained / 'model'}"
    return f"`{command}` does it later"


def _model(folder: Path) -> str | None:
    published = next(folder.glob("*/publish-*/registered"), None)
    if published is None or not published.is_file():
        return None
    model = read_json(published)
    return f"{model['name']} version {model['version']}, {join(model['aliases'])}"


def _remove(folder: Path) -> None:
    """Remove the folder of a run that could not begin, and what was made for it."""
    shutil.rmtree(folder)
    for parent in (folder.parent, folder.parent.parent):
        with contextlib.suppress(OSError):
            parent.rmdir()
