"""The trace file: some training steps of a reference leg, with all that another device needs to do them again.

Arrays by name (dualgan.array_file), schema version 2:

    meta                         JSON: options, first_step, what recorded it, the probes, names in order
    batch/{A,B,epsilon_A,epsilon_B,dropout}          what was fed, [steps, ...]
    pair/{A,B}                   uint8 [n, S, S, C], validation images that are drawn
    state/{probe}/{variable}     variables and optimiser slots before a probed step, where no rule gives them
    picture/{probe}/{name}       of each probe, subsamples (dualgan.subsample, the norm first): what is drawn
    layer/{probe}/{name}         ... layers' outputs
    gradient/{probe}/{variable}, update/{probe}/{variable}     ... gradients, and what the step added to each variable
    term/{probe}/{loss}          ... and its losses
    free/term/{loss}, free/update/{network}     [steps]: all steps one after the other, losses and norms of updates

The state of a probe is "initial", a function of the options; "late", drawn (dualgan.drawn), as late in a training; or
"stored". What is not stored takes no room: with the reference's networks a file has some 10 MB, each stored state
276 MB and more.
"""

from pathlib import Path
from typing import Any, Dict, List, NamedTuple

import numpy as np

from dualgan import array_file
from dualgan.drawn import late_state
from dualgan.errors import BadInput
from dualgan.feed import Batch
from dualgan.networks import all_variables
from dualgan.options import TrainOptions, from_dict
from dualgan.probing import FreeRun, Probe, State, Subsamples
from dualgan.run_folder import NETWORKS, RECONSTRUCTION_METRICS
from dualgan.sampling import SampleInput
from dualgan.subsample import ELEMENTS, Subsample
from dualgan.training import initial_values, network_shape

SCHEMA_VERSION = 2
MAX_BYTES = 8 << 30
INITIAL, LATE, STORED = "initial", "late", "stored"
_TENSORS = {"picture": "pictures", "layer": "layers", "gradient": "gradients", "update": "updates"}


class Origin(NamedTuple):
    """What a recording was made on: TensorFlow's version, Device.describe(), and the step mode."""

    tensorflow: str
    device: Dict[str, Any]
    step_mode: str


class Start(NamedTuple):
    """What a probed step starts from. kind: INITIAL, LATE or STORED; stored: the values if it is STORED."""

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
    free_run: FreeRun


def save(trace: Trace, path: Path) -> None:
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
    for kind, steps in (("term", trace.free_run.terms), ("update", trace.free_run.update_norms)):
        for name in steps[0]:
            arrays[f"free/{kind}/{name}"] = np.array([values[name] for values in steps], np.float64)
    array_file.write(path, meta, arrays)


def load(path: Path) -> Trace:
    """Raises BadInput, in a line, for a file that is missing, damaged, no trace, or one of another version."""
    meta, arrays = array_file.read(path, "trace", SCHEMA_VERSION, MAX_BYTES)
    try:
        trace = _trace(meta, arrays)
        _check(trace)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, BadInput) as error:
        message = "{}: a damaged trace ({}); record it anew"
        raise BadInput(message.format(path, array_file.first_line(error))) from None
    return trace


def _trace(meta: Dict[str, Any], arrays: Dict[str, Any]) -> Trace:
    fed = [arrays.get("batch/" + field) for field in Batch._fields]
    steps = range(meta["steps"])

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
        Origin(**meta["origin"]),
        meta["first_step"],
        [Batch(*[None if values is None else values[index] for values in fed]) for index in steps],
        [SampleInput(*pair) for pair in zip(meta["pairs"], arrays["pair/A"], arrays["pair/B"])],
        [Start(kind, below(f"state/{number}/")) for number, (_, kind) in enumerate(meta["probes"])],
        [probe(number, step) for number, (step, _) in enumerate(meta["probes"])],
        FreeRun(*by_step),
    )


def _check(trace: Trace) -> None:
    """Raise ValueError if something is missing or of another shape than the options say."""
    options = trace.options
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
            raise ValueError("step {} lacks {}".format(probe.step, (wrong + missing or ["its batch"])[0]))
    for terms, norms in zip(*trace.free_run):
        if not (set(terms) >= set(RECONSTRUCTION_METRICS) and set(norms) == set(NETWORKS)):
            raise ValueError("a step lacks its losses or updates")


def _check_images(images: Any, shape: Any, domain: str) -> None:
    if images.shape != shape or images.dtype != np.uint8:
        raise ValueError(f"no images of domain {domain}")
