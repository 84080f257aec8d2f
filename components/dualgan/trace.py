"""The trace file: some training steps of a reference leg, with all that another device needs to do them again.

Arrays by name and a JSON object, in one file of NumPy's (.npz, no pickles), schema version 2:

    meta                         JSON: options, first_step, what recorded it, the probes, names in order
    batch/{A,B,epsilon_A,epsilon_B,dropout}          what was fed, [steps, ...]
    pair/{A,B}                   uint8 [n, S, S, C], validation images that are drawn
    state/{probe}/{variable}     variables and optimiser slots before a probed step, if no rule gives them
    picture/{probe}/{name}       of each probe, subsamples (dualgan.taps, the norm first): what is drawn
    layer/{probe}/{name}         ... layers' outputs
    gradient/{probe}/{variable}, update/{probe}/{variable}     ... gradients, and what the step added to each variable
    term/{probe}/{loss}          ... and its losses
    free/term/{loss}, free/update/{network}     [steps]: all steps one after the other, losses and norms of updates

The state of a probe is "initial", a function of the options; "late", drawn (dualgan.taps), as late in a training; or
"stored". What is not stored takes no room: with the reference's networks a file has some 10 MB, each stored state
276 MB and more.
"""

import argparse
import dataclasses
import json
import os
import zipfile
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, Mapping, NamedTuple, Tuple

import numpy as np
from numpy.lib import format as npy

from dualgan import options as train_options
from dualgan.checkpoints import initial_values, newest_values
from dualgan.dataset_folder import DOMAINS
from dualgan.devices import Device, open_recorded_device
from dualgan.errors import OF_CONTENT, BadInput, first_line
from dualgan.feed import Batch, open_dataset, training_data
from dualgan.json_files import open_regular, parse_object, whole_number
from dualgan.names import MAX_FILE_NAME_BYTES
from dualgan.networks import all_variables, dropout_size
from dualgan.options import TrainOptions, from_dict, recorded_options
from dualgan.run_folder import MAX_STEP, NETWORKS, RunFolder, whole_file
from dualgan.sampling import SampleInput, sample_inputs
from dualgan.step import updates_generators
from dualgan.taps import ELEMENTS, Probe, Prober, State, Subsample, Subsamples, UnforcedRun, late_state, open_prober
from dualgan.tensorflow_v1 import tf

SCHEMA_VERSION = 2
MAX_BYTES = 8 << 30
INITIAL, LATE, STORED = "initial", "late", "stored"
# The fields of a probe, and what its arrays are called.
TENSORS = {"pictures": "picture", "layers": "layer", "gradients": "gradient", "updates": "update"}
# Every loss of a step but the gradient penalty, which wgan-gp alone has.
TERMS = (
    *("Ad_fake", "Ad_real", "Bd_fake", "Bd_real", "Ad_loss", "Bd_loss", "d_loss"),
    *("A_loss", "B_loss", "Ag_loss", "Bg_loss", "g_loss"),
)
Arrays = Dict[str, Any]
# Arrays may be compressed, but no file of ours is by more.
MAX_RATIO, MIN_LIMIT = 16, 64 << 20
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_arrays(path: Path, kind: str, version: int, max_bytes: int) -> Tuple[Dict[str, Any], Arrays]:
    """Return the meta and the arrays of ``path``; ``kind`` is what messages call it, such as "trace".

    Raises BadInput if the file is missing, damaged, something else, of another schema_version, or if all arrays
    together hold more than ``max_bytes``.
    """
    try:
        with open_regular(path) as file:
            with zipfile.ZipFile(file) as archive:
                _check_sizes(archive, min(max_bytes, max(MIN_LIMIT, MAX_RATIO * os.fstat(file.fileno()).st_size)))
            file.seek(0)
            with np.load(file, allow_pickle=False) as content:
                meta = parse_object(str(content["meta"]), "meta")
                found = meta.get("schema_version", 1)
                arrays = {name: content[name] for name in content.files if name != "meta"} if found == version else {}
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file") from None
    except Exception as error:  # NumPy's and zipfile's readers raise errors of any kind
        raise BadInput(f"{path}: not a {kind}, or a damaged one ({first_line(error)})") from None
    if found != version:
        raise BadInput(f"{path}: a {kind} of schema version {found}, this software reads {version}")
    return meta, arrays


def _check_sizes(archive: zipfile.ZipFile, max_bytes: int) -> None:
    """Raise ValueError, before anything is allocated, if an array claims another size than the file has for it."""
    total = 0
    for member in archive.infolist():
        with archive.open(member) as file:
            shape, _, dtype = _HEADERS[npy.read_magic(file)](file)
            size = dtype.itemsize
            for side in shape:
                size *= side
            if dtype.hasobject or size != member.file_size - file.tell():
                raise ValueError(f"{member.filename}: {dtype} of shape {shape} does not fit")
        total += member.file_size
        if total > max_bytes:
            raise ValueError(f"it holds more than {max_bytes} bytes")


