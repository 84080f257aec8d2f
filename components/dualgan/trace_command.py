"""Recording a trace: the first steps of a run, or some after its newest checkpoint."""

import argparse
import dataclasses
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional

from dualgan import image_cache, trace
from dualgan import options as train_options
from dualgan.checkpoints import Checkpoints
from dualgan.dataset_folder import checked_description, require_training_images
from dualgan.devices import Device, open_recorded_device
from dualgan.errors import BadInput
from dualgan.feed import training_data
from dualgan.graph import StepGraph
from dualgan.options import TrainOptions
from dualgan.run_folder import RunFolder
from dualgan.sample_command import recorded_options
from dualgan.tensorflow_v1 import tf
from dualgan.trace import Origin, Trace
from dualgan.trace_recording import Probe, Recorder, State
from dualgan.trace_sketch import sketch
from dualgan.training import initial_values, step_options

DEFAULT_STEPS = 12

# A probed step keeps the whole state before it, with the optimisers' slots twice to three times the weights. Networks
# of more parameters are probed at the first step only, unless told otherwise: the reference's have 69 million.
SMALL_NETWORKS = 4_000_000


class Request(NamedTuple):
    """What to record. checkpoint: start after the newest one in options.run_dir. probed: which of the steps,

    counted from 1, beside the first; None leaves it to the size of the networks.
    """

    options: TrainOptions
    steps: int = DEFAULT_STEPS
    checkpoint: bool = False
    probed: Optional[List[int]] = None


def request(arguments: argparse.Namespace) -> Request:
    """What the command line asks for. Options of a run folder that is there already can only be changed for the leg."""
    options = train_options.from_arguments(arguments)
    if options.run_dir and RunFolder(Path(options.run_dir)).options.is_file():
        options = _as_run(arguments, options)
    steps = DEFAULT_STEPS if arguments.steps is None else arguments.steps
    return Request(options, steps, arguments.checkpoint, arguments.probe_steps)


def _as_run(arguments: argparse.Namespace, given: TrainOptions) -> TrainOptions:
    run = recorded_options(RunFolder(Path(given.run_dir)))
    chosen = {name: value for name, value in given.as_dict().items() if getattr(arguments, name) is not None}
    own = {name: value for name, value in chosen.items() if name in train_options.LEG_OPTIONS}
    options = train_options.validated(dataclasses.replace(run, **own))
    different = train_options.contradictions(options, dataclasses.replace(options, **chosen))
    if different:
        raise BadInput("{}: holds a run with other options ({})".format(given.run_dir, "; ".join(different)))
    return dataclasses.replace(options, **chosen)


def record(wanted: Request, output: Path) -> Trace:
    """Record a trace and write it to ``output``. Raises BadInput where dataset, device or checkpoint is missing."""
    options = wanted.options
    _check(wanted)
    if not options.data_dir:
        raise BadInput("--data_dir: name the dataset folder, which holds train/A and train/B")
    require_training_images(Path(options.data_dir))
    digest = checked_description(Path(options.data_dir)).digest
    device = open_recorded_device(options)
    cache = Path(options.cache_dir) if options.cache_dir else image_cache.default_folder()
    data = training_data(options, digest, cache)
    with tf.Graph().as_default() as tensorflow_graph:
        graph = StepGraph(step_options(options, device), device)
        recorder = Recorder(graph)
        checkpoints = Checkpoints(RunFolder(Path(options.run_dir)).checkpoints, 1) if wanted.checkpoint else None
        tensorflow_graph.finalize()
        with tf.Session(config=device.session_config()) as session:
            state, done = _start(session, recorder, checkpoints, options)
            first = done + 1
            batches = [data.batch(step) for step in range(first, first + wanted.steps)]
            probed = sorted({first} | {first + number - 1 for number in _probed(wanted, state)})
            states: Dict[int, State] = {first: state}

            def keep_state(step: int) -> None:
                if step in probed and step != first:
                    states[step] = recorder.read_state(session)

            recorder.load_state(session, state)
            free_run = recorder.run_freely(session, first, batches, keep_state)
            weights = session.run(graph.variables)
            final = {name: sketch(name, weights[name]) for name in graph.variables}
            probes: List[Probe] = [
                recorder.probe(session, step, batches[step - first], states[step]) for step in probed
            ]
    result = Trace(
        options, digest, origin(device, graph.options.one_run), first, batches, states, probes, free_run, final
    )
    trace.save(result, Path(output))
    return result


def origin(device: Device, one_run: bool) -> Origin:
    return Origin(tf.version.VERSION, device.describe(), "one-run" if one_run else "two-run")


def _check(wanted: Request) -> None:
    if wanted.steps < 1:
        raise BadInput("--steps {}: must be at least 1".format(wanted.steps))
    for number in wanted.probed or []:
        if not 1 <= number <= wanted.steps:
            raise BadInput("--probe_steps {}: must be among the {} steps of the trace".format(number, wanted.steps))


def _probed(wanted: Request, state: State) -> List[int]:
    if wanted.probed is not None:
        return wanted.probed
    parameters = sum(value.size for value in state.values())
    return [wanted.steps] if parameters <= SMALL_NETWORKS else []


def _start(session: Any, recorder: Recorder, checkpoints: Optional[Checkpoints], options: TrainOptions) -> Any:
    """The state before the first step, and the number of steps that it has behind it."""
    if checkpoints is None:
        return initial_values(options), 0
    recorder.load_state(session, {})
    checkpoint, _ = checkpoints.restore_newest(session)
    if checkpoint is None:
        raise BadInput("{}: no checkpoint to start from; train first".format(options.run_dir or "--run_dir"))
    return recorder.read_state(session), checkpoint.step
