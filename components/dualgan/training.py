"""The training loop: it fills a run folder, and continues a run that an earlier process left."""

import math
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

from dualgan.checkpoints import Checkpoints, saved_checkpoints
from dualgan.dataset_folder import Description
from dualgan.devices import Device, open_recorded_device
from dualgan.environment import recorded_environment
from dualgan.errors import OF_CONTENT, BadInput, DualGANError, Interrupted, Termination, described, signal_name
from dualgan.feed import FeedSignature, Prefetch, TrainingData, open_dataset, training_data
from dualgan.options import TrainOptions, options_in, require_same
from dualgan.run_folder import LOSS_METRICS, EventLog, RunFolder, read_events, read_json, write_json
from dualgan.sampling import draw, sample_inputs
from dualgan.step import StepGraph, load_variables, step_options
from dualgan.subsample import UpdateNorms
from dualgan.summary import WARM_UP_STEPS, summarise, timing
from dualgan.tensorflow_v1 import operations_explained, tf
from dualgan.weights import initial_values

TERMINAL_SECONDS = 0.5
LINE_SECONDS = 15.0
TIMING_INTERVAL_SECONDS = 5.0


def run_record(options: TrainOptions, device: Device, dataset: Description) -> Dict[str, Any]:
    """The content of options.json."""
    return {
        "options": dict(options.as_dict(), dataset_name=options.dataset_name or dataset.name),
        "dataset": dict(dataset._asdict()),
        "environment": recorded_environment(device.describe(), tf.version.VERSION, options.git_commit),
    }


class Progress:
    """Shows the newest step, but no more often than a reader can follow."""

    def __init__(self, total: int, every: int = 0) -> None:
        """every: steps between plain lines; 0: one each LINE_SECONDS."""
        self._total = total
        self._every = every
        self._terminal = sys.stdout.isatty()
        self._due = 0.0

    def show(self, step: int, metrics: Dict[str, float], seconds: float) -> None:
        """metrics: the step's losses; seconds: what the step took."""
        now = time.monotonic()
        due = step % self._every == 0 if self._every and not self._terminal else now >= self._due
        if not due and step < self._total:
            return
        self._due = now + (TERMINAL_SECONDS if self._terminal else LINE_SECONDS)
        losses = f"A_loss {metrics['A_loss']:.4f}  B_loss {metrics['B_loss']:.4f}"
        line = f"step {step}/{self._total}  {losses}  {seconds:.4f} s/step"
        start, end = ("\r\x1b[K", "\n" if step == self._total else "") if self._terminal else ("", "\n")
        sys.stdout.write(start + line + end)
        sys.stdout.flush()


def check_resumable(folder: RunFolder, options: TrainOptions, dataset: Description) -> bool:
    """Whether ``folder`` holds this run already. Raises BadInput if it holds another one."""
    if not folder.options.is_file():
        if not folder.is_new():
            raise BadInput(f"{folder.path}: neither empty nor a run folder; name another --run_dir")
        return False
    record = read_json(folder.options)
    recorded, data = options_in(record, folder), record.get("dataset")
    digest = str(data.get("digest")) if isinstance(data, dict) else ""
    heading = f"{folder.path}: holds a run with other options"
    require_same(recorded, options, heading, "give the same or name another --run_dir")
    if digest != dataset.digest:
        raise BadInput(
            f"{folder.path}: holds a run on other data (digest {digest[:12]} -> {dataset.digest[:12]}); "
            "name another --run_dir"
        )
    return True


