"""Record golden files of other options, with a graph of the original's shape. Python 3.7 with TensorFlow 1.15.0:

PYTHONPATH=components:. .venv-tf1/bin/python -m tests.components.dualgan.recorder FILE.npz --GAN_type wgan --n_critic 2

Images come from the golden files beside this one. The arithmetic is written as the original writes it: tf.nn.moments
and tf.maximum for normalisation and rectifiers, each loss fetched before the update that it belongs to, an update a
session.run, and TensorFlow's graph optimiser on.
"""

import argparse
import json
from pathlib import Path
from typing import Any, Dict, List
from unittest import mock

import numpy as np

from dualgan import golden, layers, losses, networks
from dualgan.golden_replay import TERM_NAMES
from dualgan.graph import CLASSIC_GENERATOR_UPDATES, updates_generators
from dualgan.losses import LossOptions
from dualgan.networks import Shape
from dualgan.options import DISC_TYPES, GAN_TYPES, LOSS_METRICS
from dualgan.randomness import initial_value
from dualgan.sample_graph import translate
from dualgan.tensorflow_v1 import tf
from tests.bench.reference_loop import AS_WRITTEN

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.npz"))
SIZE, FILTERS = 256, 2


class Original:
    """The original's graph, in the current default graph."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self.shape = Shape(SIZE, 3, 3, FILTERS, FILTERS, options.disc_type)
        self.images = {domain: tf.placeholder(tf.float32, [options.batch_size, SIZE, SIZE, 3]) for domain in "AB"}
        self.epsilons = {domain: tf.placeholder(tf.float32, [options.batch_size, 1, 1, 1]) for domain in "AB"}
        self.variables = {
            spec.name: tf.get_variable(spec.name, spec.shape, tf.float32, tf.zeros_initializer())
            for spec in networks.all_variables(self.shape)
        }
        weights = {name: tf.convert_to_tensor(variable) for name, variable in self.variables.items()}
        with mock.patch.multiple(layers, **AS_WRITTEN):
            self._build(weights)

    def _build(self, weights: Dict[str, Any]) -> None:
        options = self._options
        images = self.translations = translate(self.images["A"], self.images["B"], weights, layers.PLAIN)
        terms = LossOptions(options.GAN_type, options.loss_metric, options.lambda_A, options.lambda_B)

        def critic(prefix: str) -> Any:
            return lambda image: networks.critic(image, weights, prefix, options.disc_type)

        self.critic_terms = losses.critic_losses(
            critic("A_d"), critic("B_d"), images, self.epsilons["A"], self.epsilons["B"], terms
        )
        self.generator_terms = losses.generator_losses(critic("A_d"), critic("B_d"), images, terms)
        critics = [v for name, v in self.variables.items() if networks.is_critic_variable(name)]
        generators = [v for name, v in self.variables.items() if not networks.is_critic_variable(name)]
        self.update_critics = self._minimise(self.critic_terms["d_loss"], critics)
        self.update_generators = self._minimise(self.generator_terms["g_loss"], generators)
        limit = options.clip_value
        self.clip = [variable.assign(tf.clip_by_value(variable, -limit, limit)) for variable in critics]

    def _minimise(self, loss: Any, variables: List[Any]) -> Any:
        options = self._options
        return tf.train.RMSPropOptimizer(options.lr, decay=options.rmsprop_decay).minimize(loss, var_list=variables)

    def step(self, session: Any, number: int, feed: Dict[Any, Any]) -> Dict[str, float]:
        """Do a step; the losses by the run folder's names."""
        GAN_type = self._options.GAN_type
        terms = session.run(self.critic_terms, feed)
        session.run(self.update_critics, feed)
        if GAN_type == "wgan":
            session.run(self.clip)
        if not updates_generators(GAN_type, self._options.n_critic, number):
            return dict(terms, **session.run(self.generator_terms, feed))
        for _ in range(CLASSIC_GENERATOR_UPDATES if GAN_type == "classic" else 1):
            found = session.run(self.generator_terms, feed)
            session.run(self.update_generators, feed)
        return dict(terms, **found)


def record(options: argparse.Namespace) -> Dict[str, Any]:
    """The arrays of a golden file but for "meta"."""
    random = np.random.RandomState(options.seed)
    arrays = {"input/" + domain: _images(domain, options, random) for domain in "AB"}
    epsilons = {domain: random.rand(options.steps, options.batch_size, 1, 1, 1).astype(np.float32) for domain in "AB"}
    if options.GAN_type == "wgan-gp":
        arrays.update({"input/epsilon_" + domain: values for domain, values in epsilons.items()})
    original = Original(options)
    weights = {spec.name: initial_value(spec, options.seed) for spec in networks.all_variables(original.shape)}
    arrays.update({"init/" + name: value for name, value in weights.items()})
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for name, variable in original.variables.items():
            variable.load(weights[name], session)

        def images(step: int) -> Dict[Any, Any]:
            return {original.images[domain]: _normalised(arrays["input/" + domain][step]) for domain in "AB"}

        def translations(moment: str, *kinds: str) -> Dict[str, Any]:
            found = session.run([getattr(original.translations, kind) for kind in kinds], images(0))
            stride = golden.PIXEL_STRIDE
            return {moment + "/" + kind: value[:, ::stride, ::stride] for kind, value in zip(kinds, found)}

        before = translations("before", "A2B", "A2B2A", "B2A", "B2A2B")
        found = []
        for step in range(options.steps):
            feed = images(step)
            feed.update({original.epsilons[domain]: epsilons[domain][step] for domain in "AB"})
            found.append(original.step(session, step + 1, feed))
        arrays.update(before, **translations("after", "A2B", "B2A"))
    for name in golden.RECORDED_TERMS:
        arrays["loss/" + name] = np.array([float(terms[TERM_NAMES.get(name, name)]) for terms in found])
    return arrays


def _images(domain: str, options: argparse.Namespace, random: Any) -> Any:
    """uint8 [steps, batch, S, S, 3]: the golden files' images and their mirror images, in any order."""
    loaded = [np.load(str(file))["input/" + domain].reshape(-1, SIZE, SIZE, 3) for file in GOLDEN]
    images = np.concatenate(loaded + [image[:, :, ::-1] for image in loaded])
    count = options.steps * options.batch_size
    return images[random.permutation(len(images))[:count]].reshape(options.steps, -1, SIZE, SIZE, 3)


def _normalised(images: Any) -> Any:
    return images.astype(np.float32) / np.float32(127.5) - np.float32(1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--GAN_type", choices=GAN_TYPES, default="wgan-gp")
    parser.add_argument("--disc_type", choices=DISC_TYPES, default="globalgan")
    parser.add_argument("--loss_metric", choices=LOSS_METRICS, default="L1")
    parser.add_argument("--batch_size", type=int, default=1)
    parser.add_argument("--lambda_A", type=float, default=1000.0)
    parser.add_argument("--lambda_B", type=float, default=1000.0)
    parser.add_argument("--n_critic", type=int, default=1)
    parser.add_argument("--clip_value", type=float, default=0.01)
    parser.add_argument("--lr", type=float, default=5e-5)
    parser.add_argument("--rmsprop_decay", type=float, default=0.9)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    meta = {name: value for name, value in vars(options).items() if name not in ("file", "seed")}
    meta.update(name=options.file.stem, image_size=SIZE, gcn=FILTERS, dcn=FILTERS, tensorflow=tf.version.VERSION)
    np.savez(str(options.file), meta=np.array(json.dumps(meta)), **record(options))


if __name__ == "__main__":
    main()
