"""Drawing with a pair of generators: sample pictures, and frozen graphs for Ascend's ATC and any TensorFlow."""

import dataclasses
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from PIL import Image

from dualgan import networks
from dualgan.checkpoints import PREFIX, Checkpoint, Checkpoints, saved_checkpoints
from dualgan.dataset_folder import DOMAINS, list_images
from dualgan.devices import Device, open_recorded_device
from dualgan.errors import OF_CONTENT, BadInput, first_line
from dualgan.feed import domain_images, open_dataset
from dualgan.image_cache import MODES
from dualgan.losses import Translations
from dualgan.names import shortened
from dualgan.networks import Shape, network_shape
from dualgan.options import TrainOptions, recorded_options
from dualgan.pictures import open_picture
from dualgan.replay_bounds import FILES
from dualgan.run_folder import (
    KINDS_FROM,
    MAX_IMAGE_NAME_BYTES,
    RunFolder,
    read_json,
    read_samples,
    sample_path,
    whole_folder,
    write_json,
)
from dualgan.step import SampleGraph, StepGraph, create_variables
from dualgan.tensorflow_v1 import tf

# Names in an exported graph and of the file that describes it, and the generator of each exported direction.
INPUT, OUTPUT = "img", "output"
SIGNATURE = "signature.json"
GENERATORS = {"A2B": "A_g", "B2A": "B_g"}
TRANSLATED = ("A2B", "A2B2A", "B2A", "B2A2B")
# float32 images in [-1, 1], by "path/image/kind".
Pictures = Dict[str, Any]


class SampleInput(NamedTuple):
    """An image of A and one of B, uint8 [S, S, C], and the name that their pictures get.

    Only those of ``domains`` are drawn: of the domain that has fewer images there is none left for the other's last.
    """

    name: str
    A: Any
    B: Any
    domains: Sequence[str] = DOMAINS


Pairs = Sequence[SampleInput]


def sample_inputs(options: TrainOptions, digest: str, cache: Path, count: int) -> List[SampleInput]:
    """The first ``count`` validation images of each domain (all for 0); of the training images if there are none.

    An image of A and one of B share a name, A's, as long as there are both.
    """
    images, names = {}, {}
    for domain in DOMAINS:
        split = "val" if list_images(Path(options.data_dir), "val", domain) else "train"
        images[domain], names[domain] = domain_images(options, split, domain, digest, cache)
    longer = max(DOMAINS, key=lambda domain: len(names[domain]))
    total = min(count or len(names[longer]), len(names[longer]))
    pairs = min(total, *map(len, names.values()))
    inputs = [SampleInput(names["A"][index], images["A"][index], images["B"][index]) for index in range(pairs)]
    blanks = {domain: np.zeros_like(images[domain][0]) for domain in DOMAINS}
    taken = set(names["A"][:pairs])
    for index in range(pairs, total):
        name = names[longer][index]
        while name in taken:
            name = shortened(name, MAX_IMAGE_NAME_BYTES, "-" + longer)
        taken.add(name)
        alone = dict(blanks, **{longer: images[longer][index]})
        inputs.append(SampleInput(name, alone["A"], alone["B"], (longer,)))
    return inputs


def sample_pairs(options: TrainOptions, digest: str, cache: Path, count: int) -> List[SampleInput]:
    """As sample_inputs, but only those of which there are both images."""
    return [item for item in sample_inputs(options, digest, cache, count) if len(item.domains) == len(DOMAINS)]


def to_picture(image: Any) -> Image.Image:
    """A picture of float32 [S, S, C] in [-1, 1]."""
    pixels = np.clip(np.rint((image + 1.0) * 127.5), 0, 255).astype(np.uint8)
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def draw(folder: Path, inputs: List[SampleInput], sample: Callable[[Any, Any], Translations]) -> None:
    """Make ``folder`` with three pictures of each image, whole or not at all; what was there is replaced."""
    with whole_folder(folder) as unfinished:
        for item in inputs:
            translations = sample(item.A[np.newaxis], item.B[np.newaxis])
            for kind in (kind for domain in item.domains for kind in KINDS_FROM[domain]):
                picture = to_picture(getattr(translations, kind)[0])
                picture.save(str(sample_path(unfinished, item.name, kind)))


