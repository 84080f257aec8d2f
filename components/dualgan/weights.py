"""States that no training made: initial weights, those of a checkpoint to start from, and drawn ones.

Drawn weights, optimiser averages and images follow from integers, so that a file need not hold them. A drawn state is
as late in a training as can be: biases are not zero, and RMSProp's averages span many orders of magnitude. Nothing in
it is rounded, so that every machine draws the same bits.
"""

import zlib
from typing import Any, Dict, Iterable, Sequence

import numpy as np

from dualgan.checkpoints import average_of, checkpoint_weights
from dualgan.feed import stream
from dualgan.networks import VariableSpec, all_variables
from dualgan.options import TrainOptions

CHANNELS, SIDE = 3, 256


def initial_value(spec: VariableSpec, seed: int) -> Any:
    """float32 values of ``spec``'s shape and distribution."""
    random = stream(seed, "initial", spec.name)
    values = random.standard_normal(spec.shape)
    outside = np.abs(values) > 2
    while spec.truncated and outside.any():
        values[outside] = random.standard_normal(int(outside.sum()))
        outside = np.abs(values) > 2
    return (spec.mean + spec.stddev * values).astype(np.float32)


def initial_values(options: TrainOptions) -> Dict[str, Any]:
    """The weights before the first step, by name: drawn from the seed, or of a checkpoint."""
    if options.init_from:
        return checkpoint_weights(options.init_from, options)
    return {spec.name: initial_value(spec, options.seed) for spec in all_variables(options)}


def draw(name: str, seed: int, low: int, high: int, shape: Sequence[int]) -> Any:
    """int64 of ``shape`` in [low, high)."""
    state = np.random.RandomState((zlib.crc32(name.encode("utf-8")) + seed) % 2**32)
    return state.randint(low, high, tuple(shape))


def odd(name: str, seed: int, shape: Sequence[int], per: int) -> Any:
    """float32 of ``shape``: odd numbers from -63 to 63, divided by ``per``."""
    return ((2 * draw(name, seed, -32, 32, shape) + 1) / per).astype(np.float32)


def drawn_weights(specs: Iterable[VariableSpec], seed: int, biases: bool = True) -> Dict[str, Any]:
    """Weights by name. biases: whether biases and centers are drawn too; else they are zero."""
    found = {}
    for spec in specs:
        kind = spec.name.rpartition("/")[2]
        if kind in ("w", "Matrix"):
            found[spec.name] = odd(spec.name, seed, spec.shape, 2048)
        elif kind == "scale":
            found[spec.name] = np.float32(1) + odd(spec.name, seed, spec.shape, 1024)
        else:
            found[spec.name] = odd(spec.name, seed, spec.shape, 256) if biases else np.zeros(spec.shape, np.float32)
    return found


def late_state(specs: Sequence[VariableSpec], seed: int) -> Dict[str, Any]:
    """Weights and RMSProp's averages, powers of two from 2**-24 to 16, by name, as late in a training."""
    found = drawn_weights(specs, seed)
    for spec in specs:
        powers = draw(spec.name + "/rms", seed, -24, 5, spec.shape)
        found[average_of(spec.name)] = np.ldexp(np.float32(1), powers.astype(np.int32))
    return found


def drawn_images(domain: str, seed: int, batch: int) -> Any:
    """uint8 [batch, 256, 256, 3] of domain "A" or "B": coarse, middle and fine noise on each other."""
    layers = []
    for name, size in (("coarse/", 8), ("middle/", 32), ("fine/", SIDE)):
        drawn = draw(name + domain, seed, 0, 256, [batch, size, size, CHANNELS])
        layers.append(drawn.repeat(SIDE // size, 1).repeat(SIDE // size, 2))
    coarse, middle, fine = layers
    return ((4 * coarse + 2 * middle + 2 * fine) // 8).astype(np.uint8)


def drawn_epsilon(domain: str, seed: int, batch: int) -> Any:
    """float32 [batch, 1, 1, 1] between 0 and 1."""
    return ((2 * draw("epsilon/" + domain, seed, 0, 128, [batch, 1, 1, 1]) + 1) / 256).astype(np.float32)
