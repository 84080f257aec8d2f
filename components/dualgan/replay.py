"""How far steps that were done again are off: errors of pictures, layers, gradients, updates and losses, as JSON."""

import math
from typing import Any, Dict, List, Mapping, Sequence

import numpy as np

from dualgan.graph import Losses
from dualgan.losses import GRADIENT_PENALTY_WEIGHT
from dualgan.networks import Shape, all_variables, depth
from dualgan.probing import Probe, Subsamples
from dualgan.replay_bounds import FILES
from dualgan.run_folder import NETWORKS
from dualgan.subsample import TINY, error_of
from dualgan.taps import is_normalised_away

# A gradient that is next to zero has no relative error worth the name: it is taken of this share of its network's root
# mean square. Pictures of networks that are not trained are next to zero, too.
NOISE_SHARE = 1e-3
LEAST_PICTURE = 1e-2

# JSON has no infinity.
LARGEST = 1e30


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
    return {name: 1.0 if name.startswith(FILES) else LEAST_PICTURE for name in pictures}


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
    """How much larger or smaller each network's update of one step is, as a factor from 1 up.

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


def free_run_errors(actual: Any, expected: Any) -> Dict[str, Any]:
    """Of steps one after the other (FreeRun), by loss and by network."""
    terms = [term_errors(one, other) for one, other in zip(actual.terms, expected.terms)]
    factors = [size_factors(one, other) for one, other in zip(actual.update_norms, expected.update_norms)]
    return {"terms": _by_name(terms), "update_sizes": _by_name(factors)}


def _by_name(steps: Sequence[Mapping[str, float]]) -> Dict[str, List[float]]:
    return {name: [errors[name] for errors in steps] for name in steps[0]}


def _finite(value: float) -> float:
    return value if math.isfinite(value) and abs(value) < LARGEST else LARGEST
