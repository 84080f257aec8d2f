"""Replaying a trace on this machine's TensorFlow and device, as the leg that is asked about trains."""

import dataclasses
from pathlib import Path
from typing import Any, Callable, Dict, NamedTuple, Optional, Sequence

from dualgan import trace
from dualgan.devices import open_recorded_device
from dualgan.errors import BadInput
from dualgan.graph import StepGraph
from dualgan.inference import drawing
from dualgan.options import DEVICE_OPTIONS, LEG_OPTIONS, TrainOptions, contradictions, validated
from dualgan.probing import Prober
from dualgan.replay import free_run_errors, probe_errors
from dualgan.replay_bounds import default_bounds, departures
from dualgan.replay_report import print_checks
from dualgan.run_folder import RunFolder, write_json
from dualgan.sample_command import recorded_options
from dualgan.tensorflow_v1 import tf
from dualgan.trace import LATE, Trace
from dualgan.trace_command import origin
from dualgan.training import network_shape, step_options

ADVICE = """\
Where to look: forward wrong means that layer, its kernel or its precision; forward right and a picture wrong, what
draws; forward right and a gradient wrong, that gradient; gradients right and an update wrong, the optimiser; only later
steps wrong, which step updates what.
"""

SCHEMA_VERSION = 2


class Leg(NamedTuple):
    """How to replay. given: options of LEG_OPTIONS, on top of those of the run folder, or else of the trace."""

    run_dir: Optional[Path]
    given: Dict[str, Any]


def replay_trace(file: Path, leg: Leg) -> Dict[str, Any]:
    """Do the recorded steps again; the content of replay.json.

    Raises BadInput for a damaged trace, one of other options than the leg's run, or a device that is not there.
    """
    recorded = trace.load(file)
    options = _leg_options(recorded, leg, file)
    device = open_recorded_device(options)
    with tf.Graph().as_default() as tensorflow_graph:
        graph = StepGraph(step_options(options, device), device)
        prober = Prober(graph, drawing(graph, device))
        tensorflow_graph.finalize()
        _check_fits(recorded, prober, file)
        with tf.Session(config=device.session_config()) as session:
            prober.load_state(session, recorded.starts[0].state(recorded.options))
            free_run = prober.run_freely(session, recorded.first_step, recorded.batches)
            probes = [_errors(recorded, number, prober, session) for number in range(len(recorded.probes))]
    content = {
        "schema_version": SCHEMA_VERSION,
        "reference": dict(recorded.origin._asdict()),
        "candidate": dict(origin(device, graph.options.one_run)._asdict()),
        "options": recorded.options.as_dict(),
        "dataset_digest": recorded.dataset_digest,
        "first_step": recorded.first_step,
        "steps": len(recorded.batches),
        "probes": probes,
        "free_run": free_run_errors(free_run, recorded.free_run),
    }
    content["departures"] = [dict(found._asdict()) for found in departures(content, default_bounds(content))]
    return content


def _errors(recorded: Trace, number: int, prober: Prober, session: Any) -> Dict[str, Any]:
    """The errors of one probe."""
    expected, start = recorded.probes[number], recorded.starts[number]
    batch = recorded.batches[expected.step - recorded.first_step]
    probe = prober.probe(session, expected.step, batch, start.state(recorded.options), recorded.pairs)
    return probe_errors(probe, expected, network_shape(recorded.options), drawn=start.kind == LATE)


def replay_and_tell(file: Path, leg: Leg, output: Path, say: Callable[[str], None]) -> int:
    """Write replay.json and say what is out of bounds; 0 if nothing is, else 1."""
    content = replay_trace(file, leg)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_json(output, content)
    for side in ("reference", "candidate"):
        where = content[side]
        name = "{kind} ({name})".format(**where["device"])
        say("{:<10} TensorFlow {} on {}, {}".format(side, where["tensorflow"], name, where["step_mode"]))
    say("")
    if content["departures"]:
        say(ADVICE)
    return 1 if print_checks(content, say) else 0


def _leg_options(recorded: Trace, leg: Leg, file: Path) -> TrainOptions:
    options = recorded.options
    if leg.run_dir is not None:
        run = recorded_options(RunFolder(Path(leg.run_dir)))
        # The seed's part, weights and batches, is in the trace.
        options = _with(options, run, (*LEG_OPTIONS, "seed"))
        different = contradictions(options, run)
        if different:
            raise BadInput("{}: a trace of other options than {} ({}); record one with the same".format(
                file, leg.run_dir, "; ".join(different)))  # fmt: skip
    if leg.given.get("device", options.device) != options.device:
        # What was set for one device means nothing on another.
        options = _with(options, TrainOptions(), DEVICE_OPTIONS)
    return validated(dataclasses.replace(options, **leg.given))


def _with(options: TrainOptions, other: TrainOptions, names: Sequence[str]) -> TrainOptions:
    return dataclasses.replace(options, **{name: getattr(other, name) for name in names})


def _check_fits(recorded: Trace, prober: Prober, file: Path) -> None:
    given = {name for start in recorded.starts for name in start.stored}
    for probe in recorded.probes:
        given |= set(probe.layers)
    unknown = sorted(given.difference(prober.names))
    if unknown:
        raise BadInput(f"{file}: a trace of another version: there is no {unknown[0]} here")
