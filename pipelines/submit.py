"""Submit a package to a cluster, once or on a schedule, and follow a run to its end."""

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dualgan.errors import BadInput, DualGANError
from pipelines.kfp_api import KfpApi, NotKfp, Unreachable
from pipelines.kfp_endpoint import DEFAULT_NAMESPACE
from pipelines.package import Package
from pipelines.run_progress import (
    FAILED,
    SUCCEEDED,
    TERMINATED,
    TaskState,
    duration,
    newest_driver,
    run_state,
    task_count,
    task_states,
    workflow_of,
)

CRON_FIELDS = 6
# PAUSED ends nothing by itself, but nothing here can make such a run go on.
ENDS = (SUCCEEDED, "SKIPPED", FAILED, TERMINATED, "PAUSED")
# A pod that pulls a large image for the first time takes some minutes.
NO_POD_SECONDS = 300.0
LOG_LINES, MAX_LINE = 20, 300


@dataclass(frozen=True)
class Order:
    """A package to run, its parameters, and what KFP is told besides; None for KFP's own choice.

    tracked_as: the run that MLflow has it as, if its package was added to one. version: what KFP knows the package as,
    if it was uploaded.
    """

    package: Package
    parameters: Mapping[str, Any]
    service_account: str | None = None
    pipeline_root: str | None = None
    tracked_as: str | None = None
    version: Mapping[str, str] | None = None

    def to_api(self, experiment_id: str, name: str) -> dict[str, Any]:
        """What a run and a recurring run have in common, as KFP's API takes it."""
        runtime = {"parameters": dict(self.parameters), "pipeline_root": self.pipeline_root}
        content = {
            # What refers to another run's artifacts says so: `parity gc` leaves them alone then.
            "description": f"added to run {self.tracked_as}" if self.tracked_as else None,
            "display_name": name,
            "experiment_id": experiment_id,
            "pipeline_spec": None if self.version else self.package.to_api(),
            "pipeline_version_reference": self.version,
            "runtime_config": {key: value for key, value in runtime.items() if value is not None},
            "service_account": self.service_account,
        }
        return {key: value for key, value in content.items() if value is not None}


def upload_package(api: KfpApi, package: Package, say: Callable[[str], None]) -> Mapping[str, str]:
    """Make the package a version of its pipeline in KFP, unless it is one, and return the reference to it."""
    version = api.upload(package.name, package.version, package.to_yaml())
    page = f"{api.at.url}/#/pipelines/details/{version['pipeline_id']}/version/{version['pipeline_version_id']}"
    say(f"version {package.version} of {package.name}: {page}")
    return version


def schedule(api: KfpApi, order: Order, experiment_id: str, name: str, cron: str, is_replacing: bool) -> str:
    """Make a recurring run, enabled, one run at a time, and none made up for afterwards; return its id.

    cron: CRON_FIELDS fields, seconds first. Raises BadInput if one of that name is there and not to be replaced.
    """
    found = [str(one["recurring_run_id"]) for one in api.recurring_runs(experiment_id, name)]
    if found and not is_replacing:
        raise BadInput(f"{api.at.url}: a recurring run {name} is there already; --replace it, or give another --name")
    recurring = {
        "namespace": api.at.namespace,
        "trigger": {"cron_schedule": {"cron": cron}},
        "mode": "ENABLE",
        "max_concurrency": "1",
        "no_catchup": True,
    }
    return api.schedule({**order.to_api(experiment_id, name), **recurring}, found)


def page_of(api: KfpApi, run_id: str) -> str:
    """Return the run's page in KFP's user interface."""
    return f"{api.at.url}/#/runs/details/{run_id}"


