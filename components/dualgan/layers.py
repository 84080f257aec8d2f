"""The layers of the networks, as functions of tensors (float32, NHWC)."""

from typing import Any

import numpy as np

from dualgan.tensorflow_v1 import custom_gradient, tf

Tensor = Any

LEAK = 0.2
NORM_EPSILON = 1e-6


class Kernels:
    """The layers' larger operations as TensorFlow computes them. Convolutions have stride 2 and SAME padding."""

    def convolution(self, x: Tensor, w: Tensor) -> Tensor:
        """[N, H, W, C] and a filter [k, k, C, D] to [N, H/2, W/2, D]."""
        return tf.nn.conv2d(x, w, strides=[1, 2, 2, 1], padding="SAME")

    def deconvolution(self, x: Tensor, w: Tensor) -> Tensor:
        """The transposed convolution: [N, H, W, C] and a filter [k, k, D, C] to [N, 2H, 2W, D]."""
        batch, height, width, _ = x.shape.as_list()
        shape = [batch, 2 * height, 2 * width, w.shape.as_list()[2]]
        return tf.nn.conv2d_transpose(x, w, shape, strides=[1, 2, 2, 1], padding="SAME")


PLAIN = Kernels()


def mean_over_image(x: Tensor) -> Tensor:
    """Mean of [N, H, W, C] over H and W, [N, 1, 1, C]. Its gradient is a product: faster than Tile."""
    _, height, width, _ = x.shape.as_list()

    @custom_gradient
    def mean(x: Tensor) -> Any:
        share = tf.fill([1, height, width, 1], 1.0 / (height * width))
        return tf.reduce_mean(x, [1, 2], keepdims=True), lambda g: g * share

    return mean(x)


def instance_norm(x: Tensor, scale: Tensor, center: Tensor) -> Tensor:
    """Normalise [N, H, W, C] over H and W for each sample and channel, then scale [C] and center [C].

    The mean is held constant in the variance's gradient, as tf.nn.moments does it. That changes second derivatives, and
    so the gradient penalty: the original trains with them, and so do we.
    """
    if x.shape.as_list()[1:3] == [1, 1]:
        # A single pixel is its own mean. Written out, its zero gradient drowns in rounding errors times 1e3.
        return tf.zeros_like(x) + center
    deviation = x - mean_over_image(x)

    @custom_gradient
    def from_constant_mean(_: Tensor) -> Any:
        return tf.identity(deviation), lambda g: g

    variance = mean_over_image(tf.square(from_constant_mean(x)))
    # The small factors first: one product less of the whole image.
    return deviation * (tf.rsqrt(variance + NORM_EPSILON) * scale) + center


def leaky_relu(x: Tensor) -> Tensor:
    return tf.nn.leaky_relu(x, LEAK)


def linear(x: Tensor, matrix: Tensor, bias: Tensor) -> Tensor:
    """One linear layer over everything but the batch: [N, H, W, C] to [N, units]."""
    return tf.matmul(tf.reshape(x, [-1, int(np.prod(x.shape.as_list()[1:]))]), matrix) + bias


def dropout(x: Tensor, mask: Tensor, rate: float) -> Tensor:
    """Drop what ``mask`` (0 or 1, the shape of x) leaves out and keep the expectation."""
    return x * (tf.cast(mask, x.dtype) * (1.0 / (1.0 - rate)))
