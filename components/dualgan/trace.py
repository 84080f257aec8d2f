"""The trace file: some training steps of a reference leg, with all that another device needs to do them again.

Arrays by name (dualgan.files), schema version 2:

    meta                         JSON: options, first_step, what recorded it, the probes, names in order
    batch/{A,B,epsilon_A,epsilon_B,dropout}          what was fed, [steps, ...]
    pair/{A,B}                   uint8 [n, S, S, C], validation images that are drawn
    state/{probe}/{variable}     variables and optimiser slots before a probed step, if no rule gives them
    picture/{probe}/{name}       of each probe, subsamples (dualgan.subsample, the norm first): what is drawn
    layer/{probe}/{name}         ... layers' outputs
    gradient/{probe}/{variable}, update/{probe}/{variable}     ... gradients, and what the step added to each variable
    term/{probe}/{loss}          ... and its losses
    free/term/{loss}, free/update/{network}     [steps]: all steps one after the other, losses and norms of updates

The state of a probe is "initial", a function of the options; "late", drawn (dualgan.weights), as late in a training; or
"stored". What is not stored takes no room: with the reference's networks a file has some 10 MB, each stored state
276 MB and more.
"""

import argparse
import dataclasses
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Tuple

import numpy as np

from dualgan import files
from dualgan import options as train_options
from dualgan.checkpoints import newest_values
from dualgan.devices import Device, open_recorded_device
from dualgan.errors import OF_CONTENT, BadInput, first_line
from dualgan.feed import Batch, open_dataset, training_data
from dualgan.json_files import whole_number
from dualgan.names import MAX_FILE_NAME_BYTES
from dualgan.networks import all_variables, network_shape
from dualgan.options import TrainOptions, from_dict, recorded_options
from dualgan.run_folder import MAX_STEP, NETWORKS, RECONSTRUCTION_METRICS, RunFolder
from dualgan.sampling import SampleInput, sample_pairs
from dualgan.step import updates_generators
from dualgan.subsample import ELEMENTS, Subsample
from dualgan.taps import Probe, Prober, State, Subsamples, UnforcedRun, open_prober
from dualgan.tensorflow_v1 import tf
from dualgan.weights import initial_values, late_state

SCHEMA_VERSION = 2
MAX_BYTES = 8 << 30
INITIAL, LATE, STORED = "initial", "late", "stored"
_TENSORS = {"picture": "pictures", "layer": "layers", "gradient": "gradients", "update": "updates"}


class Origin(NamedTuple):
    """The place of a recording: TensorFlow's version, Device.describe(), and the step mode."""

    tensorflow: str
    device: Dict[str, Any]
    step_mode: str


class Start(NamedTuple):
    """The state that a probed step starts from. kind: INITIAL, LATE or STORED; stored: the values if it is STORED."""

    kind: str
    stored: State

    def state(self, options: TrainOptions) -> State:
        if self.kind == INITIAL:
            return initial_values(options)
        return late_state(all_variables(network_shape(options)), options.seed) if self.kind == LATE else self.stored


class Trace(NamedTuple):
    """A trace file in memory. starts: of each probe; the first is of the first step."""

    options: TrainOptions
    dataset_digest: str
    origin: Origin
    first_step: int
    batches: List[Batch]
    pairs: List[SampleInput]
    starts: List[Start]
    probes: List[Probe]
    unforced_run: UnforcedRun


def save_trace(trace: Trace, path: Path) -> None:
    """Write ``trace``, whole or not at all."""
    meta = {
        "schema_version": SCHEMA_VERSION,
        "options": trace.options.as_dict(),
        "dataset_digest": trace.dataset_digest,
        "origin": dict(trace.origin._asdict()),
        "first_step": trace.first_step,
        "steps": len(trace.batches),
        "pairs": [pair.name for pair in trace.pairs],
        "probes": [[probe.step, start.kind] for probe, start in zip(trace.probes, trace.starts)],
        "layers": list(trace.probes[0].layers),
    }
    arrays: Dict[str, Any] = {"pair/" + domain: np.stack([getattr(p, domain) for p in trace.pairs]) for domain in "AB"}
    for field in Batch._fields:
        values = [getattr(batch, field) for batch in trace.batches]
        if values[0] is not None:
            arrays["batch/" + field] = np.stack(values)
    for number, (start, probe) in enumerate(zip(trace.starts, trace.probes)):
        arrays.update({f"state/{number}/{name}": value for name, value in start.stored.items()})
        for kind, field in _TENSORS.items():
            for name, value in getattr(probe, field).items():
                joined = np.concatenate([np.array([value.norm], np.float32), value.elements])
                arrays[f"{kind}/{number}/{name}"] = joined
        arrays.update({f"term/{number}/{name}": np.array(v) for name, v in probe.terms.items()})
    for kind, steps in (("term", trace.unforced_run.terms), ("update", trace.unforced_run.update_norms)):
        for name in steps[0]:
            arrays[f"free/{kind}/{name}"] = np.array([values[name] for values in steps], np.float64)
    files.write_arrays(path, meta, arrays)