def wait(
    api: KfpApi,
    run_id: str,
    package: Package,
    say: Callable[[str], None],
    poll: float = 5.0,
    timeout: float | None = None,
    patience: float = 900.0,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Follow a run to its end, telling each change of it and of its package's tasks.

    poll: seconds between two looks; timeout: until it is given up, None for never; patience: that the server may stay
    away. Raises DualGANError if it does not succeed, is not over in time, or the server stays away; the run goes on.
    """
    begun = answered = clock()
    watch = _Watch(api, run_id, package)
    while True:
        try:
            run = api.run(run_id)
            answered = clock()
            for line in watch.changes(run, answered):
                say(line)
            if run_state(run) in ENDS:
                _require_success(api, run, package, say)
                return
        except (Unreachable, NotKfp) as error:
            if clock() - answered > patience:
                raise Unreachable(str(error)) from None
            say(f"{error}; still waiting")
        if timeout is not None and clock() - begun >= timeout:
            raise DualGANError(f"run {run_id} is not over after {timeout:g} s; it goes on")
        api.sleep(poll)


@dataclass
class _Watch:
    """What has been told of a run."""

    api: KfpApi
    run_id: str
    package: Package
    _run: str = ""
    _told: dict[str, str] = field(default_factory=dict)
    # Since when a try has had no container, as far as KFP's answers tell.
    _since: dict[str, float] = field(default_factory=dict)
    _late: set[str] = field(default_factory=set)

    def changes(self, run: Any, now: float) -> Iterator[str]:
        """A line for each task that is in another state than at the last look, and for the run."""
        tasks = task_states(run, self.package)
        for task in tasks:
            waits = task.without_container is not False and task.tries[-1] in self._late
            waits = waits or (task.without_container is True and len(task.tries) == 1)
            if not waits and self._told.get(task.name) != str(task):
                self._told[task.name] = str(task)
                succeeded = sum(state.startswith(SUCCEEDED.lower()) for state in self._told.values())
                count = f" ({succeeded} of {task_count(self.package)})" if task.state == SUCCEEDED else ""
                yield f"{task.name}: {task}{count}"
        yield from self._without_pods(tasks, now)
        state = run_state(run).lower()
        if self._run != state:
            self._run = state
            yield f"run: {state}"

    def _without_pods(self, tasks: Sequence[TaskState], now: float) -> Iterator[str]:
        """A line for each task whose newest try has had no container for long, once a try."""
        for task in tasks:
            if task.without_container is False:
                continue
            newest = task.tries[-1]
            since = self._since.setdefault(newest, now)
            if newest in self._late or now - since < NO_POD_SECONDS:
                continue
            if task.without_container is None and self._has_log(newest):
                self._since[newest] = math.inf
                continue
            self._late.add(newest)
            self._told.pop(task.name, None)
            yield (
                f"{task.name}: no pod yet after {duration(NO_POD_SECONDS)}: image, secret or room? "
                "`parity doctor --cluster` looks"
            )

    def _has_log(self, node: str) -> bool:
        """Whether a try says something, as what has a container does, or cannot be asked."""
        try:
            # Of a pod without a container KFP answers 500, which is not to be asked again.
            return bool(KfpApi(replace(self.api.at, retries=0)).task_log(self.run_id, node))
        except BadInput:
            return True
        except DualGANError:
            return False


def _require_success(api: KfpApi, run: Any, package: Package, say: Callable[[str], None]) -> None:
    state = run_state(run)
    if state == SUCCEEDED:
        return
    if state == TERMINATED:
        raise DualGANError(f"run {run.run_id} was terminated (canceled) before its end")
    failed = [task for task in task_states(run, package) if task.state == FAILED]
    for task in failed:
        _tell_log(api, run, task.name, task.tries[-1] if task.tries else None, say)
    if state == FAILED and not failed:
        _tell_log(api, run, "root", None, say)
    said = f": {' '.join(str(run.error.message).split())[:MAX_LINE]}" if run.error and run.error.message else ""
    where = f" at {', '.join(task.name for task in failed)}" if failed else ""
    raise DualGANError(f"run {run.run_id} {state.lower()}{where}{said}; see {page_of(api, run.run_id)}")


def _tell_log(api: KfpApi, run: Any, task: str, node: str | None, say: Callable[[str], None]) -> None:
    """Say the last lines of a failed task's log, or of KFP's pod that prepares it, and where the rest is."""
    name, found = "the run" if task == "root" else task, node or newest_driver(run, task)
    lines: list[str] = []
    if found is None:
        say(f"{name} failed without a pod, so KFP has no log")
    else:
        say(f"{name} failed; the log of {'its last try' if node else 'the pod that KFP prepares it in'} ends:")
        try:
            lines = [line for line in map(_readable, api.task_log(run.run_id, found).splitlines()) if line]
        except DualGANError as error:
            say(f"    (it cannot be read: {error})")
        for line in lines[-LOG_LINES:]:
            say(f"    {line}")
        say(f"    all of it: {api.task_log_address(run.run_id, found)}")
    if not lines:
        # Of a pod that Kubernetes refused, KFP's API does not pass the reason on.
        where = f"{workflow_of(run) or '...'} -n {api.at.namespace or DEFAULT_NAMESPACE}"
        say("    Argo says why, for an hour after the run's end:")
        say(f"    kubectl get workflow {where} -o jsonpath='{{.status.nodes[*].message}}'")


def _readable(line: str) -> str:
    """A line of a log without colours and control characters, cut to a length that people read."""
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]", "", line).rstrip()
    return plain if len(plain) <= MAX_LINE else f"{plain[:MAX_LINE]}..."
