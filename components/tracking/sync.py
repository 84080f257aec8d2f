"""Bring an MLflow run level with a run folder: live, or at any time afterwards, with the same code.

What MLflow already has is read from the server itself (the last step of every metric, the names and sizes
of images), so nothing is sent twice, whoever sent it and however that ended. A metric point is identified
by name and step: where a resumed training writes steps again, the points that were sent first stay.
"""

import fcntl
import json
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from components.tracking.events import (
    START,
    Event,
    Mark,
    events_after,
    metric_batches,
    summary_metrics,
    system_key,
    training_key,
)
from components.tracking.images import LOGGED_IMAGES_TAG, send_final_artifacts, send_step_images, stored_images
from components.tracking.placement import SYSTEM_METRICS, TARGET, Placement, find, leg_run, read_placement
from components.tracking.runs import (
    LegRun,
    end_open_runs,
    environment_tags,
    open_leg_run,
    part_of,
    pipeline_runs,
    set_missing_tags,
    settle_parent,
)
from components.tracking.store import connect, resolve_tracking_uri
from dualgan.errors import BadInput
from dualgan.json_files import DamagedFile, open_regular, read_json
from dualgan.run_folder import RunFolder, step_of

# Limits of MLflow's REST API, per request.
PARAMS_PER_BATCH = 100
PARAM_LENGTH = 6000
MAX_STEPS = 2**53
DATASET_DIGEST_LENGTH = 36

# What the trainer holds while it works in a run folder; its text ends with the machine's name.
MAX_HOLDER = 1000

# In MLflow's words.
GONE = "must be in the 'active' state"
RUN_STATUS = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
RUNNING, FAILED, KILLED = "RUNNING", "FAILED", "KILLED"


@dataclass
class Sent:
    """How much was sent. ``ended`` is 1 if with that the run, which had been open, has ended."""

    params: int = 0
    metrics: int = 0
    images: int = 0
    files: int = 0
    ended: int = 0

    def __bool__(self) -> bool:
        return any((self.params, self.metrics, self.images, self.files))

    def __str__(self) -> str:
        return f"{self.params} params, {self.metrics} metric points, {self.images} images and {self.files} files"


@dataclass
class _Server:
    """What the server has of a run."""

    run: Run
    last_steps: dict[str, int]
    images: dict[str, tuple[str, int]]
    has_images_tag: bool = False
    has_open_parent: bool = False