class Training:
    """One process's part of a run, from a checkpoint or a fresh start to the end."""

    def __init__(self, options: TrainOptions, data: TrainingData, digest: str, cache: Path, device: Device) -> None:
        self.options = options
        self._device = device
        self.folder = RunFolder(Path(options.run_dir))
        self._data = data
        self._inputs = sample_inputs(options, digest, cache, options.sample_images)
        self.graph = StepGraph(step_options(options, device), device)
        self._update_norms = UpdateNorms(self.graph.variables)
        self._checkpoints = Checkpoints(self.folder.checkpoints, options.keep_checkpoints)
        self.last_step = last_step(options, data)
        self._initializer = tf.global_variables_initializer()
        self._initial_values = {} if saved_checkpoints(self.folder.checkpoints) else initial_values(options)
        self._times = dict.fromkeys(("training", "waiting_for_data", "checkpointing", "sampling"), 0.0)
        self._losses_since_checkpoint: List[float] = []
        self._recent_seconds: List[float] = []
        self._steps_in_process = 0
        self._timing_due = time.perf_counter() + TIMING_INTERVAL_SECONDS

    def run(self, session: Any, termination: Termination) -> None:
        """Train to the last step, and write summary.json whatever happens.

        Raises Interrupted on a termination signal, DualGANError if training fails.
        """
        began = time.perf_counter()
        status, reason = "failed", None
        resuming = self.folder.events.is_file()
        self._log, self._done = EventLog(self.folder.events), 0
        try:
            with operations_explained():
                self._start(session, resuming)
                self._train_to_last_step(session, termination)
            status = "finished"
            self._log.event("finished", self.last_step)
        except Exception as error:
            status, reason = "interrupted" if isinstance(error, Interrupted) else status, described(error)
            raise
        finally:
            # From now on nothing but the end of the process stops it from writing its end.
            termination.at_once = False
            self._end(status, reason, began)

    def _start(self, session: Any, resuming: bool) -> None:
        """Restore the newest checkpoint, or initialise."""
        checkpoint, problems = self._checkpoints.restore_newest(session)
        self._done = checkpoint.step if checkpoint else 0
        if checkpoint is None:
            session.run(self._initializer)
            load_variables(session, self.graph.variables, self._initial_values)
            self._initial_values = {}
        self._log.cut_after(self._done)
        self._log.event("resumed" if resuming else "started", self._done, problems=problems)

    def _train_to_last_step(self, session: Any, termination: Termination) -> None:
        self._signature = FeedSignature(session)
        step_function = self.graph.step_callable(self._signature)
        self._update_norms.start(session)
        self._progress = Progress(self.last_step, self.options.log_freq)
        self._sample = self.graph.sample_callable(session)
        with Prefetch(self._data) as prefetch:
            termination.at_once = False
            for step in range(self._done + 1, self.last_step + 1):
                self._train(step, step_function, prefetch)
                last = step == self.last_step
                # Read once: a signal that comes while this step is being stored belongs to the next one.
                stopping = bool(termination.received) and not last
                if last or _due(step, self.options.sample_freq):
                    self._draw(step)
                if last or stopping or _due(step, self.options.save_freq):
                    self._save(session, step)
                if stopping:
                    number = termination.received[0]
                    self._log.event("interrupted", step, signal=number)
                    raise Interrupted(
                        f"stopped by {signal_name(number)} after step {step}, which is saved; the same command goes on "
                        "from there"
                    )

    def _train(self, step: int, step_function: Any, prefetch: Prefetch) -> None:
        asked = time.perf_counter()
        batch = prefetch.batch(step)
        fed = time.perf_counter()
        terms = step_function(step, batch.values())
        ended = time.perf_counter()
        self._times["waiting_for_data"] += fed - asked
        self._times["training"] += ended - fed
        metrics = {name: terms[name] for name in LOSS_METRICS if name in terms}
        self._log.training_step(
            step,
            seconds=ended - asked,
            epoch=self._data.epoch_of(step),
            metrics=metrics,
            feed=self._signature.take(),
            update_norms=self._update_norms.take(),
        )
        self._done = step
        self._progress.show(step, metrics, ended - asked)
        self._check_finite(step, metrics)
        self._losses_since_checkpoint.append(metrics["A_loss"] + metrics["B_loss"])
        self._note_timing(step, ended - asked)

    def _check_finite(self, step: int, metrics: Dict[str, float]) -> None:
        wrong = [f"{name}={value}" for name, value in metrics.items() if not math.isfinite(value)]
        if wrong and self.options.on_nan == "stop":
            raise DualGANError(
                f"step {step}: loss is not finite ({', '.join(wrong)}); the checkpoints from before are kept in "
                f"{self.folder.checkpoints}"
            )

    def _note_timing(self, step: int, seconds: float) -> None:
        self._steps_in_process += 1
        if self._steps_in_process > WARM_UP_STEPS:
            self._recent_seconds.append(seconds)
        if self._recent_seconds and time.perf_counter() >= self._timing_due:
            self._log.event("timing", step, metrics=timing(self._recent_seconds, self.options.batch_size))
            self._recent_seconds = []
            self._timing_due = time.perf_counter() + TIMING_INTERVAL_SECONDS

    def _draw(self, step: int) -> None:
        began = time.perf_counter()
        draw(self.folder.samples_of(step), self._inputs, self._sample)
        self._log.event("sample", step)
        self._times["sampling"] += time.perf_counter() - began

    def _save(self, session: Any, step: int) -> None:
        began = time.perf_counter()
        losses = self._losses_since_checkpoint
        self._log.flush_to_disk()
        self._checkpoints.save(session, step, sum(losses) / len(losses))
        self._losses_since_checkpoint = []
        self._log.event("checkpoint", step)
        self._times["checkpointing"] += time.perf_counter() - began

    def _end(self, status: str, reason: Optional[str], began: float) -> None:
        try:
            if self._recent_seconds:
                self._log.event("timing", self._done, metrics=timing(self._recent_seconds, self.options.batch_size))
            if status == "failed":
                self._log.event("failed", self._done, reason=reason)
            self._log.close()
            times = dict(self._times, total=time.perf_counter() - began)
            events = list(read_events(self.folder.events))
            summary = summarise(events, status, reason, self.options.batch_size, times)
            summary["peak_device_memory_bytes"] = self._device.peak_memory_bytes()
            write_json(self.folder.summary, summary)
        except OSError as error:
            why = f"{reason}; its end cannot be written" if reason else "cannot be written to"
            raise DualGANError(f"{self.folder.path}: {why} ({error.strerror})") from error


