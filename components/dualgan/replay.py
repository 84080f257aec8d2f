"""Do the steps of a trace again, and say how far off pictures, layers, gradients, updates and losses come out."""

import dataclasses
import math
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence

import numpy as np

from dualgan.devices import open_recorded_device
from dualgan.errors import BadInput
from dualgan.losses import GRADIENT_PENALTY_WEIGHT
from dualgan.networks import Shape, all_variables, depth, network_shape
from dualgan.options import DEVICE_OPTIONS, LEG_OPTIONS, TrainOptions, recorded_options, require_same, validated
from dualgan.replay_bounds import FILES, checks, default_bounds, worst_checks
from dualgan.run_folder import NETWORKS, RunFolder, write_json
from dualgan.step import Losses
from dualgan.subsample import TINY, error_of
from dualgan.taps import Probe, Prober, Subsamples, UnforcedRun, is_normalised_away, open_prober
from dualgan.trace import LATE, Origin, Trace, load_trace, origin_of

# A gradient that is next to zero has no relative error worth the name: it is taken of this share of its network's root
# mean square. Pictures of networks that are not trained are next to zero, too.
NOISE_SHARE = 1e-3
MIN_PICTURE = 1e-2
# JSON has no infinity.
MAX_ERROR = 1e30


def probe_errors(actual: Probe, expected: Probe, shape: Shape, drawn: bool) -> Dict[str, Any]:
    """The errors of one step from equal weights. drawn: whether its state is a drawn one, as late in a training."""
    sizes = {
        spec.name: int(np.prod(spec.shape))
        for spec in all_variables(shape)
        if not is_normalised_away(spec.name, depth(shape.image_size))
    }
    return {
        "step": expected.step,
        "drawn": drawn,
        "pictures": _errors(actual.pictures, expected.pictures, {}, _picture_floors(expected.pictures)),
        "layers": _errors(actual.layers, expected.layers, {}, {}),
        "gradients": _errors(actual.gradients, expected.gradients, sizes, _floors(expected.gradients, sizes)),
        "updates": _errors(actual.updates, expected.updates, sizes, _floors(expected.updates, sizes)),
        "update_sizes": size_factors(_norms(actual.updates, sizes), _norms(expected.updates, sizes)),
        "terms": term_errors(actual.terms, expected.terms),
    }


def _errors(
    actual: Subsamples, expected: Subsamples, sizes: Mapping[str, int], floors: Mapping[str, float]
) -> List[Dict[str, Any]]:
    """By name; sizes: of the tensors that count, all if it is empty."""
    found = []
    for name in sizes or expected:
        error = error_of(actual[name], expected[name], sizes.get(name, 1), floors.get(name, 0.0))
        found.append(dict({key: _finite(value) for key, value in error._asdict().items()}, name=name))
    return found


def _picture_floors(pictures: Subsamples) -> Dict[str, float]:
    return {name: 1.0 if name.startswith(FILES) else MIN_PICTURE for name in pictures}


def _floors(expected: Subsamples, sizes: Mapping[str, int]) -> Dict[str, float]:
    of_network = {}
    for network in NETWORKS:
        elements = [expected[name].elements for name in sizes if name.startswith(network + "_")]
        joined = np.concatenate(elements).astype(np.float64)
        of_network[network] = NOISE_SHARE * float(np.sqrt(np.mean(np.square(joined))))
    return {name: of_network[name[:3]] for name in sizes}


def _norms(updates: Subsamples, sizes: Mapping[str, int]) -> Dict[str, float]:
    return {
        network: math.sqrt(sum(updates[name].norm ** 2 for name in sizes if name.startswith(network + "_")))
        for network in NETWORKS
    }


def size_factors(actual: Mapping[str, float], expected: Mapping[str, float]) -> Dict[str, float]:
    """Return how much larger or smaller each network's update of one step is, as a factor from 1 up.

    Steps that follow one another amplify rounding, a GAN's in particular: after ten the direction of an update may say
    nothing, while its size still does. 1 if neither updates the network.
    """
    found = {}
    for network in NETWORKS:
        smaller, larger = sorted([actual[network], expected[network]])
        found[network] = 1.0 if larger <= TINY else _finite(larger / max(smaller, TINY))
    return found


