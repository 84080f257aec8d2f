"""What the drawing paths make of images from given weights: samples, their picture files, and the exported graphs."""

import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Sequence

import numpy as np
from PIL import Image

from dualgan.devices import Device
from dualgan.export_command import INPUT, OUTPUT, frozen_generator
from dualgan.graph import StepGraph
from dualgan.losses import Translations
from dualgan.replay_bounds import FILES
from dualgan.run_folder import read_samples
from dualgan.sampling import SampleInput, draw
from dualgan.tensorflow_v1 import tf

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
