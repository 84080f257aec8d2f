"""Drawing with a pair of generators: sample pictures, and frozen graphs for Ascend's ATC and any TensorFlow."""

import dataclasses
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from PIL import Image

from dualgan import networks
from dualgan.checkpoints import Checkpoints, newest_values
from dualgan.dataset_folder import DOMAINS, list_images
from dualgan.devices import Device, open_recorded_device
from dualgan.errors import BadInput
from dualgan.feed import open_dataset
from dualgan.image_cache import MODES, decoded_images
from dualgan.losses import Translations
from dualgan.names import shortened
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
        images[domain], names[domain] = decoded_images(options, split, domain, digest, cache)
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
        inputs.append(SampleInput(name, **{**blanks, longer: images[longer][index]}, domains=(longer,)))
    return inputs


def to_picture(image: Any) -> Image.Image:
    """A picture of float32 [S, S, C] in [-1, 1]."""
    pixels = np.clip(np.rint((image + 1.0) * 127.5), 0, 255).astype(np.uint8)
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def normalised(pixels: Any) -> Any:
    """float32 in [-1, 1] of uint8."""
    return np.asarray(pixels, np.float32) / np.float32(127.5) - np.float32(1)


def draw(folder: Path, inputs: Pairs, sample: Callable[[Any, Any], Translations]) -> None:
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

    Returns how many images were drawn of each domain. Raises BadInput if ``output`` holds anything but sample pictures:
    drawing replaces the folder.
    """
    if count < 0:
        raise BadInput(f"--count {count}: must be 0 or more")
    folder, output = RunFolder(Path(run_dir)), Path(output)
    if output.exists() and not output.is_dir():
        raise BadInput(f"{output}: not a folder; name an empty or new one")
    others = set(output.glob("*")) - {sample.path for sample in read_samples(output)}
    if others:
        raise BadInput(f"{output}: holds {others.pop().name}, no sample; name an empty or new folder")
    options = recorded_options(folder)
    options = dataclasses.replace(
        options, data_dir=str(data_dir or options.data_dir), cache_dir=str(cache_dir or options.cache_dir)
    )
    dataset, cache = open_dataset(options)
    device = open_recorded_device(options, device_name)
    inputs = sample_inputs(options, dataset.digest, cache, count)
    with tf.Graph().as_default() as graph:
        variables = create_variables(networks.generators_variables(options), device.use_resource)
        drawing = SampleGraph(options, list(variables.values()), device.kernels())
        checkpoints = Checkpoints(folder.checkpoints, options.keep_checkpoints)
        graph.finalize()
        with device.open_session() as session:
            checkpoint, _ = checkpoints.restore_newest(session)
            if checkpoint is None:
                raise BadInput(f"{folder.checkpoints}: no checkpoint to draw with; train first")
            draw(output, inputs, drawing.sample_callable(session))
    return {domain: sum(domain in item.domains for item in inputs) for domain in DOMAINS}


def require_empty(output: Path) -> None:
    """Raise BadInput if ``output`` is there and no empty folder."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise BadInput(f"{output}: not empty; name an empty or new folder")


def export(run_dir: Path, output: Path) -> int:
    """Write ``A2B.pb``, ``B2A.pb`` and ``signature.json`` into ``output``, whole or not at all; return their step.

    Each graph takes ``img``, float32 [1, S, S, C] in [-1, 1], RGB, and gives ``output`` alike. Raises BadInput if
    there is no checkpoint or ``output`` is not empty.
    """
    folder, output = RunFolder(Path(run_dir)), Path(output)
    options = recorded_options(folder)
    require_empty(output)
    side = options.image_size
    step, weights = generator_weights(folder, options)
    signature = {
        "input": {"name": INPUT, "dtype": "float32", "layout": "NHWC", "batch": 1, "height": side, "width": side},
        "output": {"name": OUTPUT, "dtype": "float32", "layout": "NHWC", "range": [-1, 1]},
        "graphs": {
            "A2B.pb": {"input_channels": options.A_channels, "output_channels": options.B_channels},
            "B2A.pb": {"input_channels": options.B_channels, "output_channels": options.A_channels},
        },
        "channel_order": "RGB",
        "preprocessing": "resize to height x width (Pillow, bilinear), then x / 127.5 - 1",
        "postprocessing": "round((y + 1) * 127.5), clipped to 0..255",
        "step": step,
        "dataset": read_json(folder.options).get("dataset"),
    }
    with whole_folder(output) as unfinished:
        for direction in GENERATORS:
            graph = frozen_generator(options, weights, direction)
            (unfinished / f"{direction}.pb").write_bytes(graph.SerializeToString())
        write_json(unfinished / SIGNATURE, signature)
    return step