def term_errors(actual: Losses, expected: Losses) -> Dict[str, float]:
    """Each loss's error, of its value; of a critic's losses, of the terms that they are the difference of."""
    sizes = {name: abs(value) for name, value in expected.items()}
    for critic in ("Ad", "Bd"):
        size = sizes[critic + "_fake"] + sizes[critic + "_real"]
        sizes.update({critic + kind: size for kind in ("_fake", "_real", "_loss")})
    sizes["d_loss"] = max(sizes["d_loss"], sizes["Ad_loss"] + sizes["Bd_loss"])
    sizes["d_loss"] += GRADIENT_PENALTY_WEIGHT * sizes.get("gradient_penalty", 0.0)
    return {name: _finite(abs(actual[name] - value) / max(sizes[name], TINY)) for name, value in expected.items()}


def unforced_run_errors(actual: UnforcedRun, expected: UnforcedRun) -> Dict[str, Any]:
    """Of steps one after the other (UnforcedRun), by loss and by network."""
    terms = [term_errors(one, other) for one, other in zip(actual.terms, expected.terms)]
    factors = [size_factors(one, other) for one, other in zip(actual.update_norms, expected.update_norms)]
    return {
        kind: {name: [errors[name] for errors in steps] for name in steps[0]}
        for kind, steps in (("terms", terms), ("update_sizes", factors))
    }


def _finite(value: float) -> float:
    return value if math.isfinite(value) and abs(value) < MAX_ERROR else MAX_ERROR


MAX_SHOWN = 10
STATES = {False: "steps from equal weights", True: "steps from drawn, late weights"}


def print_checks(content: Dict[str, Any], say: Callable[[str], None]) -> int:
    """Print the worst error of each kind, what is out of its bound, and a verdict; the number of exceeded bounds."""
    found = list(checks(content, default_bounds(content)))
    for drawn in (False, True):
        rows = [check for check in worst_checks(found) if check.drawn == drawn]
        if rows:
            say(f"{'worst of ' + STATES[drawn]:<48}{'error':>10}{'bound':>10}")
        for check in rows:
            say(f"  {check.what:<19} {check.name:<26}{check.error:>10.4g}{check.bound:>10.4g}  step {check.step}")
    exceeded = [check for check in found if not check.holds]
    for check in exceeded[:MAX_SHOWN]:
        state = " from a drawn state" if check.drawn else ""
        place = f"{check.what}: {check.name} at step {check.step}{state}"
        say(f"EXCEEDED {place}, {check.error:.3g} (bound {check.bound:.3g})")
    say(f"{len(exceeded)} bounds exceeded" if exceeded else "all bounds hold")
    return len(exceeded)


ADVICE = """\
Where to look: forward wrong means that layer, its kernel or its precision; forward right and a picture wrong, what
draws; forward right and a gradient wrong, that gradient; gradients right and an update wrong, the optimiser; only later
steps wrong, which step updates what.
"""

SCHEMA_VERSION = 2


class Leg(NamedTuple):
    """The leg to replay as. given: options of LEG_OPTIONS, on top of those of the run folder, or else of the trace."""

    run_dir: Optional[Path]
    given: Dict[str, Any]


def replay_trace(file: Path, leg: Leg) -> Dict[str, Any]:
    """Do the recorded steps again; the content of replay.json.

    Raises BadInput for a damaged trace, one of other options than the leg's run, or a device that is not there.
    """
    recorded = load_trace(file)
    options = _leg_options(recorded, leg, file)
    device = open_recorded_device(options)
    with open_prober(options, device) as (prober, session):
        _check_fits(recorded, prober, file)
        prober.load_state(session, recorded.starts[0].state(recorded.options))
        unforced = prober.run_unforced(session, recorded.first_step, recorded.batches)
        probes = [_errors_of_probe(recorded, number, prober, session) for number in range(len(recorded.probes))]
    content = {
        "schema_version": SCHEMA_VERSION,
        "reference": dict(recorded.origin._asdict()),
        "candidate": dict(origin_of(device, prober.one_run)._asdict()),
        "options": recorded.options.as_dict(),
        "dataset_digest": recorded.dataset_digest,
        "first_step": recorded.first_step,
        "steps": len(recorded.batches),
        "probes": probes,
        "free_run": unforced_run_errors(unforced, recorded.unforced_run),
    }
    violations = [check for check in checks(content, default_bounds(content)) if not check.holds]
    content["departures"] = [dict(violation._asdict()) for violation in violations]
    return content


def _errors_of_probe(recorded: Trace, number: int, prober: Prober, session: Any) -> Dict[str, Any]:
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
        origin = Origin(**content[side])
        on = "{kind} ({name})".format(**origin.device)
        say(f"{side:<10} TensorFlow {origin.tensorflow} on {on}, {origin.step_mode}")
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
        require_same(options, run, f"{file}: a trace of other options than {leg.run_dir}", "record one with the same")
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
