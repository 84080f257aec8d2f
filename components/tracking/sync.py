"""Bring an MLflow run level with a run folder: live, or at any time afterwards, with the same code.

What MLflow already has is read from the server itself (the last step of every metric, the names and sizes of images),
so nothing is sent twice, whoever sent it and however that ended. A metric point is identified by name and step: if a
resumed training writes steps again, the points that were sent first stay.
"""

import fcntl
import itertools
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow.entities import DatasetInput, InputTag, Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from components.tracking.entities import (
    dataset_of,
    environment_tags,
    milliseconds,
    new_points,
    params_of,
    summary_points,
    training_key,
)
from components.tracking.images import LOGGED_IMAGES_TAG, send_final_artifacts, send_step_images, stored_images
from components.tracking.runs import (
    FAILED,
    FINISHED,
    KILLED,
    RUNNING,
    LegRun,
    end_open_runs,
    open_leg_run,
    pipeline_runs,
    set_missing_tags,
    settle_parent,
)
from components.tracking.store import connect, resolve_tracking_uri
from components.tracking.target import SYSTEM_METRICS, TARGET, TrackingTarget, find, leg_run, read_target
from dualgan.errors import BadInput
from dualgan.json_files import DamagedFile, open_regular, read_json
from dualgan.run_folder import Event, Mark, RunFolder, events_after, read_events, step_of

# Limit of MLflow's REST API, per request.
METRICS_PER_BATCH = 1000
# What the trainer holds while it works in a run folder; its text ends with the machine's name.
MAX_HOLDER = 1000
# In MLflow's words.
GONE = "must be in the 'active' state"
RUN_STATUS = {"finished": FINISHED, "failed": FAILED, "interrupted": KILLED}


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