class RunFolderSync:
    """Brings one MLflow run level with one run folder.

    Args:
        run_folder: What the trainer writes.
        placement: Where it belongs in MLflow.
        on_progress: Gets the bytes read of its events.
        dead_is: Status of a run whose training process is gone and left no summary.
    """

    def __init__(
        self,
        run_folder: Path,
        placement: Placement,
        on_progress: Callable[[int], None] = lambda position: None,
        dead_is: str = FAILED,
    ) -> None:
        self._folder = RunFolder(run_folder)
        self._placement = placement
        self._on_progress = on_progress
        self._dead_is = dead_is
        self.tracking_uri = resolve_tracking_uri(placement.tracking_uri)
        self._client: MlflowClient = None
        self._server: _Server | None = None
        self._options: dict[str, Any] | None = None
        self._mark = START
        self._system_mark = START
        self._last_event: Event | None = None
        self._sampled: dict[int, int] = {}

    @property
    def run_id(self) -> str | None:
        """The MLflow run, None before the first step that found something to send."""
        return str(self._server.run.info.run_id) if self._server else None

    @property
    def leg_run(self) -> LegRun:
        """The leg's run that the folder belongs to. Raises BadInput if neither placement nor options.json tells."""
        return leg_run(self._placement, self._options or self._read(self._folder.options), self._folder.path)

    def step(self, ended: bool = False) -> Sent:
        """Send what MLflow does not have yet; nothing before the trainer has written options.json and an event.

        Args:
            ended: The training process is gone.

        Raises:
            BadInput: The folder holds what no trainer wrote.
            MlflowException: As MLflow's client raises it. After any error, the next step goes on where the server says
                that it stopped.
        """
        first = next(events_after(self._folder.events, START), None)
        if first is None or not self._folder.options.is_file():
            return Sent()
        try:
            return self._send_all(first[0], ended)
        except BaseException as error:
            known, self._server = self._server, None
            if known is None or GONE not in str(error):
                raise
        # Someone deleted the run or its experiment: what the server says now is what the user needs to hear.
        return self.step(ended)

    def end_pipeline_run(self) -> int:
        """End as KILLED what is open of the pipeline run, which nobody works on any more; return how many runs."""
        if self._server is None:
            return 0
        experiment_id = self._server.run.info.experiment_id
        return end_open_runs(self._client, experiment_id, self.leg_run.pipeline.pipeline_run_id)

    def _send_all(self, first_event: Event, ended: bool) -> Sent:
        sent = Sent()
        options = self._read(self._folder.options)
        if self._client is None:
            self._client = connect(self.tracking_uri)
        if self._server is None or options != self._options:
            self._server = self._connect(options, first_event.milliseconds)
            # From the start: the server knows best what it has, and may have lost some of it meanwhile.
            self._mark = self._system_mark = START
            sent.params = self._send_description(self._server, options)
            self._options = options
        sent.metrics = self._send_metrics(self._server) + self._send_system_metrics(self._server)
        sent.images = self._send_images(self._server, ended)
        sent.files = self._send_files(self._server, ended)
        was_open = self._server.run.info.status == RUNNING
        sent.metrics += self._send_end(self._server, ended, new_points=sent.metrics > 0)
        sent.ended = int(was_open and self._server.run.info.status != RUNNING)
        return sent

    def _connect(self, options: Mapping[str, Any], start_time: int) -> _Server:
        expected = leg_run(self._placement, options, self._folder.path)
        run = open_leg_run(self._client, expected, start_time)
        run_id = run.info.run_id
        set_missing_tags(self._client, run, environment_tags(options, expected.runtime))
        run = self._client.get_run(run_id)
        # The protocol message is the one public place where a run's last metrics have their steps.
        last_steps = {metric.key: int(metric.step) for metric in run.data.to_proto().metrics}
        return _Server(run, last_steps, stored_images(self._client, run_id))

    def _send_description(self, server: _Server, options: Mapping[str, Any]) -> int:
        run_id, data = server.run.info.run_id, server.run.data
        params = {name: _text(value)[:PARAM_LENGTH] for name, value in part_of(options, "options").items()}
        new = [Param(name, value) for name, value in params.items() if name not in data.params]
        for start in range(0, len(new), PARAMS_PER_BATCH):
            self._client.log_batch(run_id, params=new[start : start + PARAMS_PER_BATCH])
        # MLflow never changes a parameter: what a resumed training changed is a tag.
        changed = {f"resumed.{name}": value for name, value in params.items() if data.params.get(name, value) != value}
        set_missing_tags(self._client, server.run, changed)
        dataset = _dataset(part_of(options, "dataset"))
        if dataset and not server.run.inputs.dataset_inputs:
            inputs = [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])]
            try:
                self._client.log_inputs(run_id, inputs)
            except MlflowException:
                # Legs that log the same dataset in the same moment collide in the store; by now it is there.
                self._client.log_inputs(run_id, inputs)
        return len(new)

    def _send_metrics(self, server: _Server) -> int:
        sent = 0
        events = self._observed(events_after(self._folder.events, self._mark))
        for batch, mark in metric_batches(events, self._mark, server.last_steps, training_key):
            sent += self._send_batch(server, batch)
            self._mark = mark
            self._on_progress(mark.position)
        return sent

    def _send_system_metrics(self, server: _Server) -> int:
        sent = 0
        events = events_after(find(self._folder.path, SYSTEM_METRICS), self._system_mark)
        for batch, mark in metric_batches(events, self._system_mark, server.last_steps, system_key):
            sent += self._send_batch(server, batch)
            self._system_mark = mark
        return sent

    def _send_batch(self, server: _Server, batch: list[Metric]) -> int:
        if batch:
            self._client.log_batch(server.run.info.run_id, metrics=batch)
        return len(batch)

    def _observed(self, events: Iterable[tuple[Event, Mark]]) -> Iterator[tuple[Event, Mark]]:
        for event, mark in events:
            self._last_event = event
            if event.type == "sample":
                self._sampled.setdefault(event.step, event.milliseconds)
            yield event, mark

    def _send_images(self, server: _Server, ended: bool) -> int:
        last_step = self._last_event.step if self._last_event else -1
        complete = ended or self._summary() is not None
        run_id, sent = server.run.info.run_id, 0
        for folder in sorted(self._folder.samples.glob("step-*")):
            step = step_of(folder.name)
            # The trainer may still be writing the folder of its last step.
            if step is None or not (complete or step in self._sampled or step < last_step):
                continue
            timestamp = self._sampled.get(step, int(folder.stat().st_mtime * 1000))
            sent += send_step_images(self._client, run_id, folder, step, timestamp, stored=server.images)
        if server.images and not server.has_images_tag:
            set_missing_tags(self._client, server.run, {LOGGED_IMAGES_TAG: "True"})
            server.has_images_tag = True
        return sent

    def _send_files(self, server: _Server, ended: bool) -> int:
        folders = sorted(self._folder.samples.glob("step-*"), key=lambda folder: step_of(folder.name) or 0)
        if not folders or not (ended or self._summary() is not None):
            return 0
        leg = self.leg_run
        title = f"DualGAN samples of leg {leg.leg}, seed {leg.seed}"
        return send_final_artifacts(self._client, server.run.info.run_id, folders[-1], title)

    def _send_end(self, server: _Server, ended: bool, new_points: bool) -> int:
        """Send summary numbers and status; the run is RUNNING again if an interrupted training goes on."""
        event, summary = self._last_event, self._summary()
        if summary is None or event is None:
            if ended or new_points:
                self._set_status(server, self._dead_is if ended else RUNNING)
            return 0
        metrics = [
            metric
            for metric in summary_metrics(summary, _steps(summary), event.milliseconds)
            if metric.step > server.last_steps.get(metric.key, -1)
        ]
        if metrics:
            self._client.log_batch(server.run.info.run_id, metrics=metrics)
            server.last_steps.update((metric.key, metric.step) for metric in metrics)
        self._set_status(server, RUN_STATUS.get(str(summary.get("status")), FAILED))
        return len(metrics)

    def _set_status(self, server: _Server, status: str) -> None:
        info = server.run.info
        pipeline_run_id = self.leg_run.pipeline.pipeline_run_id
        if status == RUNNING and not server.has_open_parent:
            for parent in pipeline_runs(self._client, info.experiment_id, pipeline_run_id):
                if parent.info.status == KILLED:
                    self._client.update_run(parent.info.run_id, status=RUNNING)
            server.has_open_parent = True
        if info.status == status:
            return
        if status == RUNNING:
            self._client.update_run(info.run_id, status=status)
        else:
            end = self._last_event.milliseconds if self._last_event else None
            self._client.set_terminated(info.run_id, status, end)
            parent = settle_parent(self._client, info.experiment_id, pipeline_run_id)
            # A training that is no part of a pipeline has nobody else to end its parent.
            if parent and not self._placement.pipeline_run_id:
                self._client.set_terminated(parent.info.run_id, status, end)
                server.has_open_parent = False
        server.run = self._client.get_run(info.run_id)

    def _summary(self) -> dict[str, Any] | None:
        """Return summary.json; None if it is missing or older than a training that was resumed."""
        if not self._folder.summary.is_file() or self._last_event is None:
            return None
        summary = self._read(self._folder.summary)
        resumed = self._last_event.type == "resumed" or self._last_event.step > _steps(summary)
        return None if resumed else summary

    def _read(self, file: Path) -> dict[str, Any]:
        try:
            return read_json(file)
        except DamagedFile as error:
            raise BadInput(f"{error}; it was not written by the trainer") from None