def load_trace(path: Path) -> Trace:
    """Raises BadInput, in a line, for a file that is missing, damaged, no trace, or one of another version."""
    meta, arrays = files.read_arrays(path, "trace", SCHEMA_VERSION, MAX_BYTES)
    try:
        trace = _trace(meta, arrays)
        _check(trace)
    except (*OF_CONTENT, BadInput) as error:
        raise BadInput(f"{path}: a damaged trace ({first_line(error)}); record it anew") from None
    return trace


def _trace(meta: Dict[str, Any], arrays: Dict[str, Any]) -> Trace:
    fed = [arrays.get("batch/" + field) for field in Batch._fields]
    steps = range(whole_number(meta["steps"], "steps", 1, len(arrays["batch/A"])))
    first_step = whole_number(meta["first_step"], "first_step", 1, MAX_STEP)

    def below(prefix: str) -> Dict[str, Any]:
        return {name[len(prefix) :]: value for name, value in arrays.items() if name.startswith(prefix)}

    def subsamples(kind: str, number: int) -> Subsamples:
        found = below(f"{kind}/{number}/")
        return {name: Subsample(value[1:], float(value[0])) for name, value in found.items()}

    def probe(number: int, step: int) -> Probe:
        tensors = {field: subsamples(kind, number) for kind, field in _TENSORS.items()}
        tensors["layers"] = {name: tensors["layers"][name] for name in meta["layers"]}
        terms = {name: float(value) for name, value in below(f"term/{number}/").items()}
        return Probe(step=step, terms=terms, **tensors)

    by_step = [
        [{name: float(values[index]) for name, values in below(kind).items()} for index in steps]
        for kind in ("free/term/", "free/update/")
    ]
    return Trace(
        from_dict(meta["options"]),
        meta["dataset_digest"],
        _origin(**meta["origin"]),
        first_step,
        [Batch(*[None if values is None else values[index] for values in fed]) for index in steps],
        [SampleInput(*pair) for pair in zip(meta["pairs"], arrays["pair/A"], arrays["pair/B"])],
        [Start(kind, below(f"state/{number}/")) for number, (_, kind) in enumerate(meta["probes"])],
        [probe(number, step) for number, (step, _) in enumerate(meta["probes"])],
        UnforcedRun(*by_step),
    )


def _origin(tensorflow: str, device: Dict[str, Any], step_mode: str) -> Origin:
    if not (isinstance(device["kind"], str) and isinstance(device["name"], str)):
        raise ValueError("what recorded it has no name")
    return Origin(str(tensorflow), device, str(step_mode))


def _check(trace: Trace) -> None:
    """Raise ValueError if something is missing or of another shape than the options say."""
    options = trace.options
    for pair in trace.pairs:
        # Files are called so while they are drawn.
        if not 0 < len(pair.name) <= MAX_FILE_NAME_BYTES or pair.name != Path(pair.name).name:
            raise ValueError(f"{pair.name[:MAX_FILE_NAME_BYTES]!r} is no name of an image")
    if not {start.kind for start in trace.starts} <= {INITIAL, LATE, STORED}:
        raise ValueError("a probe of another state")
    for domain in "AB":
        shape = (options.image_size, options.image_size, getattr(options, domain + "_channels"))
        for images in [getattr(pair, domain) for pair in trace.pairs]:
            _check_images(images, shape, domain)
        for images in [getattr(batch, domain) for batch in trace.batches] or [np.zeros(0)]:
            _check_images(images, (options.batch_size, *shape), domain)
    specs = {spec.name: tuple(spec.shape) for spec in all_variables(network_shape(options))}
    for start, probe in zip(trace.starts, trace.probes):
        wrong = [name for name, value in start.stored.items() if value.shape != specs.get(name, value.shape)]
        sizes = {name: min(ELEMENTS, int(np.prod(shape))) for name, shape in specs.items()}
        missing = [
            name
            for name, size in sizes.items()
            if any(name not in found or len(found[name].elements) != size for found in (probe.gradients, probe.updates))
        ]
        if start.kind == STORED:
            missing += [name for name in specs if name not in start.stored]
        if wrong or missing or not trace.first_step <= probe.step < trace.first_step + len(trace.batches):
            raise ValueError(f"step {probe.step} lacks {(wrong + missing or ['its batch'])[0]}")
    for terms, norms in zip(*trace.unforced_run):
        if not (set(terms) >= set(RECONSTRUCTION_METRICS) and set(norms) == set(NETWORKS)):
            raise ValueError("a step lacks its losses or updates")


