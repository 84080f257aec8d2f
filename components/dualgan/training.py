"""The training loop: it fills a run folder, and goes on where an earlier process stopped."""

import math
import signal
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

from dualgan import environment, image_cache
from dualgan.checkpoints import Checkpoints, saved_checkpoints
from dualgan.dataset_folder import Description, checked_description, require_training_images
from dualgan.devices import Device, open_recorded_device
from dualgan.errors import BadInput, DualGANError, Interrupted
from dualgan.event_log import EventLog, cut_after
from dualgan.feed import Prefetch, TrainingData, training_data
from dualgan.feed_signature import FeedSignature
from dualgan.graph import StepGraph, StepOptions
from dualgan.losses import LossOptions
from dualgan.networks import Shape, all_variables
from dualgan.options import TrainOptions, contradictions, from_dict
from dualgan.original_checkpoint import original_weights
from dualgan.progress import Progress
from dualgan.randomness import initial_value
from dualgan.run_folder import LOSS_METRICS, RunFolder, read_events, read_json, write_json
from dualgan.sampling import draw, sample_inputs
from dualgan.summary import WARM_UP_STEPS, summarise, timing
from dualgan.tensorflow_v1 import tf
from dualgan.update_norms import UpdateNorms

TIMING_INTERVAL_SECONDS = 5.0


def network_shape(options: TrainOptions) -> Shape:
    return Shape(
        options.image_size,
        options.A_channels,
        options.B_channels,
        options.gcn,
        options.dcn,
        options.disc_type,
    )


def initial_values(options: TrainOptions) -> Dict[str, Any]:
    """The weights before the first step, by name: drawn from the seed, or of a checkpoint of the original."""
    shape = network_shape(options)
    if options.init_from:
        return original_weights(options.init_from, shape)
    return {spec.name: initial_value(spec, options.seed) for spec in all_variables(shape)}


def step_options(options: TrainOptions, device: Device) -> StepOptions:
    one_run = device.one_run if options.step_mode == "auto" else options.step_mode == "one-run"
    return StepOptions(
        shape=network_shape(options),
        losses=LossOptions(options.GAN_type, options.loss_metric, options.lambda_A, options.lambda_B),
        batch_size=options.batch_size,
        lr=options.lr,
        rmsprop_decay=options.rmsprop_decay,
        n_critic=options.n_critic,
        clip_value=options.clip_value,
        dropout_rate=options.dropout_rate,
        one_run=one_run,
    )


def check_resumable(folder: RunFolder, options: TrainOptions, dataset: Description) -> bool:
    """Whether ``folder`` holds this run already. Raises BadInput where it holds another one."""
    if not folder.options.is_file():
        if folder.path.exists() and (not folder.path.is_dir() or any(folder.path.iterdir())):
            raise BadInput(f"{folder.path}: neither empty nor a run folder; name another --run_dir")
        return False
    try:
        content = read_json(folder.options)
        recorded = from_dict(content["options"])
        digest = content["dataset"]["digest"]
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{folder.options}: not a run's options ({error}); name another --run_dir") from None
    different = contradictions(recorded, options)
    if different:
        raise BadInput(
            "{}: holds a run with other options ({}); give the same or name another --run_dir".format(
                folder.path, "; ".join(different)
            )
        )
    if digest != dataset.digest:
        raise BadInput(
            f"{folder.path}: holds a run on other data (digest {digest[:12]} -> {dataset.digest[:12]}); name another --run_dir"
        )
    return True


