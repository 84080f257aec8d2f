"""Record golden files of other options and seeds, in a loop of its own. Python 3.7 with TensorFlow 1.15.0:

PYTHONPATH=components:. .venv-tf1/bin/python -m tests.components.dualgan.recorder FILE.npz --GAN_type wgan --n_critic 2

The arithmetic is written as the original writes it: tf.nn.moments and tf.maximum for normalisation and rectifiers, each
loss fetched before the update that it belongs to, an update a session.run, and TensorFlow's graph optimiser on. What
each case starts from is the product's own: files of the original itself are beside this one.
"""

import argparse
import json
from pathlib import Path
from typing import Any, Dict, List
from unittest import mock

import numpy as np

from dualgan import layers, losses, networks
from dualgan.losses import LossOptions
from dualgan.networks import Shape
from dualgan.options import Parser, TrainOptions, add_options
from dualgan.step import translate
from dualgan.subsample import subsample
from dualgan.tensorflow_v1 import tf
from dualgan.weights import average_of, drawn_averages, drawn_epsilon, drawn_images, drawn_weights
from tests.bench.reference_loop import AS_WRITTEN

SIZE, FILTERS, CASES = 256, 2, 3
OPTIONS = (
    *("GAN_type", "disc_type", "loss_metric", "batch_size", "lambda_A", "lambda_B", "n_critic", "clip_value", "lr"),
    *("rmsprop_decay", "seed"),
)
CRITIC_TERMS = {"Ad_fake": "Ad_fake", "Ad_real": "Ad_real", "Bd_fake": "Bd_fake", "Bd_real": "Bd_real"}
CRITIC_TERMS.update({"Ad": "Ad_loss", "Bd": "Bd_loss", "d_loss": "d_loss"})
GENERATOR_TERMS = {"Ag": "Ag_loss", "Bg": "Bg_loss", "A_loss": "A_loss", "B_loss": "B_loss", "g_loss": "g_loss"}