def check_shapes(arrays: Mapping[str, Any], wanted: Iterable[Tuple[str, Tuple[int, ...]]]) -> None:
    """Raise ValueError if an array is missing, of another shape, or no uint8 (what is fed) or floats (all else)."""
    for name, shape in wanted:
        if name not in arrays:
            raise ValueError(f"it lacks {name}")
        found = arrays[name]
        if found.shape != shape:
            raise ValueError(f"{name} has shape {found.shape}, not {shape}")
        is_fed = name.startswith(("batch/", "pair/")) and "epsilon" not in name
        if found.dtype != np.uint8 if is_fed else found.dtype.kind != "f":
            raise ValueError(f"{name} has the type {found.dtype}")


def origin_of(device: Device, prober: Prober) -> Dict[str, Any]:
    """Say where a trace is recorded or replayed."""
    step_mode = "one-run" if prober.one_run else "two-run"
    return {"tensorflow": tf.version.VERSION, "device": device.describe(), "step_mode": step_mode}


class Trace:
    """A trace file in memory."""

    def __init__(self, meta: Dict[str, Any], arrays: Arrays) -> None:
        """Raises an error of OF_CONTENT or BadInput if something is missing, or other than the options say."""
        self.arrays = arrays
        self.options = from_dict(meta["options"])
        self.dataset_digest = str(meta["dataset_digest"])
        self.origin = {name: meta["origin"][name] for name in ("tensorflow", "device", "step_mode")}
        if not all(isinstance(self.origin["device"][name], str) for name in ("kind", "name")):
            raise ValueError("what recorded it has no name")
        self.first_step = whole_number(meta["first_step"], "first_step", 1, MAX_STEP)
        self.steps = whole_number(meta["steps"], "steps", 1, len(arrays["batch/A"]))
        self.probed = [
            (whole_number(step, "probes", self.first_step, self.first_step + self.steps - 1), str(kind))
            for step, kind in meta["probes"]
        ]
        self.layers = [str(name) for name in meta["layers"]]
        for name in meta["pairs"]:
            # Files are called so while they are drawn.
            if not 0 < len(name) <= MAX_FILE_NAME_BYTES or name != Path(name).name:
                raise ValueError(f"{name[:MAX_FILE_NAME_BYTES]!r} is no name of an image")
        check_shapes(arrays, self._shapes(len(meta["pairs"])))
        self.pairs = [SampleInput(*pair) for pair in zip(meta["pairs"], arrays["pair/A"], arrays["pair/B"])]
        fed = [arrays.get("batch/" + field) for field in Batch._fields]
        steps = range(self.steps)
        self.batches = [Batch(*[None if values is None else values[index] for values in fed]) for index in steps]
        self.probes = [self._probe(number, step) for number, (step, _) in enumerate(self.probed)]
        free = [self._below("free/term/"), self._below("free/update/")]
        by_step = [[{name: float(values[i]) for name, values in found.items()} for i in steps] for found in free]
        self.unforced_run = UnforcedRun(*by_step)

    def _shapes(self, pairs: int) -> Iterator[Tuple[str, Tuple[int, ...]]]:
        """Yield the name and the shape of each array that must be there."""
        options, fed = self.options, (self.steps, self.options.batch_size)
        for domain in "AB":
            image = (options.image_size, options.image_size, getattr(options, domain + "_channels"))
            yield f"pair/{domain}", (pairs, *image)
            yield f"batch/{domain}", (*fed, *image)
            yield f"batch/epsilon_{domain}", (*fed, 1, 1, 1)
        if options.dropout_rate:
            features = dropout_size(options.image_size, options.gcn)
            yield "batch/dropout", (self.steps, 4, options.batch_size, features)
        for number, (_, kind) in enumerate(self.probed):
            if kind not in (INITIAL, LATE, STORED):
                raise ValueError("a probe of another state")
            yield from ((f"term/{number}/{name}", ()) for name in TERMS)
            for spec in all_variables(options):
                size = 1 + min(ELEMENTS, int(np.prod(spec.shape)))
                yield from ((f"{name}/{number}/{spec.name}", (size,)) for name in ("gradient", "update"))
                if kind == STORED:
                    yield f"state/{number}/{spec.name}", spec.shape
        yield from ((f"free/term/{name}", (self.steps,)) for name in TERMS)
        yield from ((f"free/update/{name}", (self.steps,)) for name in NETWORKS)

    def _below(self, prefix: str) -> Arrays:
        return {name[len(prefix) :]: value for name, value in self.arrays.items() if name.startswith(prefix)}

    def _probe(self, number: int, step: int) -> Probe:
        tensors: Dict[str, Subsamples] = {}
        for field, kind in TENSORS.items():
            found = self._below(f"{kind}/{number}/")
            tensors[field] = {name: Subsample(value[1:], float(value[0])) for name, value in found.items()}
        tensors["layers"] = {name: tensors["layers"][name] for name in self.layers}
        terms = {name: float(value) for name, value in self._below(f"term/{number}/").items()}
        return Probe(step=step, terms=terms, **tensors)

    def stored(self, number: int) -> State:
        """What is stored of the state that probe ``number`` starts from."""
        return self._below(f"state/{number}/")

    def state(self, number: int) -> State:
        """The state that probe ``number`` starts from."""
        return state_of(self.probed[number][1], self.options, self.stored(number))