def _check_images(images: Any, shape: Any, domain: str) -> None:
    if images.shape != shape or images.dtype != np.uint8:
        raise ValueError(f"no images of domain {domain}")


DEFAULT_STEPS = 12
# How many pairs of validation images are drawn from each probed state.
PAIRS = 2
# The last step is probed as well, which keeps the whole state before it: weights and the optimisers' slots, twice to
# three times as much. Not that of networks of more parameters: the reference's have 69 million.
SMALL_NETWORKS = 4_000_000


class Request(NamedTuple):
    """A trace to record. checkpoint: whether to start after the newest one in options.run_dir."""

    options: TrainOptions
    steps: int = DEFAULT_STEPS
    checkpoint: bool = False


def request(arguments: argparse.Namespace) -> Request:
    """Return what the command line asks for. Options of a run that is there already can only be changed for the leg."""
    options = train_options.from_arguments(arguments)
    if options.run_dir and RunFolder(Path(options.run_dir)).options.is_file():
        options = _as_run(arguments, options)
    steps = DEFAULT_STEPS if arguments.steps is None else arguments.steps
    if steps < 1:
        raise BadInput(f"--steps {steps}: must be at least 1")
    return Request(options, steps, arguments.checkpoint)


def _as_run(arguments: argparse.Namespace, given: TrainOptions) -> TrainOptions:
    run = recorded_options(RunFolder(Path(given.run_dir)))
    chosen = {name: value for name, value in given.as_dict().items() if getattr(arguments, name) is not None}
    own = {name: value for name, value in chosen.items() if name in train_options.LEG_OPTIONS}
    options = train_options.validated(dataclasses.replace(run, **own))
    wanted = dataclasses.replace(options, **chosen)
    train_options.require_same(
        options, wanted, f"{given.run_dir}: holds a run with other options", "leave them out, or name no --run_dir"
    )
    return wanted


def record(wanted: Request, output: Path) -> Trace:
    """Record a trace and write it to ``output``. Raises BadInput if dataset, device or checkpoint is missing."""
    options = wanted.options
    dataset, cache = open_dataset(options)
    device = open_recorded_device(options)
    data = training_data(options, dataset.digest, cache)
    pairs = sample_pairs(options, dataset.digest, cache, PAIRS)
    with open_prober(options, device) as (prober, session):
        start, first = _start(wanted, prober)
        batches = [data.batch(step) for step in range(first, first + wanted.steps)]
        starts = {first: start}

        def keep_state(step: int) -> None:
            is_last = step == first + wanted.steps - 1
            if is_last and prober.parameters <= SMALL_NETWORKS and step not in starts:
                starts[step] = Start(STORED, prober.read_state(session))

        prober.load_state(session, start.state(options))
        unforced = prober.run_unforced(session, first, batches, keep_state)
        probed = [*sorted(starts.items()), (_late_step(options, first, wanted.steps), Start(LATE, {}))]
        probes = [
            prober.probe(session, step, batches[step - first], start.state(options), pairs) for step, start in probed
        ]
    here = origin_of(device, prober.one_run)
    starts_of_probes = [start for _, start in probed]
    trace = Trace(options, dataset.digest, here, first, batches, pairs, starts_of_probes, probes, unforced)
    save_trace(trace, Path(output))
    return trace


def origin_of(device: Device, one_run: bool) -> Origin:
    return Origin(tf.version.VERSION, device.describe(), "one-run" if one_run else "two-run")


def _late_step(options: TrainOptions, first: int, steps: int) -> int:
    """The first step of a trace that updates the generators, for its drawn state to show their update too."""
    updating = [n for n in range(first, first + steps) if updates_generators(options.GAN_type, options.n_critic, n)]
    return updating[0] if updating else first


def _start(wanted: Request, prober: Prober) -> Tuple[Start, int]:
    """Return what the first step starts from, and its number."""
    options = wanted.options
    if wanted.checkpoint:
        done, state = newest_values(RunFolder(Path(options.run_dir)).checkpoints, prober.names.__contains__)
        return Start(STORED, state), done + 1
    initial = Start(INITIAL, {})
    # Where the trace is replayed, the checkpoint to start from may not be.
    return (Start(STORED, initial.state(options)) if options.init_from else initial), 1