def _due(step: int, frequency: int) -> bool:
    return frequency > 0 and step % frequency == 0


def train(options: TrainOptions) -> Dict[str, Any]:
    """Train as ``options`` say; the content of summary.json.

    Everything that can be wrong with the input is checked before the run folder is touched (BadInput). A run that
    is finished already is left as it is.
    """
    if not options.run_dir:
        raise BadInput("--run_dir: name the run folder to write")
    with Termination() as termination:
        return _train(options, termination)


def _train(options: TrainOptions, termination: Termination) -> Dict[str, Any]:
    dataset, cache = open_dataset(options)
    folder = RunFolder(Path(options.run_dir))
    resuming = check_resumable(folder, options, dataset)
    device = open_recorded_device(options)
    data = training_data(options, dataset.digest, cache)
    if resuming and _is_finished(folder, last_step(options, data)):
        return read_json(folder.summary)
    with tf.Graph().as_default() as graph:
        training = Training(options, data, dataset.digest, cache, device)
        graph.finalize()
        with folder.locked():
            # Until then another trainer may have begun or ended there.
            check_resumable(folder, options, dataset)
            # It tells of an earlier end; this run has not ended.
            if folder.summary.exists():
                folder.summary.unlink()
            write_json(folder.options, run_record(options, device, dataset))
            with device.open_session() as session:
                training.run(session, termination)
    return read_json(folder.summary)


def last_step(options: TrainOptions, data: TrainingData) -> int:
    steps = options.train_epochs * data.steps_per_epoch
    return min(steps, options.max_steps) if options.max_steps else steps


def _is_finished(folder: RunFolder, last_step: int) -> bool:
    try:
        summary = read_json(folder.summary)
        return bool(summary["status"] == "finished" and summary["steps"] >= last_step)
    except (FileNotFoundError, *OF_CONTENT):
        return False
