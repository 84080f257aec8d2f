"""Run the pipeline on this machine, without a cluster: each task a process, or a container."""

import contextlib
import os
import secrets
import shutil
import signal
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from components.common.console import BAR_SECONDS, EVENTS_VARIABLE, SECONDS_VARIABLE, print_status
from components.common.processes import Stopped, Terminated, terminations_raised
from components.common.revision import WORKING_TREE
from components.compare.verdict import WORST_FIRST, Verdict, join
from components.dataset.sources import LocalArchive, LocalFolder, parse_source, require_no_secret
from components.preflight.preflight import Requirements, find_faults, require_none
from components.tracking.store import SQLITE, database_of, hand_over_login, resolve_tracking_uri
from components.train.leg import checked_options
from dualgan.errors import BadInput, DualGANError
from dualgan.options import absolute_path, parsed_options
from dualgan.run_folder import read_json
from pipelines import run_state
from pipelines.local_display import events_shown, write_timings
from pipelines.local_tasks import TaskRunner, Tasks, process_runner
from pipelines.profile import Profile
from pipelines.run_state import Parameters, Runner, RunState

LOCAL = WORKING_TREE / ".local"
EVENTS_FILE, LOG_FILE, TIMINGS_FILE = "events.jsonl", "log.txt", "timings.txt"


@dataclass(frozen=True)
class LocalRun:
    """Where a pipeline run left its results; ``model`` says what was published, or why nothing was."""

    folder: Path
    verdict: Verdict
    reason: str
    report: Path
    model: str


def check_parameters(dataset: str, options: Mapping[str, Any]) -> None:
    """Raise BadInput for what would stop a task later: an unknown dataset, one with a login, a wrong option."""
    require_no_secret(dataset)
    parse_source(dataset)
    checked_options(options)


def run(profile: Profile, parameters: Mapping[str, Any], root: Path = LOCAL, runner: Runner = "subprocess") -> LocalRun:
    """Run ``profile``'s pipeline with its ``parameters``; results go into a new folder of ``root``/runs.

    Raises:
        BadInput: for wrong input; nothing is left behind.
        Stopped: if a signal ended it.
        DualGANError: if a task fails, naming the log. Only for the last task, which publishes the model, it is not
            raised: by then the verdict is known.
    """
    state = _prepared(profile, parameters, runner)
    end_abandoned(root)
    folder = run_state.new_folder(root)
    # No other run has it, on whatever machine.
    return _run_in(folder, state.model_copy(update={"run_id": f"{folder.name}-{secrets.token_hex(3)}"}))


def resume(
    name: str,
    profile: Profile,
    parameters: Mapping[str, Any],
    seeds: tuple[int | None, int | None] = (None, None),
    root: Path = LOCAL,
    runner: Runner = "subprocess",
) -> LocalRun:
    """Go on with a run: what it has finished is not done again, and a training goes on from its newest checkpoint.

    Args:
        name: The run's name or folder, whose profile and parameters then count (but MLflow's address can be another);
            "" for the newest unfinished run of these.
        seeds: First seed and their number, in place of the run's own.

    Raises:
        BadInput: also if there is no such run, or another process is at it.
    """
    folder = run_state.named(root, name) if name else run_state.unfinished(root, _prepared(profile, parameters, runner))
    state = run_state.checked_state(folder)
    _require_images(state.profile, runner)
    uri = tracking_address(parameters.get("tracking_uri") or state.tracking_uri)
    changed = {"state": "running", "profile": state.profile.with_seeds(*seeds), "tracking_uri": uri, "runner": runner}
    end_abandoned(root)
    print_status(f"going on with {folder}")
    return _run_in(folder, state.model_copy(update=changed))