@contextmanager
def termination_noted() -> Iterator[List[int]]:
    """A list that gets the signal's number on SIGTERM or SIGINT, so that a step is finished before the end."""
    received: List[int] = []
    previous = {
        number: signal.signal(number, lambda signum, _: received.append(signum))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


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

    def start(self, session: Any) -> int:
        """Restore the newest checkpoint or initialise; the number of steps that are done."""
        checkpoint, problems = self._checkpoints.restore_newest(session)
        resuming = self.folder.events.is_file()
        done = checkpoint.step if checkpoint else 0
        if checkpoint is None:
            session.run(self._initializer)
            self.graph.load(session, self._initial_values)
            self._initial_values = {}
        cut_after(self.folder.events, done)
        self._log = EventLog(self.folder.events)
        self._log.event("resumed" if resuming else "started", done, problems=problems)
        self._done = done
        return done

    def run(self, session: Any) -> None:
        """Train to the last step. Raises Interrupted on a termination signal, DualGANError where training fails."""
        began = time.perf_counter()
        done = self.start(session)
        self._signature = FeedSignature(session)
        step_function = self.graph.step_callable(self._signature)
        self._update_norms.start(session)
        self._progress = Progress(self.last_step, self.options.log_freq)
        self._sample = self.graph.sample_callable(session)
        status, reason = "failed", None
        try:
            with termination_noted() as signals, Prefetch(self._data) as prefetch:
                for step in range(done + 1, self.last_step + 1):
                    self._train(step, step_function, prefetch)
                    last = step == self.last_step
                    # Read once: a signal that comes while this step is being stored belongs to the next one.
                    stopping = bool(signals) and not last
                    if last or _due(step, self.options.sample_freq):
                        self._draw(step)
                    if last or stopping or _due(step, self.options.save_freq):
                        self._save(session, step)
                    if stopping:
                        self._log.event("interrupted", step, signal=signals[0])
                        status, reason = "interrupted", f"signal {signals[0]} at step {step}"
                        raise Interrupted(f"{reason}; the same command goes on from there")
            status = "finished"
            self._log.event("finished", self.last_step)
        except DualGANError as error:
            reason = reason or str(error)
            raise
        except tf.errors.OpError as error:
            reason = "TensorFlow: " + error.message.split("\n")[0]
            raise DualGANError(reason) from error
        finally:
            self._end(status, reason, began)

    def _train(self, step: int, step_function: Any, prefetch: Prefetch) -> None:
        asked = time.perf_counter()
        batch = prefetch.batch(step)
        fed = time.perf_counter()
        terms = step_function(step, batch.values())
        ended = time.perf_counter()
        self._times["waiting_for_data"] += fed - asked
        self._times["training"] += ended - fed
        metrics = {name: terms[name] for name in LOSS_METRICS if name in terms}
        feed = self._signature.take()
        norms = self._update_norms.take()
        self._log.training_step(step, self._data.epoch_of(step), ended - asked, metrics, feed, norms)
        self._done = step
        self._progress.show(step, metrics, ended - asked)
        self._check_finite(step, metrics)
        self._losses_since_checkpoint.append(metrics["A_loss"] + metrics["B_loss"])
        self._note_timing(step, ended - asked)

    def _check_finite(self, step: int, metrics: Dict[str, float]) -> None:
        wrong = [f"{name}={value}" for name, value in metrics.items() if not math.isfinite(value)]
        if wrong and self.options.on_nan == "stop":
            raise DualGANError(
                "step {}: loss is not finite ({}); the checkpoints from before are kept in {}".format(
                    step, ", ".join(wrong), self.folder.checkpoints
                )
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
        if self._recent_seconds:
            self._log.event(
                "timing",
                self._done,
                metrics=timing(self._recent_seconds, self.options.batch_size),
            )
        if status == "failed":
            self._log.event("failed", self._done, reason=reason)
        self._log.close()
        times = dict(self._times, total=time.perf_counter() - began)
        events = list(read_events(self.folder.events))
        summary = summarise(events, status, reason, self.options.batch_size, times)
        summary["peak_device_memory_bytes"] = self._device.peak_memory_bytes()
        write_json(self.folder.summary, summary)


def _due(step: int, frequency: int) -> bool:
    return frequency > 0 and step % frequency == 0


def train(options: TrainOptions) -> Dict[str, Any]:
    """Train as ``options`` say; the content of summary.json.

    Everything that can be wrong with the input is checked before the run folder is touched (BadInput). A run that
    is finished already is left as it is.
    """
    if not options.run_dir:
        raise BadInput("--run_dir: name the run folder to write")
    if not options.data_dir:
        raise BadInput("--data_dir: name the dataset folder, which holds train/A and train/B")
    dataset_path = Path(options.data_dir)
    require_training_images(dataset_path)
    dataset = checked_description(dataset_path)
    folder = RunFolder(Path(options.run_dir))
    resuming = check_resumable(folder, options, dataset)
    device = open_recorded_device(options)
    cache = Path(options.cache_dir) if options.cache_dir else image_cache.default_folder()
    data = training_data(options, dataset.digest, cache)
    if resuming and _is_finished(folder, last_step(options, data)):
        return read_json(folder.summary)
    with tf.Graph().as_default() as graph:
        training = Training(options, data, dataset.digest, cache, device)
        graph.finalize()
        folder.path.mkdir(parents=True, exist_ok=True)
        # It tells of an earlier end; this run has not ended.
        if folder.summary.exists():
            folder.summary.unlink()
        write_json(folder.options, environment.record(options, device, dataset))
        with tf.Session(config=device.session_config()) as session:
            training.run(session)
    return read_json(folder.summary)


def last_step(options: TrainOptions, data: TrainingData) -> int:
    steps = options.train_epochs * data.steps_per_epoch
    return min(steps, options.max_steps) if options.max_steps else steps


def _is_finished(folder: RunFolder, last_step: int) -> bool:
    if not folder.summary.is_file():
        return False
    try:
        summary = read_json(folder.summary)
        return bool(summary["status"] == "finished" and summary["steps"] >= last_step)
    except (ValueError, KeyError):
        return False
