"""The training loop: it fills a run folder, and continues a run that an earlier process left."""

import math
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

from dualgan.checkpoints import Checkpoints, initial_values, saved_checkpoints
from dualgan.dataset_folder import Description
from dualgan.devices import Device, open_recorded_device
from dualgan.environment import recorded_environment
from dualgan.errors import OF_CONTENT, BadInput, DualGANError, Interrupted, Termination, described, signal_name
from dualgan.feed import FeedSignature, Prefetch, TrainingData, open_dataset, training_data
from dualgan.options import TrainOptions, options_in, require_same
from dualgan.run_folder import LOSS_METRICS, EventLog, RunFolder, read_events, read_json, write_json
from dualgan.sampling import draw, sample_inputs
from dualgan.step import StepGraph, UpdateNorms, load_variables
from dualgan.summary import WARM_UP_STEPS, summarise, timing
from dualgan.tensorflow_v1 import IMPORT_SECONDS, operations_explained, tf

TERMINAL_SECONDS = 0.5
LINE_SECONDS = 15.0
TIMING_INTERVAL_SECONDS = 5.0


class Progress:
    """Shows the newest step, but no more often than a reader can follow."""

    def __init__(self, total: int, every: int) -> None:
        """every: steps between plain lines; 0: one each LINE_SECONDS."""
        self._total = total
        self._terminal = sys.stdout.isatty()
        self._every = 0 if self._terminal else every
        self._due = 0.0

    def show(self, step: int, metrics: Dict[str, float], seconds: float) -> None:
        """metrics: the step's losses; seconds: what the step took."""
        now = time.monotonic()
        due = step % self._every == 0 if self._every else now >= self._due
        if due or step >= self._total:
            self._due = now + (TERMINAL_SECONDS if self._terminal else LINE_SECONDS)
            losses = f"A_loss {metrics['A_loss']:.4f}  B_loss {metrics['B_loss']:.4f}"
            start, end = ("\r\x1b[K", "\n" if step == self._total else "") if self._terminal else ("", "\n")
            sys.stdout.write(f"{start}step {step}/{self._total}  {losses}  {seconds:.4f} s/step{end}")
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
        began = time.perf_counter()
        self._options = options
        self._device = device
        self._folder = RunFolder(Path(options.run_dir))
        self._data = data
        self._inputs = sample_inputs(options, digest, cache, options.sample_images)
        self._graph = StepGraph(options, device)
        self._update_norms = UpdateNorms(self._graph.variables)
        self._checkpoints = Checkpoints(self._folder.checkpoints, options.keep_checkpoints)
        self._last_step = last_step(options, data)
        self._initializer = tf.global_variables_initializer()
        self._initial_values = {} if saved_checkpoints(self._folder.checkpoints) else initial_values(options)
        self._times = dict.fromkeys(("training", "waiting_for_data", "checkpointing", "sampling"), 0.0)
        # Graph and first weights.
        self._times.update(importing=IMPORT_SECONDS, building=time.perf_counter() - began)
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
        resuming = self._folder.events.is_file()
        self._log, self._done = EventLog(self._folder.events), 0
        try:
            with operations_explained():
                with self._timed("building"):
                    self._start(session, resuming)
                self._train_to_last_step(session, termination)
            status = "finished"
            self._log.write(self._last_step, type="finished")
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
        if checkpoint is None:
            load_variables(session, self._initializer, self._graph.variables, self._initial_values)
            self._initial_values = {}
        else:
            self._done = checkpoint.step
        self._log.cut_after(self._done)
        self._log.write(self._done, type="resumed" if resuming else "started", problems=problems)

    def _train_to_last_step(self, session: Any, termination: Termination) -> None:
        options, signature = self._options, FeedSignature(session)
        step_function = self._graph.step_callable(signature)
        self._update_norms.start(session)
        progress = Progress(self._last_step, options.log_freq)
        sample = self._graph.drawing.sample_callable(session)
        with Prefetch(self._data) as prefetch:
            termination.at_once = False
            for step in range(self._done + 1, self._last_step + 1):
                asked = time.perf_counter()
                batch = prefetch.batch(step)
                fed = time.perf_counter()
                terms = step_function(step, batch.values())
                ended = time.perf_counter()
                self._times["waiting_for_data"] += fed - asked
                self._times["training"] += ended - fed
                metrics = {name: terms[name] for name in LOSS_METRICS if name in terms}
                self._note(step, metrics, ended - asked, signature.take())
                progress.show(step, metrics, ended - asked)
                wrong = [f"{name}={value}" for name, value in metrics.items() if not math.isfinite(value)]
                if wrong and options.on_nan == "stop":
                    raise DualGANError(
                        f"step {step}: loss is not finite ({', '.join(wrong)}); the checkpoints from before are kept "
                        f"in {self._folder.checkpoints}"
                    )
                last = step == self._last_step
                # Read once: a signal that comes while this step is being stored belongs to the next one.
                stopping = bool(termination.received) and not last
                if last or _due(step, options.sample_freq):
                    with self._timed("sampling"):
                        draw(self._folder.samples_of(step), self._inputs, sample)
                        self._log.write(step, type="sample")
                if last or stopping or _due(step, options.save_freq):
                    with self._timed("checkpointing"):
                        losses, self._losses_since_checkpoint = self._losses_since_checkpoint, []
                        self._log.flush_to_disk()
                        self._checkpoints.save(session, step, sum(losses) / len(losses))
                        self._log.write(step, type="checkpoint")
                if stopping:
                    number = termination.received[0]
                    self._log.write(step, type="interrupted", signal=number)
                    raise Interrupted(
                        f"stopped by {signal_name(number)} after step {step}, which is saved; the same command goes on "
                        "from there"
                    )

    @contextmanager
    def _timed(self, purpose: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self._times[purpose] += time.perf_counter() - began

    def _note(self, step: int, metrics: Dict[str, float], seconds: float, feed: List[float]) -> None:
        """Append the step to the events, and now and then how fast the steps were. seconds: what the step took."""
        norms, epoch = self._update_norms.take(), self._data.epoch_of(step)
        self._log.write(step, seconds=seconds, epoch=epoch, metrics=metrics, feed=feed, update_norms=norms)
        self._done = step
        self._losses_since_checkpoint.append(metrics["A_loss"] + metrics["B_loss"])
        self._steps_in_process += 1
        if self._steps_in_process > WARM_UP_STEPS:
            self._recent_seconds.append(seconds)
        if time.perf_counter() >= self._timing_due:
            self._note_timing()

    def _note_timing(self) -> None:
        if self._recent_seconds:
            metrics = timing(self._recent_seconds, self._options.batch_size)
            self._log.write(self._done, type="timing", metrics=metrics)
            self._recent_seconds = []
            self._timing_due = time.perf_counter() + TIMING_INTERVAL_SECONDS

    def _end(self, status: str, reason: Optional[str], began: float) -> None:
        try:
            self._note_timing()
            if status == "failed":
                self._log.write(self._done, type="failed", reason=reason)
            self._log.close()
            times = dict(self._times, total=time.perf_counter() - began)
            summary = summarise(read_events(self._folder.events), status, reason, self._options.batch_size, times)
            summary["peak_device_memory_bytes"] = self._device.peak_memory_bytes()
            write_json(self._folder.summary, summary)
        except OSError as error:
            why = f"{reason}; its end cannot be written" if reason else "cannot be written to"
            raise DualGANError(f"{self._folder.path}: {why} ({error.strerror})") from error


def _due(step: int, frequency: int) -> bool:
    return frequency > 0 and step % frequency == 0


def last_step(options: TrainOptions, data: TrainingData) -> int:
    steps = options.train_epochs * data.steps_per_epoch
    return min(steps, options.max_steps) if options.max_steps else steps


def train(options: TrainOptions) -> Dict[str, Any]:
    """Train as ``options`` say; the content of summary.json.

    Everything that can be wrong with the input is checked before the run folder is touched (BadInput). A run that
    is finished already is left as it is.
    """
    if not options.run_dir:
        raise BadInput("--run_dir: name the run folder to write")
    with Termination() as termination:
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
                record = {
                    "options": dict(options.as_dict(), dataset_name=options.dataset_name or dataset.name),
                    "dataset": dict(dataset._asdict()),
                    "environment": recorded_environment(device.describe(), tf.version.VERSION, options.git_commit),
                }
                write_json(folder.options, record)
                with device.open_session() as session:
                    training.run(session, termination)
    return read_json(folder.summary)


def _is_finished(folder: RunFolder, last_step: int) -> bool:
    try:
        summary = read_json(folder.summary)
        return bool(summary["status"] == "finished" and summary["steps"] >= last_step)
    except (FileNotFoundError, *OF_CONTENT):
        return False
