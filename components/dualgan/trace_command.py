"""Recording a trace: the first steps of a run, or some after its newest checkpoint."""

import argparse
import dataclasses
from pathlib import Path
from typing import Any, List, NamedTuple, Optional, Tuple

from dualgan import image_cache, trace
from dualgan import options as train_options
from dualgan.checkpoints import Checkpoints
from dualgan.dataset_folder import checked_description, require_training_images
from dualgan.devices import Device, open_recorded_device
from dualgan.errors import BadInput
from dualgan.feed import training_data
from dualgan.graph import StepGraph, updates_generators
from dualgan.inference import drawing
from dualgan.options import TrainOptions
from dualgan.probing import Prober
from dualgan.run_folder import RunFolder
from dualgan.sample_command import recorded_options
from dualgan.sampling import sample_inputs
from dualgan.tensorflow_v1 import tf
from dualgan.trace import INITIAL, LATE, STORED, Origin, Start, Trace
from dualgan.training import step_options

DEFAULT_STEPS = 12

# How many pairs of validation images are drawn from each probed state.
PAIRS = 2

# A probed step within the trace keeps the whole state before it, with the optimisers' slots twice to three times the
# weights. Networks of more parameters are probed at the first step only, unless told otherwise: the reference's have
# 69 million.
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
    pairs = sample_inputs(options, digest, cache, PAIRS)
    with tf.Graph().as_default() as tensorflow_graph:
        graph = StepGraph(step_options(options, device), device)
        prober = Prober(graph, drawing(graph, device))
        checkpoints = Checkpoints(RunFolder(Path(options.run_dir)).checkpoints, 1) if wanted.checkpoint else None
        tensorflow_graph.finalize()
        with tf.Session(config=device.session_config()) as session:
            start, done = _start(session, prober, checkpoints, options)
            first = done + 1
            batches = [data.batch(step) for step in range(first, first + wanted.steps)]
            starts = {first: start}

            def keep_state(step: int) -> None:
                if step - done in _probed(wanted, graph) and step not in starts:
                    starts[step] = Start(STORED, prober.read_state(session))

            prober.load_state(session, start.state(options))
            free_run = prober.run_freely(session, first, batches, keep_state)
            probed = [*sorted(starts.items()), (_late_step(options, first, wanted.steps), Start(LATE, {}))]
            probes = [
                prober.probe(session, step, batches[step - first], start.state(options), pairs)
                for step, start in probed
            ]
    result = Trace(
        options,
        digest,
        origin(device, graph.options.one_run),
        first,
        batches,
        pairs,
        [start for _, start in probed],
        probes,
        free_run,
    )
    trace.save(result, Path(output))
    return result


def origin(device: Device, one_run: bool) -> Origin:
    return Origin(tf.version.VERSION, device.describe(), "one-run" if one_run else "two-run")


def _check(wanted: Request) -> None:
    if wanted.steps < 1:
        raise BadInput(f"--steps {wanted.steps}: must be at least 1")
    for number in wanted.probed or []:
        if not 1 <= number <= wanted.steps:
            raise BadInput(f"--probe_steps {number}: must be among the {wanted.steps} steps of the trace")


def _probed(wanted: Request, graph: StepGraph) -> List[int]:
    """Which of the steps, from 1, are probed beside the first."""
    if wanted.probed is not None:
        return wanted.probed
    parameters = sum(variable.shape.num_elements() for variable in graph.variables.values())
    return [wanted.steps] if parameters <= SMALL_NETWORKS else []


def _late_step(options: TrainOptions, first: int, steps: int) -> int:
    """The first step of a trace that updates the generators, for its drawn state to show their update too."""
    updating = [n for n in range(first, first + steps) if updates_generators(options.GAN_type, options.n_critic, n)]
    return updating[0] if updating else first


def _start(
    session: Any, prober: Prober, checkpoints: Optional[Checkpoints], options: TrainOptions
) -> Tuple[Start, int]:
    """What the first step starts from, and the number of steps that it has behind it."""
    if checkpoints is None:
        initial = Start(INITIAL, {})
        # Where the trace is replayed, the original's checkpoint may not be.
        return (Start(STORED, initial.state(options)) if options.init_from else initial), 0
    prober.load_state(session, {})
    checkpoint, _ = checkpoints.restore_newest(session)
    if checkpoint is None:
        raise BadInput("{}: no checkpoint to start from; train first".format(options.run_dir or "--run_dir"))
    return Start(STORED, prober.read_state(session)), checkpoint.step
