"""The trace file: some training steps of a reference leg, with all that another device needs to do them again.

A NumPy .npz file without pickles:

    meta                         JSON: schema_version, options, first_step, what recorded it, names in order
    batch/{A,B,epsilon_A,epsilon_B,dropout}          what was fed, [steps, ...]
    state/{step}/{variable}      variables and optimiser slots before a probed step; before the first step those that
                                 are not as they are initialised
    layer/{step}/{name}          of each probed step, sketches (dualgan.trace_sketch): layers' outputs
    gradient/{step}/{variable}, update/{step}/{variable}     ... gradients, and what the step added to each variable
    term/{step}/{loss}           ... and its losses
    free/update/{variable}       [steps, n]: all steps one after the other, sketches of what each added
    free/term/{loss}             [steps]
    final/{variable}             sketches of the weights after the last step

The weights are whole: 276 MB with the reference's widths. Everything else is sketched, some 10 MB.
"""

import json
import os
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any, Dict, List, NamedTuple

import numpy as np

from dualgan.errors import BadInput
from dualgan.feed import Batch
from dualgan.networks import all_variables
from dualgan.options import TrainOptions, from_dict
from dualgan.trace_recording import FreeRun, Probe, Sketches, State
from dualgan.training import network_shape

SCHEMA_VERSION = 1


class Origin(NamedTuple):
    """What a recording was made on: TensorFlow's version, Device.describe(), and the step mode."""

    tensorflow: str
    device: Dict[str, Any]
    step_mode: str


class Trace(NamedTuple):
    """A trace file in memory. states: by probed step."""

    options: TrainOptions
    dataset_digest: str
    origin: Origin
    first_step: int
    batches: List[Batch]
    states: Dict[int, State]
    probes: List[Probe]
    free_run: FreeRun
    final: Sketches


def save(trace: Trace, path: Path) -> None:
    """Write ``trace``, whole or not at all."""
    meta = {
        "schema_version": SCHEMA_VERSION,
        "options": trace.options.as_dict(),
        "dataset_digest": trace.dataset_digest,
        "origin": dict(trace.origin._asdict()),
        "first_step": trace.first_step,
        "steps": len(trace.batches),
        "probed": [probe.step for probe in trace.probes],
        "layers": list(trace.probes[0].layers),
    }
    arrays = {"meta": np.array(json.dumps(meta))}
    for field in Batch._fields:
        values = [getattr(batch, field) for batch in trace.batches]
        if values[0] is not None:
            arrays["batch/" + field] = np.stack(values)
    for step, state in trace.states.items():
        arrays.update({"state/{}/{}".format(step, name): value for name, value in state.items()})
    for probe in trace.probes:
        for kind, found in (("layer", probe.layers), ("gradient", probe.gradients), ("update", probe.updates)):
            arrays.update({"{}/{}/{}".format(kind, probe.step, name): value for name, value in found.items()})
        arrays.update({"term/{}/{}".format(probe.step, name): np.array(v) for name, v in probe.terms.items()})
    for name in trace.free_run.updates[0]:
        arrays["free/update/" + name] = np.stack([updates[name] for updates in trace.free_run.updates])
    for name in trace.free_run.terms[0]:
        arrays["free/term/" + name] = np.array([terms[name] for terms in trace.free_run.terms], np.float64)
    arrays.update({"final/" + name: value for name, value in trace.final.items()})
    _write(path, arrays)


def _write(path: Path, arrays: Dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=str(path.parent), prefix=path.name + ".")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, str(path))
    except BaseException:
        os.unlink(temporary)
        raise


def load(path: Path) -> Trace:
    """Raises BadInput, in a line, for a file that is missing, damaged, no trace, or one of another version."""
    try:
        with np.load(str(path), allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
        meta = json.loads(str(arrays.pop("meta")))
        version = meta["schema_version"]
    except FileNotFoundError:
        raise BadInput("{}: no such file; `python -m dualgan trace` makes one".format(path)) from None
    except _UNREADABLE as error:
        raise BadInput("{}: no trace, or a damaged one ({}); record it anew".format(path, _first_line(error))) from None
    if version != SCHEMA_VERSION:
        message = "{}: a trace of schema version {}, this software reads {}; record it anew"
        raise BadInput(message.format(path, version, SCHEMA_VERSION))
    try:
        trace = _trace(meta, arrays)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise BadInput("{}: a damaged trace ({}); record it anew".format(path, _first_line(error))) from None
    _check(trace, path)
    return trace


_UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error)


def _trace(meta: Dict[str, Any], arrays: Dict[str, Any]) -> Trace:
    fed = [arrays.get("batch/" + field) for field in Batch._fields]
    batches = [Batch(*[None if values is None else values[index] for values in fed]) for index in range(meta["steps"])]

    def below(prefix: str) -> Dict[str, Any]:
        return {name[len(prefix) :]: value for name, value in arrays.items() if name.startswith(prefix)}

    probes = []
    for step in meta["probed"]:
        layers = below("layer/{}/".format(step))
        terms = {name: float(value) for name, value in below("term/{}/".format(step)).items()}
        probes.append(
            Probe(
                step,
                {name: layers[name] for name in meta["layers"]},
                below("gradient/{}/".format(step)),
                terms,
                below("update/{}/".format(step)),
            )
        )
    updates, terms_by_step = below("free/update/"), below("free/term/")
    free_run = FreeRun(
        [{name: float(values[index]) for name, values in terms_by_step.items()} for index in range(meta["steps"])],
        [{name: values[index] for name, values in updates.items()} for index in range(meta["steps"])],
    )
    return Trace(
        from_dict(meta["options"]),
        meta["dataset_digest"],
        Origin(**meta["origin"]),
        meta["first_step"],
        batches,
        {step: below("state/{}/".format(step)) for step in meta["probed"]},
        probes,
        free_run,
        below("final/"),
    )


def _check(trace: Trace, path: Path) -> None:
    options = trace.options
    specs = {spec.name: tuple(spec.shape) for spec in all_variables(network_shape(options))}
    for probe in trace.probes:
        state = trace.states[probe.step]
        wrong = [name for name, shape in specs.items() if name not in state or state[name].shape != shape]
        missing = [name for name in specs if name not in probe.gradients or name not in probe.updates]
        if wrong or missing:
            message = "{}: a damaged trace (step {} lacks {}); record it anew"
            raise BadInput(message.format(path, probe.step, (wrong + missing)[0]))
    side, batch = options.image_size, options.batch_size
    for domain, channels in (("A", options.A_channels), ("B", options.B_channels)):
        fed = getattr(trace.batches[0], domain) if trace.batches else None
        if fed is None or fed.shape != (batch, side, side, channels) or fed.dtype != np.uint8:
            raise BadInput("{}: a damaged trace (no images of domain {}); record it anew".format(path, domain))


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