def is_abandoned(run_folder: Path) -> bool:
    """Return whether a trainer worked in the folder and none does any more: its lock ends with its process.

    False if that cannot be told, as of a folder that was copied from another machine.
    """
    try:
        with open_regular(RunFolder(run_folder).lock) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return file.read(MAX_HOLDER).decode("utf-8", "replace").strip().endswith(f" on {platform.node()}")
    except (OSError, DamagedFile):
        return False


def end_interrupted(folder: Path) -> int:
    """Send what is left of trainings whose pipeline or trainer is gone, and end what it left open in MLflow as KILLED.

    Repeated, it finds nothing to do. The caller knows that no process works on the folder any more.

    Args:
        folder: A run folder, or any folder above, such as that of a pipeline's run.

    Returns:
        How many runs of MLflow were ended, parent runs of pipelines included.

    Raises:
        BadInput: A run folder holds what no trainer wrote.
        MlflowException: As MLflow's client raises it.
    """
    ended, syncs = 0, {}
    for options in sorted(folder.rglob("options.json")):
        run = RunFolder(options.parent)
        # Only what was followed; beside a run folder's own options there are those of its model.
        if run.events.is_file() and find(run.path, TARGET).is_file():
            sync = RunFolderSync(run.path, read_placement(run.path).with_environment(), dead_is=KILLED)
            ended += sync.step(ended=True).ended
            syncs[sync.tracking_uri, sync.leg_run.pipeline] = sync
    return ended + sum(sync.end_pipeline_run() for sync in syncs.values())


def _steps(summary: Mapping[str, Any]) -> int:
    steps = summary.get("steps")
    return steps if isinstance(steps, int) and 0 <= steps < MAX_STEPS else 0


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _dataset(description: Mapping[str, Any]) -> Dataset | None:
    if not description.get("name") or not description.get("digest"):
        return None
    return Dataset(
        name=str(description["name"]),
        digest=str(description["digest"])[:DATASET_DIGEST_LENGTH],
        source_type="local",
        source=json.dumps({"uri": description.get("source")}),
        profile=json.dumps(description.get("counts") or {}),
    )