def generator_weights(folder: RunFolder, options: TrainOptions) -> Tuple[int, Dict[str, Any]]:
    """Return the step of a run's newest checkpoint, and both generators' weights in it. Raises BadInput."""
    names = {spec.name for spec in networks.generators_variables(options)}
    step, weights = newest_values(folder.checkpoints, names)
    if len(weights) < len(names):
        raise BadInput(f"{folder.checkpoints}: a damaged checkpoint (it lacks {min(names.difference(weights))})")
    return step, weights


def frozen_generator(options: TrainOptions, weights: Mapping[str, Any], direction: str) -> Any:
    """A GraphDef of the generator of ``direction`` whose ``weights`` are constants, without dropout."""
    prefix = GENERATORS[direction]
    names = [spec.name for spec in networks.generators_variables(options) if spec.name.startswith(prefix + "_")]
    side, channels = options.image_size, options.A_channels if direction == "A2B" else options.B_channels
    with tf.Graph().as_default() as graph:
        constants = {name: tf.constant(weights[name], name=name) for name in names}
        image = tf.placeholder(tf.float32, [1, side, side, channels], INPUT)
        tf.identity(networks.generator(image, constants, prefix), OUTPUT)
        return graph.as_graph_def()


@contextmanager
def running(definition: Any, device: Device) -> Iterator[Callable[[Any], Any]]:
    """Yield a frozen generator as a function of uint8 pixels [S, S, C] that gives float32 [S, S, C] in [-1, 1]."""
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
        graph.finalize()
        with device.open_session() as session:
            run = session.make_callable(f"{OUTPUT}:0", feed_list=[graph.get_tensor_by_name(f"{INPUT}:0")])
            yield lambda pixels: run(normalised(pixels)[np.newaxis])[0]


def drawing(graph: StepGraph, device: Device) -> Callable[[Any, Mapping[str, Any], Pairs], Pictures]:
    """Return a function of session, weights and pairs of images that draws with these weights on every path.

    Those are floats as `sample` has them, what is read back from the files that it writes, and the exported graphs.
    """
    options = graph.options

    def drawn(session: Any, weights: Mapping[str, Any], pairs: Pairs) -> Pictures:
        sample = graph.drawing.sample_callable(session)
        found: Pictures = {}
        images = iter(pairs)

        def noted(A: Any, B: Any) -> Translations:
            translations, name = sample(A, B), next(images).name
            found.update({f"drawn/{name}/{kind}": getattr(translations, kind)[0] for kind in TRANSLATED})
            return translations

        with tempfile.TemporaryDirectory() as temporary:
            draw(Path(temporary) / "pictures", pairs, noted)
            for picture in read_samples(Path(temporary) / "pictures"):
                mode = MODES[options.A_channels if picture.kind.endswith("A") else options.B_channels]
                pixels = np.asarray(open_picture(picture.path).convert(mode))
                found[f"{FILES}{picture.image}/{picture.kind}"] = normalised(pixels)
        for direction in GENERATORS:
            with running(frozen_generator(options, weights, direction), device) as translated:
                for pair in pairs:
                    found[f"exported/{pair.name}/{direction}"] = translated(getattr(pair, direction[0]))
        return found

    return drawn
