"""What a replay of a trace comes to: errors of layers, gradients, updates and losses, as replay.json holds them."""

import math
from typing import Any, Dict, List, Mapping, Sequence

import numpy as np

from dualgan import networks
from dualgan.losses import GRADIENT_PENALTY_WEIGHT
from dualgan.trace import Origin, Trace
from dualgan.trace_recording import FreeRun, Losses, Probe, Sketches
from dualgan.trace_sketch import TINY, error_of, root_mean_square
from dualgan.trace_taps import is_normalised_away

SCHEMA_VERSION = 1
NETWORKS = ("A_g", "B_g", "A_d", "B_d")

# A gradient that is next to zero has no relative error worth the name: it is taken of this share of its network's root
# mean square.
NOISE_SHARE = 1e-3

# JSON has no infinity.
LARGEST = 1e30


def report(trace: Trace, probes: Sequence[Probe], free_run: FreeRun, candidate: Origin) -> Dict[str, Any]:
    """The content of replay.json, less its departures."""
    recorded = trace.free_run
    depth = networks.depth(trace.options.image_size)
    updated = [name for name in trace.final if not is_normalised_away(name, depth)]
    return {
        "schema_version": SCHEMA_VERSION,
        "reference": dict(trace.origin._asdict()),
        "candidate": dict(candidate._asdict()),
        "options": trace.options.as_dict(),
        "dataset_digest": trace.dataset_digest,
        "first_step": trace.first_step,
        "steps": len(trace.batches),
        "probes": [_probe_errors(actual, expected, updated) for actual, expected in zip(probes, trace.probes)],
        "free_run": {
            "terms": _by_name([term_errors(a, b) for a, b in zip(free_run.terms, recorded.terms)]),
            "update_sizes": _by_name([size_factors(a, b, updated) for a, b in zip(free_run.updates, recorded.updates)]),
        },
    }


def _probe_errors(actual: Probe, expected: Probe, updated: Sequence[str]) -> Dict[str, Any]:
    return {
        "step": expected.step,
        "layers": _tensor_errors(actual.layers, expected.layers, list(expected.layers), {}),
        "gradients": _of_variables(actual.gradients, expected.gradients, updated),
        "updates": _of_variables(actual.updates, expected.updates, updated),
        "update_sizes": size_factors(actual.updates, expected.updates, updated),
        "terms": term_errors(actual.terms, expected.terms),
    }


def _of_variables(actual: Sketches, expected: Sketches, names: Sequence[str]) -> List[Dict[str, Any]]:
    floors = {n: NOISE_SHARE * root_mean_square(_joined(expected, names, n)) for n in NETWORKS}
    return _tensor_errors(actual, expected, names, floors)


def _tensor_errors(
    actual: Sketches, expected: Sketches, names: Sequence[str], floors: Mapping[str, float]
) -> List[Dict[str, Any]]:
    found = []
    for name in names:
        error = error_of(actual[name], expected[name], floors.get(name[:3], 0.0))
        numbers = {key: _finite(value) for key, value in error._asdict().items()}
        found.append(dict(numbers, name=name))
    return found


def size_factors(actual: Sketches, expected: Sketches, names: Sequence[str]) -> Dict[str, float]:
    """How much larger or smaller each network's update of one step is, as a factor from 1 up.

    Steps that follow one another amplify rounding, a GAN's in particular: after ten the direction of an update may say
    nothing, while its size still does. 1 where neither updates the network.
    """
    found = {}
    for network in NETWORKS:
        sizes = [float(np.linalg.norm(_joined(sketches, names, network))) for sketches in (actual, expected)]
        smaller, larger = min(sizes), max(sizes)
        found[network] = 1.0 if larger <= TINY else _finite(larger / max(smaller, TINY))
    return found


def _joined(sketches: Sketches, names: Sequence[str], network: str) -> Any:
    return np.concatenate([np.asarray(sketches[name], np.float64) for name in names if name.startswith(network + "_")])


def term_errors(actual: Losses, expected: Losses) -> Dict[str, float]:
    """Each loss's error, of its value; of a critic's losses, of the terms that they are the difference of."""
    sizes = {name: abs(value) for name, value in expected.items()}
    for critic in ("Ad", "Bd"):
        size = sizes[critic + "_fake"] + sizes[critic + "_real"]
        sizes.update({critic + kind: size for kind in ("_fake", "_real", "_loss")})
    sizes["d_loss"] = sizes["Ad_loss"] + sizes["Bd_loss"]
    sizes["d_loss"] += GRADIENT_PENALTY_WEIGHT * sizes.get("gradient_penalty", 0.0)
    return {name: _finite(abs(actual[name] - value) / max(sizes[name], TINY)) for name, value in expected.items()}


def _by_name(steps: Sequence[Mapping[str, float]]) -> Dict[str, List[float]]:
    return {name: [errors[name] for errors in steps] for name in steps[0]}


def _finite(value: float) -> float:
    return value if math.isfinite(value) and abs(value) < LARGEST else LARGEST
