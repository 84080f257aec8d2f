"""A training loop shaped like the reference's, as what the trainer's speed is compared with.

The same model and arithmetic, done as the reference implementations do it: images decoded and scaled to floats within
the loop, two session.run a step that each translate the images anew, critics applied to real and translated images one
by one, TensorFlow's graph optimiser on. Python 3.7, either TensorFlow.
"""

from pathlib import Path
from typing import Any, Callable, Dict, List
from unittest import mock

import numpy as np

from dualgan import layers, losses, networks
from dualgan.image_cache import resized
from dualgan.losses import Translations
from dualgan.options import TrainOptions
from dualgan.pictures import open_picture
from dualgan.step import translate
from dualgan.tensorflow_v1 import tf


def instance_norm(x: Any, scale: Any, center: Any) -> Any:
    mean, variance = tf.nn.moments(x, [1, 2], keep_dims=True)
    return (x - mean) * tf.rsqrt(variance + layers.NORM_EPSILON) * scale + center


def leaky_relu(x: Any) -> Any:
    return tf.maximum(x, layers.LEAK * x)


# The layers that the reference writes otherwise, for mock.patch.multiple.
AS_WRITTEN: Dict[str, Any] = {"instance_norm": instance_norm, "leaky_relu": leaky_relu}


class ReferenceLoop:
    """One training step after the other on the images of two lists of files."""

    def __init__(self, options: TrainOptions, files: Dict[str, List[Path]]) -> None:
        self._side = options.image_size
        self._files = files
        self.feeds = {
            domain: tf.placeholder(tf.float32, [1, self._side, self._side, 3], "real_" + domain) for domain in "AB"
        }
        self.variables = {
            spec.name: tf.get_variable(spec.name, spec.shape, tf.float32, tf.zeros_initializer())
            for spec in networks.all_variables(options)
        }
        weights = {name: tf.convert_to_tensor(variable) for name, variable in self.variables.items()}
        with mock.patch.multiple(layers, **AS_WRITTEN):
            self._build(options, weights)

    def _build(self, options: TrainOptions, weights: Dict[str, Any]) -> None:
        images = translate(self.feeds["A"], self.feeds["B"], weights, layers.PLAIN)

        def critic(prefix: str) -> Callable[[Any], Any]:
            return lambda image: networks.critic(image, weights, prefix, options.disc_type)

        critics = _critic_losses(critic("A_d"), critic("B_d"), images)
        generators = losses.generator_losses(critic("A_d"), critic("B_d"), images, options)
        self.d_loss, self.g_loss = critics["d_loss"], generators["g_loss"]
        self._critic_terms = [critics[name] for name in ("Ad_fake", "Ad_real", "Bd_fake", "Bd_real")]
        self._generator_terms = [generators[name] for name in ("Ag_loss", "Bg_loss", "A_loss", "B_loss")]
        self._d_update = self._minimise(options.lr, self.d_loss, critics=True)
        self._g_update = self._minimise(options.lr, self.g_loss, critics=False)

    def _minimise(self, lr: float, loss: Any, critics: bool) -> Any:
        chosen = [v for name, v in self.variables.items() if networks.is_critic_variable(name) == critics]
        return tf.train.RMSPropOptimizer(lr, decay=0.9).minimize(loss, var_list=chosen)

    def _batch(self, domain: str, step: int) -> Any:
        files = self._files[domain]
        image = resized(open_picture(files[step % len(files)]), self._side, 3)
        return (image / 127.5 - 1.0).astype(np.float32)[np.newaxis]

    def step(self, session: Any, step: int) -> List[float]:
        """The generators' losses of step ``step``."""
        feed = {self.feeds[domain]: self._batch(domain, step) for domain in "AB"}
        session.run([self._d_update] + self._critic_terms, feed)
        return list(session.run([self._g_update] + self._generator_terms, feed)[1:])


def _critic_losses(
    critic_of_A_g: Callable[[Any], Any], critic_of_B_g: Callable[[Any], Any], images: Translations
) -> Dict[str, Any]:
    terms = {}
    total = 0.0
    for name, critic, real, fake in (
        ("Ad", critic_of_A_g, images.real_B, images.A2B),
        ("Bd", critic_of_B_g, images.real_A, images.B2A),
    ):
        terms[name + "_fake"] = tf.reduce_mean(critic(fake))
        terms[name + "_real"] = -tf.reduce_mean(critic(real))
        penalty = losses.gradient_penalty(critic, real, fake, tf.random_uniform([1, 1, 1, 1]))
        total += terms[name + "_fake"] + terms[name + "_real"] + losses.GRADIENT_PENALTY_WEIGHT * penalty
    terms["d_loss"] = total
    return terms