class RunFolderSync:
    """Brings one MLflow run level with one run folder.

    Args:
        run_folder: What the trainer writes.
        target: Where it belongs in MLflow.
        on_progress: Gets the bytes read of its events.
        dead_is: Status of a run whose training process is gone and left no summary.

    Attributes:
        run_id: The MLflow run, None as long as nothing was found to send.
        leg_run: The leg's run that the folder belongs to, known from then on.
    """

    leg_run: LegRun

    def __init__(
        self,
        run_folder: Path,
        target: TrackingTarget,
        on_progress: Callable[[int], None] = lambda position: None,
        dead_is: str = FAILED,
    ) -> None:
        self._folder = RunFolder(run_folder)
        self._target = target
        self._on_progress = on_progress
        self._dead_is = dead_is
        self.tracking_uri = resolve_tracking_uri(target.tracking_uri)
        self.run_id: str | None = None
        self._client: MlflowClient = None
        self._options: dict[str, Any] = {}
        self._mark, self._system_mark = Mark(), Mark()
        self._last_event: Event = {}
        # The time of each sample, in milliseconds since 1970, by its step.
        self._sampled: dict[int, int] = {}
        # What the server has: the run, the last step of each metric, names and sizes of images.
        self._experiment_id, self._status = "", RUNNING
        self._last_steps: dict[str, int] = {}
        self._images: dict[str, tuple[str, int]] = {}

    def step(self, ended: bool = False) -> Sent:
        """Send what MLflow does not have yet; nothing before the trainer has written options.json and an event.

        ``ended``: the training process is gone.

        Raises:
            BadInput: The folder holds what no trainer wrote.
            MlflowException: As MLflow's client raises it. After any error, the next step goes on where the server says
                that it stopped.
        """
        try:
            return self._send_all(ended)
        except BaseException as error:
            known, self.run_id = self.run_id, None
            if isinstance(error, DamagedFile):
                raise BadInput(f"{error}; it was not written by the trainer") from None
            if known is None or GONE not in str(error):
                raise
        # Someone deleted the run or its experiment: what the server says now is what the user needs to hear.
        return self.step(ended)

    def end_pipeline_run(self) -> int:
        """End as KILLED what is open of the pipeline run, which nobody works on any more; return how many runs."""
        return end_open_runs(self._client, self._experiment_id, self.leg_run.pipeline.pipeline_run_id)

    def _send_all(self, ended: bool) -> Sent:
        sent = Sent()
        if not self._folder.options.is_file() or not self._folder.events.is_file():
            return sent
        options = read_json(self._folder.options)
        if self.run_id is None or options != self._options:
            first_event = next(read_events(self._folder.events), None)
            if first_event is None:
                return sent
            sent.params = self._connect(options, milliseconds(first_event))
        training = new_points(self._observed(), self._last_steps, training_key)
        system = new_points(self._samples(), self._last_steps, "system/{}".format)
        sent.metrics = self._send_points(training) + self._send_points(system)
        summary, was_open = self._summary(), self._status == RUNNING
        self._send_pictures(sent, complete=ended or summary is not None)
        if summary is not None:
            points = summary_points(summary, _steps(summary), milliseconds(self._last_event))
            new = [point for point in points if point.step > self._last_steps.get(point.key, -1)]
            self._last_steps.update((point.key, point.step) for point in new)
            sent.metrics += self._send_points(iter(new))
            self._set_status(RUN_STATUS.get(str(summary.get("status")), FAILED))
        elif ended or sent.metrics:
            # With new points, an interrupted training goes on.
            self._set_status(self._dead_is if ended else RUNNING)
        sent.ended = int(was_open and self._status != RUNNING)
        return sent

    def _connect(self, options: dict[str, Any], start_time: int) -> int:
        """Ask the server what it has and describe the run; return how many params were sent.

        The files are read from their beginning again: the server may have lost something meanwhile.
        """
        self._client = self._client or connect(self.tracking_uri)
        self.leg_run = leg_run(self._target, options, self._folder.path)
        run_id = open_leg_run(self._client, self.leg_run, start_time).info.run_id
        run = self._client.get_run(run_id)
        self._experiment_id = run.info.experiment_id
        self._images = stored_images(self._client, run_id)
        params, known = params_of(options), run.data.params
        # MLflow never changes a parameter: what a resumed training changed is a tag.
        changed = {f"resumed.{name}": value for name, value in params.items() if known.get(name, value) != value}
        pictures = {LOGGED_IMAGES_TAG: "True"} if self._images else {}
        set_missing_tags(self._client, run, environment_tags(options, self.leg_run.runtime) | changed | pictures)
        new = [Param(name, value) for name, value in params.items() if name not in known]
        if new:
            self._client.log_batch(run_id, params=new)
        dataset = dataset_of(options)
        if dataset and not run.inputs.dataset_inputs:
            inputs = [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])]
            try:
                self._client.log_inputs(run_id, inputs)
            except MlflowException:
                # Legs that log the same dataset in the same moment collide in the store; by now it is there.
                self._client.log_inputs(run_id, inputs)
        self._status = run.info.status
        # The protocol message is the one public place where a run's last metrics have their steps.
        self._last_steps = {metric.key: int(metric.step) for metric in run.data.to_proto().metrics}
        self._mark = self._system_mark = Mark()
        self._options, self.run_id = options, str(run_id)
        return len(new)

    def _observed(self) -> Iterator[Event]:
        for event, mark in events_after(self._folder.events, self._mark):
            self._mark, self._last_event = mark, event
            if event.get("type") == "sample":
                self._sampled.setdefault(event["step"], milliseconds(event))
            yield event

    def _samples(self) -> Iterator[Event]:
        file = find(self._folder.path, SYSTEM_METRICS)
        if file.is_file():
            for event, mark in events_after(file, self._system_mark):
                self._system_mark = mark
                yield event

    def _send_points(self, points: Iterator[Metric]) -> int:
        sent = 0
        while batch := list(itertools.islice(points, METRICS_PER_BATCH)):
            self._client.log_batch(self.run_id, metrics=batch)
            sent += len(batch)
            self._on_progress(self._mark.position)
        return sent

    def _send_pictures(self, sent: Sent, complete: bool) -> None:
        run_id = str(self.run_id)
        folders = sorted((step_of(folder.name) or 0, folder) for folder in self._folder.samples.glob("step-*"))
        for step, folder in folders:
            # The trainer writes the event after the pictures.
            if complete or step in self._sampled:
                timestamp = self._sampled.get(step, int(folder.stat().st_mtime * 1000))
                sent.images += send_step_images(self._client, run_id, folder, step, timestamp, self._images)
        if sent.images:
            self._client.set_tag(run_id, LOGGED_IMAGES_TAG, "True")
        if folders and complete:
            title = f"DualGAN samples of leg {self.leg_run.leg}, seed {self.leg_run.seed}"
            sent.files = send_final_artifacts(self._client, run_id, folders[-1][1], title)

    def _set_status(self, status: str) -> None:
        if self._status == status:
            return
        experiment_id, pipeline_run_id = self._experiment_id, self.leg_run.pipeline.pipeline_run_id
        if status == RUNNING:
            for parent in pipeline_runs(self._client, experiment_id, pipeline_run_id):
                if parent.info.status == KILLED:
                    self._client.update_run(parent.info.run_id, status=RUNNING)
            self._client.update_run(self.run_id, status=RUNNING)
        else:
            end = milliseconds(self._last_event)
            self._client.set_terminated(self.run_id, status, end)
            parent = settle_parent(self._client, experiment_id, pipeline_run_id)
            # A training that is no part of a pipeline has nobody else to end its parent.
            if parent and not self._target.pipeline_run_id:
                self._client.set_terminated(parent.info.run_id, status, end)
        self._status = status

    def _summary(self) -> dict[str, Any] | None:
        """Return summary.json; None if it is missing or older than a training that was resumed."""
        if not self._folder.summary.is_file():
            return None
        summary = read_json(self._folder.summary)
        resumed = self._last_event.get("type") == "resumed" or self._last_event["step"] > _steps(summary)
        return None if resumed else summary


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

    Repeated, it finds nothing to do. The caller knows that no process works on the folder any more: a run folder, or
    any folder above, such as that of a pipeline's run. Returns how many runs were ended, parent runs included.
    """
    ended, syncs = 0, {}
    for options in sorted(folder.rglob("options.json")):
        run = RunFolder(options.parent)
        # Only what was followed; beside a run folder's own options there are those of its model.
        if run.events.is_file() and find(run.path, TARGET).is_file():
            sync = RunFolderSync(run.path, read_target(run.path).with_environment(), dead_is=KILLED)
            ended += sync.step(ended=True).ended
            if sync.run_id:
                syncs[sync.tracking_uri, sync.leg_run.pipeline] = sync
    return ended + sum(sync.end_pipeline_run() for sync in syncs.values())


def _steps(summary: Mapping[str, Any]) -> int:
    steps = summary.get("steps")
    return steps if isinstance(steps, int) else 0
