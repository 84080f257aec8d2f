"""Do the steps of a trace again, and say how far off pictures, layers, gradients, updates and losses come out."""

import dataclasses
import math
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence

import numpy as np

from dualgan.devices import open_recorded_device
from dualgan.errors import BadInput
from dualgan.losses import GRADIENT_PENALTY_WEIGHT
from dualgan.networks import all_variables, depth
from dualgan.options import DEVICE_OPTIONS, LEG_OPTIONS, TrainOptions, recorded_options, require_same, validated
from dualgan.replay_bounds import FILES, checks, default_bounds, worst_checks
from dualgan.run_folder import NETWORKS, RunFolder, write_json
from dualgan.step import Losses
from dualgan.taps import Probe, Subsample, Subsamples, is_normalised_away, open_prober
from dualgan.trace import LATE, load_trace, origin_of

# Denominators of errors: tensors of zeros are equal.
TINY = 1e-20
# A gradient that is next to zero has no relative error worth the name: it is taken of this share of its network's root
# mean square. Pictures of networks that are not trained are next to zero, too.
NOISE_SHARE = 1e-3
MIN_PICTURE = 1e-2
# JSON has no infinity.
MAX_ERROR = 1e30


def tensor_error(actual: Subsample, recorded: Subsample, size: int, floor: float) -> Dict[str, float]:
    """Return the distance of a tensor of ``size`` elements from the recorded one; infinite if one is not finite.

    cosine, relative_l2, max_abs (in the tensor's unit): of its elements; norm: the relative error of the norm; floor:
    the least root mean square that relative errors are taken of.
    """
    one, other = (np.asarray(values.elements, np.float64) for values in (actual, recorded))
    if not (np.isfinite(one).all() and np.isfinite(other).all() and np.isfinite([actual.norm, recorded.norm]).all()):
        return dict.fromkeys(("cosine", "relative_l2", "max_abs", "norm"), MAX_ERROR)
    difference = one - other
    sizes = float(np.linalg.norm(one)), float(np.linalg.norm(other))
    errors = {
        "cosine": float(one @ other) / (sizes[0] * sizes[1]) if min(sizes) > TINY else float(sizes[0] == sizes[1]),
        "relative_l2": float(np.linalg.norm(difference)) / max(sizes[1], floor * float(np.sqrt(other.size)), TINY),
        "max_abs": float(np.max(np.abs(difference))),
        "norm": abs(actual.norm - recorded.norm) / max(recorded.norm, floor * float(np.sqrt(size)), TINY),
    }
    return {name: _finite(value) for name, value in errors.items()}


def probe_errors(actual: Probe, expected: Probe, options: TrainOptions, drawn: bool) -> Dict[str, Any]:
    """The errors of one step from equal weights. drawn: whether its state is a drawn one, as late in a training."""
    sizes = {
        spec.name: int(np.prod(spec.shape))
        for spec in all_variables(options)
        if not is_normalised_away(spec.name, depth(options.image_size))
    }

    def errors(kind: str, names: Sequence[str], floors: Mapping[str, float]) -> List[Dict[str, Any]]:
        one, other = getattr(actual, kind), getattr(expected, kind)
        found = [tensor_error(one[name], other[name], sizes.get(name, 1), floors.get(name, 0.0)) for name in names]
        return [dict(error, name=name) for name, error in zip(names, found)]

    picture_floors = {name: 1.0 if name.startswith(FILES) else MIN_PICTURE for name in expected.pictures}
    norms = [_norms(probe.updates, sizes) for probe in (actual, expected)]
    return {
        "step": expected.step,
        "drawn": drawn,
        "pictures": errors("pictures", list(expected.pictures), picture_floors),
        "layers": errors("layers", list(expected.layers), {}),
        "gradients": errors("gradients", list(sizes), _floors(expected.gradients, sizes)),
        "updates": errors("updates", list(sizes), _floors(expected.updates, sizes)),
        "update_sizes": size_factors(*norms),
        "terms": term_errors(actual.terms, expected.terms),
    }


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
    device = open_recorded_device(_leg_options(recorded.options, leg, file))
    probes = []
    with open_prober(device.options, device) as (prober, session):
        stored = {name for number in range(len(recorded.probes)) for name in recorded.stored(number)}
        unknown = sorted(stored.union(recorded.layers).difference(prober.names))
        if unknown:
            raise BadInput(f"{file}: a trace of another version: there is no {unknown[0]} here")
        prober.load_state(session, recorded.state(0))
        actual, expected = prober.run_unforced(session, recorded.first_step, recorded.batches), recorded.unforced_run
        for number, wanted in enumerate(recorded.probes):
            batch = recorded.batches[wanted.step - recorded.first_step]
            probe = prober.probe(session, wanted.step, batch, recorded.state(number), recorded.pairs)
            drawn = recorded.probed[number][1] == LATE
            probes.append(probe_errors(probe, wanted, recorded.options, drawn))
    unforced = {
        "terms": list(map(term_errors, actual.terms, expected.terms)),
        "update_sizes": list(map(size_factors, actual.update_norms, expected.update_norms)),
    }
    content = {
        "schema_version": SCHEMA_VERSION,
        "reference": recorded.origin,
        "candidate": origin_of(device, prober),
        "options": recorded.options.as_dict(),
        "dataset_digest": recorded.dataset_digest,
        "first_step": recorded.first_step,
        "steps": recorded.steps,
        "probes": probes,
        "free_run": {
            kind: {name: [errors[name] for errors in by_step] for name in by_step[0]}
            for kind, by_step in unforced.items()
        },
    }
    violations = [check for check in checks(content, default_bounds(content)) if not check.holds]
    content["departures"] = [dict(violation._asdict()) for violation in violations]
    return content


def replay_and_print(file: Path, leg: Leg, output: Path, say: Callable[[str], None]) -> int:
    """Write replay.json and say what is out of bounds; 0 if nothing is, else 1."""
    content = replay_trace(file, leg)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_json(output, content)
    for side in ("reference", "candidate"):
        on = "{kind} ({name})".format(**content[side]["device"])
        say("{:<10} TensorFlow {tensorflow} on {}, {step_mode}".format(side, on, **content[side]))
    say("")
    if content["departures"]:
        say(ADVICE)
    return 1 if print_checks(content, say) else 0


def _leg_options(options: TrainOptions, leg: Leg, file: Path) -> TrainOptions:
    def with_those_of(other: TrainOptions, names: Sequence[str]) -> TrainOptions:
        return dataclasses.replace(options, **{name: getattr(other, name) for name in names})

    if leg.run_dir is not None:
        run = recorded_options(RunFolder(Path(leg.run_dir)))
        # The seed's part, weights and batches, is in the trace.
        options = with_those_of(run, (*LEG_OPTIONS, "seed"))
        require_same(options, run, f"{file}: a trace of other options than {leg.run_dir}", "record one with the same")
    if leg.given.get("device", options.device) != options.device:
        # What was set for one device means nothing on another.
        options = with_those_of(TrainOptions(), DEVICE_OPTIONS)
    return validated(dataclasses.replace(options, **leg.given))