def _prepared(profile: Profile, parameters: Mapping[str, Any], runner: Runner) -> RunState:
    """Return the run as this machine does it, from whatever folder. Raises BadInput or DualGANError if it cannot."""
    profile = profile if runner == "docker" else profile.on_this_machine()
    # Tasks have MLflow's address from the environment.
    given = {name: value for name, value in parameters.items() if name != "tracking_uri"}
    wanted = Parameters(**{**given, "dataset": profile.source(given.get("dataset"))})
    options = parsed_options({**profile.options, **wanted.options})
    check_parameters(wanted.dataset, options)
    uri = tracking_address(parameters.get("tracking_uri", ""))
    require_none(find_faults(Requirements(wanted.dataset, tracking_uri=uri, experiment=wanted.experiment)))
    _require_images(profile, runner)
    source = parse_source(wanted.dataset)
    if isinstance(source, LocalFolder | LocalArchive):
        wanted.dataset = str(source.path)
    if options.get("init_from"):
        wanted.options = {**wanted.options, "init_from": absolute_path(options["init_from"])}
    # A run on this machine keeps its checkpoints in its own folder.
    profile = profile.model_copy(update={"checkpoints": ""})
    return RunState(profile=profile, parameters=wanted, tracking_uri=uri, runner=runner)


def _require_images(profile: Profile, runner: Runner) -> None:
    if runner == "docker":
        from pipelines.containers import require_images

        require_images(profile)


def tracking_address(given: str) -> str:
    """Return MLflow's address without its login, which the environment gets; "" if all of it is there."""
    uri = hand_over_login(resolve_tracking_uri(given or None))
    database = database_of(uri)
    return f"{SQLITE}{database.resolve()}" if database else uri