def sample(
    run_dir: Path,
    output: Path,
    data_dir: Optional[Path] = None,
    count: int = 0,
    device_name: Optional[str] = None,
    cache_dir: Optional[Path] = None,
) -> Dict[str, int]:
    """Draw ``count`` validation images of each domain (0: all) with the newest checkpoint of ``run_dir``.

    Returns how many images were drawn of each domain.
    """
    if count < 0:
        raise BadInput(f"--count {count}: must be 0 or more")
    folder, output = RunFolder(Path(run_dir)), Path(output)
    _check_replaceable(output)
    options = recorded_options(folder)
    options = dataclasses.replace(
        options, data_dir=str(data_dir or options.data_dir), cache_dir=str(cache_dir or options.cache_dir)
    )
    dataset, cache = open_dataset(options)
    device = open_recorded_device(options, device_name)
    inputs = sample_inputs(options, dataset.digest, cache, count)
    shape = network_shape(options)
    with tf.Graph().as_default() as graph:
        variables = create_variables(networks.generators_variables(shape), device.use_resource)
        drawing = SampleGraph(shape, list(variables.values()), device.kernels())
        checkpoints = Checkpoints(folder.checkpoints, options.keep_checkpoints)
        graph.finalize()
        with device.open_session() as session:
            checkpoint, _ = checkpoints.restore_newest(session)
            if checkpoint is None:
                raise BadInput(f"{folder.checkpoints}: no checkpoint to draw with; train first")
            draw(output, inputs, drawing.sample_callable(session))
    return {domain: sum(domain in item.domains for item in inputs) for domain in DOMAINS}


def _check_replaceable(output: Path) -> None:
    """Raise BadInput if ``output`` holds anything but sample pictures: drawing replaces the folder."""
    if output.is_dir():
        samples = {sample.path for sample in read_samples(output)}
        others = [path for path in output.iterdir() if path not in samples]
        if others:
            raise BadInput(f"{output}: holds {others[0].name}, no sample; name an empty or new folder")
    elif output.exists():
        raise BadInput(f"{output}: not a folder; name an empty or new one")


def export(run_dir: Path, output: Path) -> int:
    """Write ``A2B.pb``, ``B2A.pb`` and ``signature.json`` into ``output``, whole or not at all; return their step.

    Each graph takes ``img``, float32 [1, S, S, C] in [-1, 1], RGB, and gives ``output`` alike. Raises BadInput if
    there is no checkpoint or ``output`` is not empty.
    """
    folder, output = RunFolder(Path(run_dir)), Path(output)
    options = recorded_options(folder)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise BadInput(f"{output}: not empty; name an empty or new folder")
    shape = network_shape(options)
    checkpoint, weights = generator_weights(folder, shape)
    with whole_folder(output) as unfinished:
        for direction, prefix in GENERATORS.items():
            graph = frozen_generator(shape, weights, prefix)
            (unfinished / f"{direction}.pb").write_bytes(graph.SerializeToString())
        write_json(unfinished / SIGNATURE, signature(options, checkpoint, read_json(folder.options)))
    return checkpoint.step


def generator_weights(folder: RunFolder, shape: Shape) -> Tuple[Checkpoint, Dict[str, Any]]:
    """The newest checkpoint of a run, and both generators' weights in it. Raises BadInput if there is none."""
    found = saved_checkpoints(folder.checkpoints)
    if not found:
        raise BadInput(f"{folder.checkpoints}: no checkpoint; train first")
    try:
        reader = tf.train.load_checkpoint(str(found[-1].path / PREFIX))
        return found[-1], {spec.name: reader.get_tensor(spec.name) for spec in networks.generators_variables(shape)}
    except (tf.errors.OpError, RuntimeError, *OF_CONTENT) as error:
        raise BadInput(f"{found[-1].path}: a damaged checkpoint ({first_line(error)[:200]})") from None


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
    """Describe the graphs for whoever calls them."""
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


def drawing(graph: StepGraph, device: Device) -> Callable[[Any, Mapping[str, Any], Pairs], Pictures]:
    """Return a function of session, weights and pairs of images that draws with these weights on every path."""
    return lambda session, weights, pairs: dict(
        _sampled(graph, session, pairs), **_exported(graph, device, weights, pairs)
    )


def _sampled(graph: StepGraph, session: Any, pairs: Pairs) -> Pictures:
    """Draw as `sample` does: floats, and what is read back from the files that are written of them."""
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
        shape = graph.options.shape
        for picture in read_samples(Path(temporary) / "pictures"):
            mode = MODES[shape.A_channels if picture.kind.endswith("A") else shape.B_channels]
            pixels = np.asarray(open_picture(picture.path).convert(mode))
            found[f"{FILES}{picture.image}/{picture.kind}"] = normalised(pixels)
    return found


def _exported(graph: StepGraph, device: Device, weights: Mapping[str, Any], pairs: Pairs) -> Pictures:
    found: Pictures = {}
    for kind, prefix in GENERATORS.items():
        definition = frozen_generator(graph.options.shape, weights, prefix)
        with tf.Graph().as_default():
            tf.import_graph_def(definition, name="")
            with device.open_session() as session:
                for pair in pairs:
                    image = normalised(getattr(pair, kind[0])[np.newaxis])
                    (found[f"exported/{pair.name}/{kind}"],) = session.run(f"{OUTPUT}:0", {f"{INPUT}:0": image})
    return found


def normalised(pixels: Any) -> Any:
    """float32 in [-1, 1] of uint8."""
    return np.asarray(pixels, np.float32) / np.float32(127.5) - np.float32(1)