class Original:
    """The original's graph, in the current default graph."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        shape = Shape(SIZE, 3, 3, FILTERS, FILTERS, options.disc_type)
        self.images = {domain: tf.placeholder(tf.float32, [options.batch_size, SIZE, SIZE, 3]) for domain in "AB"}
        self.epsilons = {domain: tf.placeholder(tf.float32, [options.batch_size, 1, 1, 1]) for domain in "AB"}
        self._specs = networks.all_variables(shape)
        self.variables = {
            spec.name: tf.get_variable(spec.name, spec.shape, tf.float32, tf.zeros_initializer())
            for spec in self._specs
        }
        weights = {name: tf.convert_to_tensor(variable) for name, variable in self.variables.items()}
        with mock.patch.multiple(layers, **AS_WRITTEN):
            self._build(weights)

    def _build(self, weights: Dict[str, Any]) -> None:
        options = self._options
        pictures = self.translations = translate(self.images["A"], self.images["B"], weights, layers.PLAIN)
        terms = LossOptions(options.GAN_type, options.loss_metric, options.lambda_A, options.lambda_B)

        def critic(prefix: str) -> Any:
            return lambda image: networks.critic(image, weights, prefix, options.disc_type)

        epsilons = (self.epsilons["A"], self.epsilons["B"])
        self.critic_terms = losses.critic_losses(critic("A_d"), critic("B_d"), pictures, *epsilons, terms)
        self.generator_terms = losses.generator_losses(critic("A_d"), critic("B_d"), pictures, terms)
        critics = [v for name, v in self.variables.items() if networks.is_critic_variable(name)]
        generators = [v for name, v in self.variables.items() if not networks.is_critic_variable(name)]
        self.optimizers: List[Any] = []
        self.critics = self._minimise(self.critic_terms["d_loss"], critics)
        self.generators = self._minimise(self.generator_terms["g_loss"], generators)
        limit = options.clip_value
        self.clip = [variable.assign(tf.clip_by_value(variable, -limit, limit)) for variable in critics]

    def _minimise(self, loss: Any, variables: List[Any]) -> Any:
        """Gradients by name, and the update."""
        optimizer = tf.train.RMSPropOptimizer(self._options.lr, decay=self._options.rmsprop_decay)
        pairs = optimizer.compute_gradients(loss, var_list=variables)
        self.optimizers.append(optimizer)
        gradients = {v.op.name: tf.zeros_like(v) if gradient is None else gradient for gradient, v in pairs}
        return gradients, optimizer.apply_gradients(pairs)

    def set_state(self, session: Any, seed: int, number: int) -> None:
        session.run(tf.global_variables_initializer())
        for name, value in drawn_weights(self._specs, seed, biases=number > 0).items():
            self.variables[name].load(value, session)
        averages = drawn_averages(self._specs, seed) if number else {}
        for name, variable in self.variables.items():
            if number:
                slot = self.optimizers[0 if networks.is_critic_variable(name) else 1].get_slot(variable, "rms")
                slot.load(averages[average_of(name)], session)

    def step(self, session: Any, number: int, feed: Dict[Any, Any]) -> Dict[str, Any]:
        """Do the step of case ``number``: its losses and gradients, by the names of a golden file."""
        options = self._options
        terms, gradients = session.run([self.critic_terms, self.critics[0]], feed)
        session.run(self.critics[1], feed)
        if options.GAN_type == "wgan":
            session.run(self.clip)
        gradients.update(session.run(self.generators[0], feed))
        updates = 2 if options.GAN_type == "classic" else int((number + 2) % options.n_critic == 0)
        later = session.run(self.generator_terms, feed)
        for _ in range(updates):
            later = session.run(self.generator_terms, feed)
            session.run(self.generators[1], feed)
        result: Dict[str, Any] = {"loss/" + name: np.float64(terms[term]) for name, term in CRITIC_TERMS.items()}
        result.update({"loss/" + name: np.float64(later[term]) for name, term in GENERATOR_TERMS.items()})
        for name, value in gradients.items():
            result["gradient/" + name] = subsample(value, 16).elements
            result["gradient_norm/" + name] = np.linalg.norm(np.float64(value))
        return result


def case(original: Original, session: Any, options: argparse.Namespace, number: int) -> Dict[str, Any]:
    """The arrays of a golden file, of one case."""
    seed, batch = 1000 * options.seed + number, options.batch_size
    original.set_state(session, seed, number)
    feed = {original.epsilons[domain]: drawn_epsilon(domain, seed, batch) for domain in "AB"}
    for domain in "AB":
        images = drawn_images(domain, seed, batch).astype(np.float32)
        feed[original.images[domain]] = images / np.float32(127.5) - np.float32(1)
    kinds = ("A2B", "A2B2A", "B2A", "B2A2B")
    pictures = session.run([getattr(original.translations, kind) for kind in kinds], feed)
    result = {"output/" + kind: picture[:, ::32, ::32] for kind, picture in zip(kinds, pictures)}
    before = session.run(original.variables)
    result.update(original.step(session, number, feed))
    after = session.run(original.variables)
    for name in after:
        result["update/" + name] = subsample(after[name] - before[name], 16).elements
        result["update_norm/" + name] = np.linalg.norm(np.float64(after[name] - before[name]))
    return result


def main() -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    add_options(parser, OPTIONS)
    defaults = TrainOptions(lr=1e-3, seed=100)
    parser.set_defaults(**{name: getattr(defaults, name) for name in OPTIONS})
    options = parser.parse_args()
    original = Original(options)
    with tf.Session() as session:
        found = [case(original, session, options, number) for number in range(CASES)]
    meta = {name: value for name, value in vars(options).items() if name != "file"}
    meta.update(schema_version=2, cases=CASES, image_size=SIZE, gcn=FILTERS, dcn=FILTERS, rmsprop_epsilon=1e-10)
    arrays: Dict[str, Any] = {name: np.stack([results[name] for results in found]) for name in found[0]}
    np.savez_compressed(str(options.file), meta=np.array(json.dumps(meta)), **arrays)


if __name__ == "__main__":
    main()
