"""The layers of the networks, as functions of tensors (float32, NHWC)."""

from typing import Any, List

from dualgan.tensorflow_v1 import tf

Tensor = Any

LEAK = 0.2
NORM_EPSILON = 1e-6


def convolution(x: Tensor, w: Tensor, biases: Tensor) -> Tensor:
    """Convolution of stride 2 with SAME padding: [N, H, W, C] and w [k, k, C, D] to [N, H/2, W/2, D]."""
    return tf.nn.bias_add(tf.nn.conv2d(x, w, strides=[1, 2, 2, 1], padding="SAME"), biases)


def deconvolution(x: Tensor, w: Tensor, biases: Tensor) -> Tensor:
    """Transposed convolution of stride 2: [N, H, W, C] and w [k, k, D, C] to [N, 2H, 2W, D]."""
    batch, height, width, _ = x.shape.as_list()
    shape = [batch, 2 * height, 2 * width, w.shape.as_list()[2]]
    return tf.nn.bias_add(tf.nn.conv2d_transpose(x, w, shape, strides=[1, 2, 2, 1], padding="SAME"), biases)


def instance_norm(x: Tensor, scale: Tensor, center: Tensor) -> Tensor:
    """Normalise [N, H, W, C] over H and W for each sample and channel, then scale [C] and center [C].

    tf.nn.moments holds the mean constant in the variance's gradient. That changes second derivatives, and so the
    gradient penalty: the original trains with them, and so do we.
    """
    if x.shape.as_list()[1:3] == [1, 1]:
        # A single pixel is its own mean. Written out, its zero gradient drowns in rounding errors times 1e3.
        return tf.zeros_like(x) + center
    mean, variance = tf.nn.moments(x, [1, 2], keep_dims=True)
    return (x - mean) * tf.rsqrt(variance + NORM_EPSILON) * scale + center


def leaky_relu(x: Tensor) -> Tensor:
    return tf.maximum(x, LEAK * x)


def linear(x: Tensor, matrix: Tensor, bias: Tensor) -> Tensor:
    """One linear layer over everything but the batch: [N, H, W, C] to [N, units]."""
    size = 1
    for side in x.shape.as_list()[1:]:
        size *= side
    return tf.matmul(tf.reshape(x, [-1, size]), matrix) + bias


def dropout(x: Tensor, mask: Tensor, rate: float) -> Tensor:
    """Drop what ``mask`` (0 or 1, the shape of x) leaves out and keep the expectation."""
    return x * (tf.cast(mask, x.dtype) * (1.0 / (1.0 - rate)))


def split_flat(flat: Tensor, shapes: List[List[int]]) -> List[Tensor]:
    """Cut [N, sum of sizes] into tensors [N] + shape, one for each of ``shapes``."""
    sizes = []
    for shape in shapes:
        size = 1
        for side in shape:
            size *= side
        sizes.append(size)
    return [tf.reshape(part, [-1] + shape) for part, shape in zip(tf.split(flat, sizes, axis=1), shapes)]
