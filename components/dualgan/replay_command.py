"""Replaying a trace on this machine's TensorFlow and device, as the leg that is asked about trains."""

import dataclasses
from pathlib import Path
from typing import Any, Callable, Dict, NamedTuple, Optional, Sequence

from dualgan import replay, trace
from dualgan.devices import open_recorded_device
from dualgan.errors import BadInput
from dualgan.graph import StepGraph
from dualgan.options import DEVICE_OPTIONS, LEG_OPTIONS, TrainOptions, contradictions, validated
from dualgan.replay_bounds import STEADY_TERMS, UPDATED, UPDATED_ROOM, default_bounds, departures
from dualgan.run_folder import RunFolder, write_json
from dualgan.sample_command import recorded_options
from dualgan.tensorflow_v1 import tf
from dualgan.trace import Trace
from dualgan.trace_command import origin
from dualgan.trace_recording import Recorder
from dualgan.training import step_options

ADVICE = """
Where to look: forward wrong means that layer, its kernel or its precision; forward right and a gradient wrong, that
gradient; gradients right and an update wrong, the optimiser; only later steps wrong, which step updates what."""

SHOWN_DEPARTURES = 10


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
        recorder = Recorder(graph)
        tensorflow_graph.finalize()
        _check_fits(recorded, recorder, file)
        with tf.Session(config=device.session_config()) as session:
            recorder.load_state(session, recorded.states[recorded.first_step])
            free_run = recorder.run_freely(session, recorded.first_step, recorded.batches)
            probes = [
                recorder.probe(session, step, recorded.batches[step - recorded.first_step], recorded.states[step])
                for step in sorted(recorded.states)
            ]
        content = replay.report(recorded, probes, free_run, origin(device, graph.options.one_run))
    content["departures"] = [dict(found._asdict()) for found in departures(content, default_bounds(content))]
    return content


def replay_and_tell(file: Path, leg: Leg, output: Path, say: Callable[[str], None]) -> int:
    """Write replay.json and say what is out of bounds; 0 where nothing is, else 1."""
    content = replay_trace(file, leg)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_json(output, content)
    for side in ("reference", "candidate"):
        where = content[side]
        name = "{kind} ({name})".format(**where["device"])
        say("{:<10} TensorFlow {} on {}, {}".format(side, where["tensorflow"], name, where["step_mode"]))
    bounds = default_bounds(content)
    say("\n{:<12}{:>10}{:>10}".format("worst", "error", "bound"))
    for probe in content["probes"]:
        say(
            "\nstep {} from equal weights: worst errors\n{:<12}{:>10}{:>10}".format(probe["step"], "", "error", "bound")
        )
        layers, gradients, updates = (
            {item["name"]: item["relative_l2"] for item in probe[kind]} for kind in ("layers", "gradients", "updates")
        )
        updated = {name: error for name, error in layers.items() if name.startswith(UPDATED)}
        say(_worst("layers", {name: error for name, error in layers.items() if name not in updated}, bounds.layer))
        say(_worst("updated", updated, UPDATED_ROOM * bounds.layer))
        say(_worst("gradients", gradients, bounds.gradient))
        say(_worst("updates", updates, bounds.update))
        say(_worst("update size", probe["update_sizes"], bounds.update_size))
        say(_worst("losses", probe["terms"], bounds.term))
    free = content["free_run"]
    say("\n{} steps one after the other".format(content["steps"]))
    say(_worst("losses", {name: max(free["terms"][name]) for name in STEADY_TERMS}, bounds.free_term))
    say(_worst("update size", {name: max(sizes) for name, sizes in free["update_sizes"].items()}, bounds.free_update))
    found = content["departures"]
    if not found:
        say("\nall bounds hold")
        return 0
    say("")
    for departure in found[:SHOWN_DEPARTURES]:
        say("EXCEEDED {what}: {name} at step {step}, {error:.3g} (bound {bound:.3g})".format(**departure))
    say(ADVICE)
    say("\n{} bounds exceeded".format(len(found)))
    return 1


def _worst(what: str, errors: Dict[str, float], bound: float) -> str:
    name = max(errors, key=errors.__getitem__)
    return "{:<12}{:>10.3g}{:>10.3g}  {}".format(what, errors[name], bound, name)


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


def _check_fits(recorded: Trace, recorder: Recorder, file: Path) -> None:
    unknown = {name for state in recorded.states.values() for name in state} | set(recorded.probes[0].layers)
    unknown.difference_update(recorder.names)
    if unknown:
        raise BadInput("{}: a trace of another version: there is no {} here".format(file, sorted(unknown)[0]))