def _run_in(folder: Path, state: RunState) -> LocalRun:
    with run_state.held(folder) as is_free:
        if not is_free:
            raise BadInput(f"{folder}: another process is at this run")
        for file in (folder / EVENTS_FILE, folder / LOG_FILE):
            # A fifo would be waited for.
            if file.exists() and not file.is_file():
                raise BadInput(f"{file}: not a regular file; remove it")
        run_state.write_state(folder, state)
        unpublished, failure = None, None
        with terminations_raised(signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            try:
                unpublished = _execute(folder, state)
            except DualGANError as error:
                failure = error
            except Terminated as ended:
                # Whoever sends another signal than Ctrl-C's kills soon: what MLflow lacks then, the next run sends.
                if ended.signum == signal.SIGINT and _end_tracking(folder, state):
                    run_state.write_state(folder, state.model_copy(update={"state": "interrupted"}))
                raise Stopped(ended.signum, f"; `parity run --resume {folder.name}` goes on with {folder}") from None
        ending: run_state.State = "failed" if failure or unpublished else "finished"
        # What MLflow lacks, the next run sends, which looks for runs that still go on.
        if not failure or _end_tracking(folder, state):
            run_state.write_state(folder, state.model_copy(update={"state": ending}))
    if failure is None:
        return _result(folder, unpublished)
    if not isinstance(failure, BadInput):
        raise DualGANError(f"{failure} (all of it: {folder / LOG_FILE})")
    if any(folder.glob("*/train-*/records/summary.json")) or any(folder.glob("*/train-*/records/checkpoint")):
        raise BadInput(f"{failure} (what was trained before is kept in {folder})")
    # The run could not begin: nothing is left of it, nor of what was made for it.
    shutil.rmtree(folder)
    for parent in (folder.parent, folder.parent.parent):
        with contextlib.suppress(OSError):
            parent.rmdir()
    raise failure


def _execute(folder: Path, state: RunState) -> DualGANError | None:
    """Run the pipeline; return why the model was not published, if so. Raises DualGANError if another task fails."""
    variables = {
        "PYTHONUNBUFFERED": "1",
        "XDG_CACHE_HOME": str(LOCAL / "cache"),
        **({"MLFLOW_TRACKING_URI": state.tracking_uri} if state.tracking_uri else {}),
        EVENTS_VARIABLE: str(folder / EVENTS_FILE),
        **({SECONDS_VARIABLE: str(BAR_SECONDS)} if sys.stdout.isatty() else {}),
    }
    with (
        contextlib.ExitStack() as stack,
        (folder / LOG_FILE).open("ab") as log,
        events_shown(folder / EVENTS_FILE, sys.stdout),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        from pipelines.parity import build

        runner: TaskRunner = process_runner(variables)
        if state.runner == "docker":
            from pipelines.containers import containers

            runner = stack.enter_context(containers(state, folder, variables)).run
        specification = build(state.profile, run_id=state.run_id).pipeline_spec
        tasks = Tasks(specification, state.parameters.model_dump(), folder, runner)
        try:
            return tasks.run(log, tasks_at_once(state))
        finally:
            # Without the table a run is as good.
            with contextlib.suppress(OSError, ValueError, LookupError, DualGANError):
                write_timings(folder / TIMINGS_FILE, tasks.timings)


def tasks_at_once(state: RunState) -> int:
    """Return how many tasks run side by side: one a leg, if cores for the threads of each, and memory, are there.

    An accelerator is one task's alone, and so is a machine whose cores a task takes all of.
    """
    options = checked_options({**state.profile.options, **state.parameters.options})
    if not options.threads or any(leg.device != "cpu" for leg in state.profile.legs):
        return 1
    # GiB of TensorFlow, of weights and their slots, and of activations: 2.6 of 4 are used at 256 px with 64 filters.
    filters = max(options.gcn, options.dcn) / 64
    gibibytes = 1 + 2 * filters**2 + filters * (options.image_size / 256) ** 2 * options.batch_size
    fitting = int(psutil.virtual_memory().available / 2**30 / gibibytes)
    return max(1, min(len(state.profile.legs), len(os.sched_getaffinity(0)) // options.threads, fitting))


def end_abandoned(root: Path) -> None:
    """End what runs that were killed have left open in MLflow, and the containers that they left."""
    silent: set[str] = set()
    for folder in run_state.all_folders(root):
        with run_state.abandoned(folder) as state:
            # A server that does not answer is waited for once, not for every run.
            if state and (state.tracking_uri in silent or not _end_run(folder, state)):
                silent.add(state.tracking_uri)


def end_abandoned_around(run_folder: Path) -> None:
    """End what the pipeline's run that ``run_folder`` is a training of has left open, if it was killed."""
    for folder in run_folder.resolve().parents:
        with run_state.abandoned(folder) as state:
            if state:
                _end_run(folder, state)


def _end_run(folder: Path, state: RunState) -> bool:
    """End what a run has left, and mark it as interrupted if no later try has anything left to do; return whether."""
    if state.runner == "docker":
        from components.common.docker_engine import connect_to_engine
        from pipelines.containers import remove_containers

        with contextlib.suppress(DualGANError):
            remove_containers(connect_to_engine(), folder.resolve())
    if not _end_tracking(folder, state):
        return False
    run_state.write_state(folder, state.model_copy(update={"state": "interrupted"}))
    return True


def _end_tracking(folder: Path, state: RunState) -> bool:
    """End a run's open runs in MLflow as KILLED; return whether no later try has anything left to do.

    An MLflow that cannot be asked is no reason to fail.
    """
    database = database_of(tracking_address(state.tracking_uri))
    if database and not database.is_file():
        return True
    from components.tracking.sync import end_interrupted

    try:
        end_interrupted(folder)
    except BadInput:
        # A folder that no trainer wrote stays one.
        return True
    except Exception:
        return False
    return True


def _result(folder: Path, failure: DualGANError | None) -> LocalRun:
    """Return what the last tasks wrote."""
    comparisons = {file: read_json(file) for file in sorted(folder.glob("*/compare-*/comparison/comparison.json"))}
    if not comparisons:
        raise DualGANError(f"{folder}: the pipeline ended without a comparison (all of it: {folder / LOG_FILE})")
    # Of two candidates the worse one decides.
    found = min(comparisons, key=lambda file: WORST_FIRST.index(Verdict(comparisons[file]["verdict"])))
    comparison = comparisons[found]
    latest = folder.parent.parent / "latest"
    latest.unlink(missing_ok=True)
    latest.symlink_to(found.parent.relative_to(latest.parent))
    if published := next(folder.glob("*/publish-*/registered"), None):
        registered = read_json(published)
        model = f"{registered['name']} version {registered['version']}, {join(registered['aliases'])}"
    else:
        trained = min(found.parents[2].glob(f"train-{comparison['candidates'][0]}-seed-*"))
        command = f"parity publish {trained / 'records'} {found.parent} --model {trained / 'model'}"
        model = f"not registered: {failure or f'see {folder / LOG_FILE}'}; `{command}` does it later"
    return LocalRun(folder, Verdict(comparison["verdict"]), comparison["reason"], latest / "report.html", model)
