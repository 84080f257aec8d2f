"""Checkpoints of the original implementation: the same variable names, no optimiser slots, colours in BGR order."""

from typing import Any, Dict

import numpy as np

from dualgan.errors import BadInput
from dualgan.networks import Shape, all_variables, depth
from dualgan.tensorflow_v1 import tf


def original_weights(prefix: str, shape: Shape) -> Dict[str, Any]:
    """The variables of all networks, by name, from the checkpoint ``prefix``, turned to RGB order.

    Raises BadInput where there is no checkpoint, or where it lacks a variable or has one of another shape.
    """
    try:
        reader = tf.train.load_checkpoint(prefix)
        present = reader.get_variable_to_shape_map()
    except (tf.errors.OpError, ValueError) as error:
        reason = str(error).split("\n")[0]
        raise BadInput(f"--init_from {prefix}: no TensorFlow checkpoint ({reason})") from None
    specs = all_variables(shape)
    for spec in specs:
        found = present.get(spec.name)
        if found is None or tuple(found) != spec.shape:
            raise BadInput(
                f"--init_from {prefix}: {spec.name} has shape {found}, not {list(spec.shape)}; give the image_size, gcn, dcn and disc_type it was "
                "trained with"
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
