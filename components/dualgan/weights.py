"""States that no training made: initial weights, those of a checkpoint of the original, and drawn ones.

Checkpoints of the original have the same variable names, no optimiser slots, and colours in BGR order.

Drawn weights, optimiser averages and images follow from integers, so that a file need not hold them. A drawn state is
as late in a training as can be: biases are not zero, and RMSProp's averages span many orders of magnitude. Nothing in
it is rounded, so that every machine draws the same bits.
"""

import zlib
from typing import Any, Dict, Iterable, Sequence

import numpy as np

from dualgan.errors import BadInput, first_line
from dualgan.feed import stream
from dualgan.networks import Shape, VariableSpec, all_variables, depth, is_critic_variable, network_shape
from dualgan.options import TrainOptions
from dualgan.tensorflow_v1 import tf


def initial_value(spec: VariableSpec, seed: int) -> Any:
    """float32 values of ``spec``'s shape and distribution."""
    random = stream(seed, "initial", spec.name)
    values = random.standard_normal(spec.shape)
    if spec.truncated:
        outside = np.abs(values) > 2
        while outside.any():
            values[outside] = random.standard_normal(int(outside.sum()))
            outside = np.abs(values) > 2
    return (spec.mean + spec.stddev * values).astype(np.float32)


def initial_values(options: TrainOptions) -> Dict[str, Any]:
    """The weights before the first step, by name: drawn from the seed, or of a checkpoint of the original."""
    shape = network_shape(options)
    if options.init_from:
        return original_weights(options.init_from, shape)
    return {spec.name: initial_value(spec, options.seed) for spec in all_variables(shape)}


def original_weights(prefix: str, shape: Shape) -> Dict[str, Any]:
    """The variables of all networks, by name, from the checkpoint ``prefix``, turned to RGB order.

    Raises BadInput if there is no checkpoint, or if it lacks a variable or has one of another shape.
    """
    try:
        reader = tf.train.load_checkpoint(prefix)
        present = reader.get_variable_to_shape_map()
    except (tf.errors.OpError, ValueError) as error:
        raise BadInput(f"--init_from {prefix}: no TensorFlow checkpoint ({first_line(error)})") from None
    specs = all_variables(shape)
    for spec in specs:
        found = present.get(spec.name)
        if found is None or tuple(found) != spec.shape:
            raise BadInput(
                f"--init_from {prefix}: {spec.name} has shape {found}, not {list(spec.shape)}; give the image_size, "
                "gcn, dcn and disc_type it was trained with"
            )
    return {spec.name: _to_rgb(spec.name, reader.get_tensor(spec.name), shape) for spec in specs}


def _to_rgb(name: str, value: Any, shape: Shape) -> Any:
    """Reverse the channel axis of what reads or writes colours: the first layers, and the generators' last."""
    last = f"d{depth(shape.image_size)}"
    layer, _, kind = name[len("A_g_") :].partition("/")
    takes_colours = layer in ("e1_conv", "h0_conv") and kind == "w"
    gives_colours = "_g_" in name and layer == last
    if takes_colours or (gives_colours and kind == "w"):
        return np.ascontiguousarray(value[:, :, ::-1])
    return np.ascontiguousarray(value[::-1]) if gives_colours else value


CHANNELS, SIDE = 3, 256


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


def drawn_averages(specs: Iterable[VariableSpec], seed: int) -> Dict[str, Any]:
    """RMSProp's averages, by the names of their slots: powers of two from 2**-24 to 16."""
    found = {}
    for spec in specs:
        powers = draw(spec.name + "/rms", seed, -24, 5, spec.shape)
        found[average_of(spec.name)] = np.ldexp(np.float32(1), powers.astype(np.int32))
    return found


def average_of(variable: str) -> str:
    """The name of the slot that holds RMSProp's average of ``variable``."""
    return variable + ("/RMSProp_d" if is_critic_variable(variable) else "/RMSProp_g")


def late_state(specs: Sequence[VariableSpec], seed: int) -> Dict[str, Any]:
    """Weights and averages, by name, as late in a training."""
    return dict(drawn_weights(specs, seed), **drawn_averages(specs, seed))


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