def state_of(kind: str, options: TrainOptions, stored: State) -> State:
    """The state of a kind: INITIAL, LATE, or STORED, which is ``stored``."""
    if kind == INITIAL:
        return initial_values(options)
    return late_state(all_variables(options), options.seed) if kind == LATE else stored


def load_trace(path: Path) -> Trace:
    """Raises BadInput, in a line, for a file that is missing, damaged, no trace, or one of another version."""
    meta, arrays = read_arrays(path, "trace", SCHEMA_VERSION, MAX_BYTES)
    try:
        return Trace(meta, arrays)
    except (*OF_CONTENT, BadInput) as error:
        raise BadInput(f"{path}: a damaged trace ({first_line(error)}); record it anew") from None


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
        run = recorded_options(RunFolder(Path(options.run_dir)))
        chosen = {name: value for name, value in options.as_dict().items() if getattr(arguments, name) is not None}
        own = {name: value for name, value in chosen.items() if name in train_options.LEG_OPTIONS}
        as_run = train_options.validated(dataclasses.replace(run, **own))
        heading = f"{options.run_dir}: holds a run with other options"
        options = dataclasses.replace(as_run, **chosen)
        train_options.require_same(as_run, options, heading, "leave them out, or name no --run_dir")
    steps = DEFAULT_STEPS if arguments.steps is None else arguments.steps
    if steps < 1:
        raise BadInput(f"--steps {steps}: must be at least 1")
    return Request(options, steps, arguments.checkpoint)


def record(wanted: Request, output: Path) -> range:
    """Record a trace, write it to ``output``, whole or not at all, and return its steps.

    Raises BadInput if dataset, device or checkpoint is missing.
    """
    options = wanted.options
    dataset, cache = open_dataset(options)
    device = open_recorded_device(options)
    data = training_data(options, dataset.digest, cache)
    inputs = sample_inputs(options, dataset.digest, cache, PAIRS)
    pairs = [item for item in inputs if len(item.domains) == len(DOMAINS)]
    with open_prober(options, device) as (prober, session):
        kind, stored, first = _start(wanted, prober)
        steps = range(first, first + wanted.steps)
        batches = [data.batch(step) for step in steps]
        starts = {first: (kind, stored)}

        def keep_state(step: int) -> None:
            if step == steps[-1] and prober.parameters <= SMALL_NETWORKS and step not in starts:
                starts[step] = (STORED, prober.read_state(session))

        prober.load_state(session, state_of(kind, options, stored))
        unforced = prober.run_unforced(session, first, batches, keep_state)
        # A step that updates the generators, for the drawn state to show their update too.
        updating = [n for n in steps if updates_generators(options.GAN_type, options.n_critic, n)]
        probed = [*sorted(starts.items()), ((updating or steps)[0], (LATE, {}))]
        probes = [
            prober.probe(session, step, batches[step - first], state_of(start[0], options, start[1]), pairs)
            for step, start in probed
        ]
    arrays: Arrays = {"pair/" + domain: np.stack([getattr(p, domain) for p in pairs]) for domain in "AB"}
    for field in Batch._fields:
        values = [getattr(batch, field) for batch in batches]
        if values[0] is not None:
            arrays["batch/" + field] = np.stack(values)
    for number, (probe, (_, (_, state))) in enumerate(zip(probes, probed)):
        arrays.update({f"state/{number}/{name}": value for name, value in state.items()})
        for field, name in TENSORS.items():
            for tensor, noted in getattr(probe, field).items():
                joined = np.concatenate([np.array([noted.norm], np.float32), noted.elements])
                arrays[f"{name}/{number}/{tensor}"] = joined
        arrays.update({f"term/{number}/{name}": np.array(value) for name, value in probe.terms.items()})
    for name, by_step in (("term", unforced.terms), ("update", unforced.update_norms)):
        for key in by_step[0]:
            arrays[f"free/{name}/{key}"] = np.array([values[key] for values in by_step], np.float64)
    meta = {
        "schema_version": SCHEMA_VERSION,
        "options": options.as_dict(),
        "dataset_digest": dataset.digest,
        "origin": origin_of(device, prober),
        "first_step": first,
        "steps": wanted.steps,
        "pairs": [pair.name for pair in pairs],
        "probes": [[step, kind] for step, (kind, _) in probed],
        "layers": list(probes[0].layers),
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(output) as file:
        np.savez(file, meta=np.array(json.dumps(meta)), **arrays)
    return steps


def _start(wanted: Request, prober: Prober) -> Tuple[str, State, int]:
    """Return the kind of state that the first step starts from, what is stored of it, and the step's number."""
    options = wanted.options
    if wanted.checkpoint:
        done, state = newest_values(RunFolder(Path(options.run_dir)).checkpoints, prober.names)
        return STORED, state, done + 1
    # Where the trace is replayed, the checkpoint to start from may not be.
    return (STORED, initial_values(options), 1) if options.init_from else (INITIAL, {}, 1)
