"""The generators of a trained run as frozen graphs, for Ascend's ATC and for any TensorFlow."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Dict, Mapping

from dualgan import networks
from dualgan.checkpoints import PREFIX, Checkpoint, saved_checkpoints
from dualgan.errors import BadInput
from dualgan.networks import Shape
from dualgan.options import TrainOptions
from dualgan.run_folder import RunFolder, read_json, write_json
from dualgan.sample_command import recorded_options
from dualgan.tensorflow_v1 import tf
from dualgan.training import network_shape

INPUT, OUTPUT = "img", "output"
SIGNATURE = "signature.json"


def export(run_dir: Path, output: Path) -> int:
    """Write ``A2B.pb``, ``B2A.pb`` and ``signature.json`` into ``output``, whole or not at all; the step they are of.

    Each graph takes ``img``, float32 [1, S, S, C] in [-1, 1], RGB, and gives ``output`` alike. Raises BadInput where
    there is no checkpoint or ``output`` is not empty.
    """
    folder, output = RunFolder(Path(run_dir)), Path(output)
    options = recorded_options(folder)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise BadInput(f"{output}: not empty; name an empty or new folder")
    found = saved_checkpoints(folder.checkpoints)
    if not found:
        raise BadInput(f"{folder.checkpoints}: no checkpoint to export; train first")
    checkpoint = found[-1]
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=str(output.parent), prefix=".unfinished-"))
    try:
        reader = tf.train.load_checkpoint(str(checkpoint.path / PREFIX))
        shape = network_shape(options)
        weights = {spec.name: reader.get_tensor(spec.name) for spec in networks.generators_variables(shape)}
        for direction, prefix in (("A2B", "A_g"), ("B2A", "B_g")):
            graph = frozen_generator(shape, weights, prefix)
            (temporary / (direction + ".pb")).write_bytes(graph.SerializeToString())
        write_json(temporary / SIGNATURE, signature(options, checkpoint, read_json(folder.options)))
        temporary.chmod(0o755)
        os.replace(str(temporary), str(output))
    except BaseException:
        shutil.rmtree(str(temporary), ignore_errors=True)
        raise
    return checkpoint.step


def frozen_generator(shape: Shape, weights: Mapping[str, Any], prefix: str) -> Any:
    """A GraphDef of generator ``prefix`` ("A_g" or "B_g") whose ``weights`` are constants, without dropout."""
    names = [spec.name for spec in networks.generators_variables(shape) if spec.name.startswith(prefix + "_")]
    side, channels = shape.image_size, shape.A_channels if prefix == "A_g" else shape.B_channels
    with tf.Graph().as_default() as graph:
        constants = {name: tf.constant(weights[name], name=name) for name in names}
        image = tf.placeholder(tf.float32, [1, side, side, channels], INPUT)
        tf.identity(networks.generator(image, constants, prefix), OUTPUT)
        return graph.as_graph_def()


def signature(options: TrainOptions, checkpoint: Checkpoint, record: Dict[str, Any]) -> Dict[str, Any]:
    """What a caller of the graphs has to know."""
    side = options.image_size
    return {
        "input": {"name": INPUT, "dtype": "float32", "layout": "NHWC", "batch": 1, "height": side, "width": side},
        "output": {"name": OUTPUT, "dtype": "float32", "layout": "NHWC", "range": [-1, 1]},
        "graphs": {
            "A2B.pb": {"input_channels": options.A_channels, "output_channels": options.B_channels},
            "B2A.pb": {"input_channels": options.B_channels, "output_channels": options.A_channels},
        },
        "channel_order": "RGB",
        "preprocessing": "resize to height x width (Pillow, bilinear), then x / 127.5 - 1",
        "postprocessing": "round((y + 1) * 127.5), clipped to 0..255",
        "step": checkpoint.step,
        "dataset": record.get("dataset"),
    }
