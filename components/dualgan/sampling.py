"""Drawing sample pictures with a pair of generators."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence

import numpy as np
from PIL import Image

from dualgan import image_cache, networks
from dualgan.checkpoints import PREFIX, Checkpoint, Checkpoints, saved_checkpoints
from dualgan.dataset_folder import checked_description, require_training_images
from dualgan.devices import Device, open_recorded_device
from dualgan.errors import BadInput
from dualgan.image_cache import decoded_images
from dualgan.losses import Translations
from dualgan.networks import Shape, network_shape
from dualgan.options import TrainOptions, recorded_options, validated
from dualgan.replay_bounds import FILES
from dualgan.run_folder import RunFolder, read_json, read_samples, sample_path, write_json
from dualgan.step import SampleGraph, StepGraph, create_variables
from dualgan.tensorflow_v1 import tf


class SampleInput(NamedTuple):
    """A pair of validation images, uint8 [S, S, C], and the name that its pictures get."""

    name: str
    A: Any
    B: Any


def sample_inputs(options: TrainOptions, digest: str, cache: Path, count: int) -> List[SampleInput]:
    """The first ``count`` validation pairs (all for 0); of the training images where there are no validation images."""
    domains = []
    for domain, channels in (("A", options.A_channels), ("B", options.B_channels)):
        for split in ("val", "train"):
            images, names = decoded_images(
                Path(options.data_dir), split, domain, options.image_size, channels, digest, cache
            )
            if len(images):
                break
        domains.append((images, names))
    (A, names), (B, _) = domains
    pairs = [SampleInput(name, A[index], B[index]) for index, name in enumerate(names[: len(B)])]
    return pairs[:count] if count else pairs


def to_picture(image: Any) -> Image.Image:
    """A picture of float32 [S, S, C] in [-1, 1]."""
    pixels = np.clip(np.rint((image + 1.0) * 127.5), 0, 255).astype(np.uint8)
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def draw(folder: Path, inputs: List[SampleInput], sample: Callable[[Any, Any], Translations]) -> None:
    """Make ``folder`` with six pictures of each input, whole or not at all; what was there is replaced."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=str(folder.parent), prefix=".unfinished-"))
    try:
        for item in inputs:
            translations = sample(item.A[np.newaxis], item.B[np.newaxis])
            for kind, images in zip(Translations._fields, translations):
                to_picture(images[0]).save(str(sample_path(temporary, item.name, kind)))
        temporary.chmod(0o755)
        if folder.exists():
            shutil.rmtree(str(folder))
        os.replace(str(temporary), str(folder))
    except BaseException:
        shutil.rmtree(str(temporary), ignore_errors=True)
        raise


def sample(
    run_dir: Path,
    output: Path,
    data_dir: Optional[Path] = None,
    count: int = 0,
    device_name: Optional[str] = None,
    cache_dir: Optional[Path] = None,
) -> int:
    """Draw ``count`` validation pairs (0: all) with the newest checkpoint of ``run_dir``; how many were drawn."""
    if count < 0:
        raise BadInput(f"--count {count}: must be 0 or more")
    folder, output = RunFolder(Path(run_dir)), Path(output)
    _check_replaceable(output)
    options = recorded_options(folder)
    if data_dir:
        options = validated(type(options)(**dict(options.as_dict(), data_dir=str(data_dir))))
    dataset = Path(options.data_dir)
    require_training_images(dataset)
    device = open_recorded_device(options, device_name)
    cache = Path(cache_dir or options.cache_dir or image_cache.default_folder())
    inputs = sample_inputs(options, checked_description(dataset).digest, cache, count)
    with tf.Graph().as_default() as graph:
        variables = create_variables(networks.generators_variables(network_shape(options)), device.use_resource)
        drawing = SampleGraph(network_shape(options), list(variables.values()), device.kernels())
        checkpoints = Checkpoints(folder.checkpoints, options.keep_checkpoints)
        graph.finalize()
        with tf.Session(config=device.session_config()) as session:
            checkpoint, _ = checkpoints.restore_newest(session)
            if checkpoint is None:
                raise BadInput(f"{folder.checkpoints}: no checkpoint to draw with; train first")
            draw(output, inputs, drawing.sample_callable(session))
    return len(inputs)


def _check_replaceable(output: Path) -> None:
    """Raise BadInput where ``output`` holds anything but sample pictures: drawing replaces the folder."""
    if output.is_dir():
        samples = {sample.path for sample in read_samples(output)}
        others = [path for path in output.iterdir() if path not in samples]
        if others:
            raise BadInput(f"{output}: holds {others[0].name}, no sample; name an empty or new folder")
    elif output.exists():
        raise BadInput(f"{output}: not a folder; name an empty or new one")


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


Pairs = Sequence[SampleInput]

# float32 images in [-1, 1], by "path/image/kind".
Pictures = Dict[str, Any]

TRANSLATED = ("A2B", "A2B2A", "B2A", "B2A2B")


def drawing(graph: StepGraph, device: Device) -> Callable[[Any, Mapping[str, Any], Pairs], Pictures]:
    """A function of session, weights and pairs of images that draws with the session's weights on every path."""

    def drawn(session: Any, weights: Mapping[str, Any], pairs: Pairs) -> Pictures:
        return dict(_sampled(graph, session, pairs), **_exported(graph, device, weights, pairs))

    return drawn


def _sampled(graph: StepGraph, session: Any, pairs: Pairs) -> Pictures:
    """What `sample` draws: floats, and what is read back from the files that are written of them."""
    sample = graph.sample_callable(session)
    found: Pictures = {}
    images = iter(pairs)

    def noted(A: Any, B: Any) -> Translations:
        translations = sample(A, B)
        name = next(images).name
        found.update({f"drawn/{name}/{kind}": getattr(translations, kind)[0] for kind in TRANSLATED})
        return translations

    with tempfile.TemporaryDirectory() as temporary:
        draw(Path(temporary) / "pictures", list(pairs), noted)
        for picture in read_samples(Path(temporary) / "pictures"):
            pixels = np.asarray(Image.open(str(picture.path)), np.float32)
            found[FILES + f"{picture.image}/{picture.kind}"] = pixels / np.float32(127.5) - np.float32(1)
    return found


def _exported(graph: StepGraph, device: Device, weights: Mapping[str, Any], pairs: Pairs) -> Pictures:
    found: Pictures = {}
    for kind, prefix, domain in (("A2B", "A_g", "A"), ("B2A", "B_g", "B")):
        definition = frozen_generator(graph.options.shape, weights, prefix)
        with tf.Graph().as_default():
            tf.import_graph_def(definition, name="")
            with tf.Session(config=device.session_config()) as session:
                for pair in pairs:
                    image = getattr(pair, domain)[np.newaxis].astype(np.float32) / np.float32(127.5) - np.float32(1)
                    name = f"exported/{pair.name}/{kind}"
                    found[name] = session.run(OUTPUT + ":0", {INPUT + ":0": image})[0]
    return found
