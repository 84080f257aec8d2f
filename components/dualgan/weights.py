"""States that no training made: initial weights, those of a checkpoint to start from, and drawn ones.

A checkpoint to start from is one of the original, which has the same variable names and colours in BGR order, or one of
this software, in RGB order. The slots of this software's two optimisers tell them apart; they are not taken over.

Drawn weights, optimiser averages and images follow from integers, so that a file need not hold them. A drawn state is
as late in a training as can be: biases are not zero, and RMSProp's averages span many orders of magnitude. Nothing in
it is rounded, so that every machine draws the same bits.
"""

import re
import zlib
from pathlib import Path
from typing import Any, Dict, Iterable, Sequence

import numpy as np

from dualgan.checkpoints import PREFIX, saved_checkpoints
from dualgan.errors import OF_CONTENT, BadInput, first_line
from dualgan.feed import stream
from dualgan.networks import Shape, VariableSpec, all_variables, depth, is_critic_variable, network_shape
from dualgan.options import TrainOptions
from dualgan.run_folder import RunFolder
from dualgan.tensorflow_v1 import tf

_FILE_ENDING = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")


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
        return checkpoint_weights(options.init_from, shape)
    return {spec.name: initial_value(spec, options.seed) for spec in all_variables(shape)}


def checkpoint_weights(place: str, shape: Shape) -> Dict[str, Any]:
    """The variables of all networks, by name, from the checkpoint at ``place``, colours in RGB order.

    Args:
        place: What ``checkpoint_prefix`` understands.
        shape: What fixes the networks.

    Raises:
        BadInput: There is no checkpoint, or it lacks a variable or has one of another shape.
    """
    prefix = checkpoint_prefix(place)
    try:
        reader = tf.train.load_checkpoint(prefix)
        present, types = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
        specs = all_variables(shape)
        for spec in specs:
            found = present.get(spec.name)
            if found is None or tuple(found) != spec.shape or types[spec.name] != tf.float32:
                kind = "" if found is None or tuple(found) != spec.shape else f" of {types[spec.name].name}"
                raise BadInput(
                    f"--init_from {place}: {spec.name} has shape {found}{kind}, not {list(spec.shape)}; give the "
                    "image_size, gcn, dcn, disc_type and channels that it was trained with"
                )
        is_own = any(average_of(spec.name) in present for spec in specs)
        values = {spec.name: reader.get_tensor(spec.name) for spec in specs}
    # TensorFlow 2 raises RuntimeError for some damages.
    except (tf.errors.OpError, RuntimeError, *OF_CONTENT) as error:
        raise BadInput(f"--init_from {place}: no TensorFlow checkpoint ({first_line(error)})") from None
    return values if is_own else {name: _to_rgb(name, value, shape) for name, value in values.items()}


def _to_rgb(name: str, value: Any, shape: Shape) -> Any:
    """Reverse the channel axis of what reads or writes colours: the first layers, and the generators' last."""
    last = f"d{depth(shape.image_size)}"
    layer, _, kind = name[len("A_g_") :].partition("/")
    takes_colours = layer in ("e1_conv", "h0_conv") and kind == "w"
    gives_colours = "_g_" in name and layer == last
    if takes_colours or (gives_colours and kind == "w"):
        return np.ascontiguousarray(value[:, :, ::-1])
    return np.ascontiguousarray(value[::-1]) if gives_colours else value


def checkpoint_prefix(place: str) -> str:
    """Return the prefix of the checkpoint at ``place``; ``place`` itself if that is no folder.

    Args:
        place: A prefix; one of a checkpoint's files, such as PREFIX.index; or a folder: a run folder, its folder of
            checkpoints, one step of it, or one of the original. Of several checkpoints the newest is taken.

    Raises:
        BadInput: It is a folder without a checkpoint.
    """
    folder = Path(place)
    if not folder.is_dir():
        return _FILE_ENDING.sub("", place)
    saved = saved_checkpoints(RunFolder(folder).checkpoints) or saved_checkpoints(folder)
    # Folders of samples are called as those of checkpoints are.
    steps = [step.path / PREFIX for step in saved if (step.path / f"{PREFIX}.index").is_file()]
    if steps:
        return str(steps[-1])
    # The original's own note of the newest holds the path of the folder that it was written to.
    files = sorted(folder.glob("*.index"), key=lambda file: (_number_behind(file.stem), file.stat().st_mtime))
    if not files:
        raise BadInput(f"--init_from {place}: no checkpoint in this folder")
    return str(files[-1].with_suffix(""))


def _number_behind(name: str) -> int:
    """The step that the original puts behind a checkpoint's name, -1 if there is none."""
    digits = name.rpartition("-")[2]
    return int(digits) if digits.isdecimal() else -1


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
