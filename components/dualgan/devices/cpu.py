"""The CPU."""

import os
import platform
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import numpy as np

from dualgan.devices import Device
from dualgan.layers import Kernels
from dualgan.tensorflow_v1 import custom_gradient, tf

Tensor = Any
STRIDES = [1, 2, 2, 1]
KERNEL = 3
BLOCK_KERNEL = 5
FEW_CHANNELS = 4
# A row of so many numbers is copied at the memory's rate.
MANY_CHANNELS = 64
# Up to this side patches are small enough to be kept from a convolution to its filter's gradient.
SMALL_SIDE = 32
# A filter of this many numbers on a small image is bound by memory.
LARGE_FILTER = 1 << 20


class CpuKernels(Kernels):
    """The layers of one graph on a CPU. Their gradients have gradients.

    Where it is faster, a layer is one product of its filter with a matrix of patches: a copy of what the filter sees of
    the image, a row for each pixel of the result.
    """

    def __init__(self, tensorflow_1: bool) -> None:
        """tensorflow_1: whether to do what only TensorFlow 1.15's kernels need."""
        self._tensorflow_1 = tensorflow_1
        self._kept: Dict[str, Tensor] = {}
        self._pixels: Dict[Tuple[int, ...], Tensor] = {}

    def convolution(self, x: Tensor, w: Tensor) -> Tensor:
        """[N, H, W, C] with a filter [k, k, C, D] to [N, H/2, W/2, D]."""
        (batch, height, width, _), shape = x.shape.as_list(), w.shape.as_list()

        @custom_gradient
        def convolved(inner_x: Tensor, inner_w: Tensor) -> Any:
            def gradients(g: Tensor) -> List[Tensor]:
                return [self.image_gradient(x.shape.as_list(), w, g), self.filter_gradient(x, shape, g)]

            if self._sees_blocks(x, shape):
                product = tf.matmul(self._once(self._block_patches, x), _block_filter(inner_w))
            elif _is_small(x, shape):
                product = tf.matmul(self._once(self._patches, x), tf.reshape(inner_w, [-1, shape[3]]))
            else:
                return tf.nn.conv2d(inner_x, inner_w, strides=STRIDES, padding="SAME"), gradients
            return tf.reshape(product, [batch, height // 2, width // 2, shape[3]]), gradients

        return convolved(x, w)

    def deconvolution(self, x: Tensor, w: Tensor) -> Tensor:
        """[N, H, W, C] with a filter [k, k, D, C] to [N, 2H, 2W, D]."""
        batch, height, width, _ = x.shape.as_list()
        return self.image_gradient([batch, 2 * height, 2 * width, w.shape.as_list()[2]], w, x)

    def image_gradient(self, shape: List[int], w: Tensor, g: Tensor) -> Tensor:
        """The gradient of a convolution by its image of ``shape``; g: that by its result."""
        filter_shape = w.shape.as_list()

        @custom_gradient
        def gradient(inner_w: Tensor, inner_g: Tensor) -> Any:
            def gradients(h: Tensor) -> List[Tensor]:
                return [self.filter_gradient(h, filter_shape, g), self.convolution(h, w)]

            if shape[1] <= SMALL_SIDE and np.prod(filter_shape) >= LARGE_FILTER:
                return _image_gradient_by_product(shape, inner_w, inner_g), gradients
            if not self._tensorflow_1 and filter_shape[0] == BLOCK_KERNEL and shape[3] <= FEW_CHANNELS:
                return _image_gradient_by_blocks(inner_w, inner_g), gradients
            return tf.nn.conv2d_backprop_input(shape, inner_w, inner_g, strides=STRIDES, padding="SAME"), gradients

        return gradient(w, g)

    def filter_gradient(self, x: Tensor, shape: List[int], g: Tensor) -> Tensor:
        """The gradient of a convolution by its filter of ``shape``; g: that by its result."""

        @custom_gradient
        def gradient(inner_x: Tensor, inner_g: Tensor) -> Any:
            def gradients(v: Tensor) -> List[Tensor]:
                return [self.image_gradient(x.shape.as_list(), v, g), self.convolution(x, v)]

            flat = tf.reshape(inner_g, [-1, shape[3]])
            if self._sees_blocks(x, shape):
                product = tf.matmul(flat, self._once(self._block_patches, x), transpose_a=True)
                return _filter_of_blocks(product, shape), gradients
            if _is_small(x, shape):
                return tf.reshape(tf.matmul(self._once(self._patches, x), flat, transpose_a=True), shape), gradients
            if shape[0] == KERNEL and shape[2] >= MANY_CHANNELS:
                # Patches of a large image are made anew: kept since its convolution, they would take much memory.
                with tf.control_dependencies([flat]):
                    patches = self._patches(tf.identity(x))
                if self._tensorflow_1:
                    # It multiplies a tall matrix that is to be transposed at half the rate.
                    product = _transposed(tf.matmul(_transposed(flat), patches))
                else:
                    product = tf.matmul(patches, flat, transpose_a=True)
                return tf.reshape(product, shape), gradients
            return tf.nn.conv2d_backprop_filter(inner_x, shape, inner_g, strides=STRIDES, padding="SAME"), gradients

        return gradient(x, g)

    def _sees_blocks(self, x: Tensor, filter_shape: List[int]) -> bool:
        return self._tensorflow_1 and filter_shape[0] == BLOCK_KERNEL and x.shape.as_list()[3] <= FEW_CHANNELS

    def _once(self, patches: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        if x.name not in self._kept:
            self._kept[x.name] = patches(x)
        return self._kept[x.name]

    def _patches(self, x: Tensor) -> Tensor:
        """What a filter [3, 3, C, D] sees of an image [N, H, W, C]: [N * H/2 * W/2, 9 * C]."""
        return self._neighbours(x, stride=2, before=0)

    def _block_patches(self, x: Tensor) -> Tensor:
        """What a filter [5, 5, C, D] sees of an image [N, H, W, C], as 3 x 3 blocks of 2 x 2 pixels.

        Returns [N * H/2 * W/2, 36 * C]; _block_filter has the filter in this order.
        """
        return self._neighbours(tf.space_to_depth(x, 2), stride=1, before=1)

    def _neighbours(self, x: Tensor, stride: int, before: int) -> Tensor:
        """Three by three pixels for every ``stride``-th one of [N, H, W, C], from ``before`` rows and columns ahead.

        Returns [N * H/stride * W/stride, 9 * C], zero beyond the image. Gathered pixel by pixel, which is a copy at the
        memory's rate: six times as fast as TensorFlow's own patches.
        """
        batch, height, width, channels = x.shape.as_list()
        place = (height, width, stride, before)
        if place not in self._pixels:
            # One table for all images of a size: a graph has 2 GB at most. It waits for nothing.
            with tf.control_dependencies(None):
                self._pixels[place] = tf.constant(_neighbouring_pixels(*place))
        pixels = tf.concat([tf.reshape(x, [batch, -1, channels]), tf.zeros([batch, 1, channels])], 1)
        return tf.reshape(tf.gather(pixels, self._pixels[place], axis=1), [-1, 9 * channels])


def _is_small(x: Tensor, filter_shape: List[int]) -> bool:
    return filter_shape[0] == KERNEL and x.shape.as_list()[1] <= SMALL_SIDE


def _transposed(matrix: Tensor) -> Tensor:
    rows, columns = matrix.shape.as_list()
    # TensorFlow 1.15 transposes a batch of matrices by tiles, a matrix number by number: ten times as slow.
    return tf.reshape(tf.transpose(tf.reshape(matrix, [1, rows, columns]), [0, 2, 1]), [columns, rows])


def _neighbouring_pixels(height: int, width: int, stride: int, before: int) -> Any:
    """Numbers of the pixels that CpuKernels._neighbours gathers, int32; height * width if there is none."""
    pixels = np.arange(height * width, dtype=np.int32).reshape(height, width)
    pixels = np.pad(pixels, [(before, 2), (before, 2)], "constant", constant_values=height * width)
    row, column = (np.arange(0, side, stride)[:, np.newaxis] + np.arange(3) for side in (height, width))
    return pixels[row[:, np.newaxis, :, np.newaxis], column[:, np.newaxis, :]].reshape(-1)


def _block_filter(w: Tensor) -> Tensor:
    """A filter [5, 5, C, D] in the order of _block_patches, whose blocks start a pixel early: [36 * C, D]."""
    _, _, channels, results = w.shape.as_list()
    padded = tf.reshape(tf.pad(w, [[1, 0], [1, 0], [0, 0], [0, 0]]), [3, 2, 3, 2, channels, results])
    return tf.reshape(tf.transpose(padded, [0, 2, 1, 3, 4, 5]), [36 * channels, results])


def _filter_of_blocks(product: Tensor, shape: List[int]) -> Tensor:
    """What _block_filter makes, transposed ([D, 36 * C]), back to a filter of ``shape``."""
    _, _, channels, results = shape
    ordered = tf.transpose(tf.reshape(product, [results, 3, 3, 2, 2, channels]), [1, 3, 2, 4, 5, 0])
    return tf.reshape(ordered, [6, 6, channels, results])[1:, 1:]


def _image_gradient_by_blocks(w: Tensor, g: Tensor) -> Tensor:
    """For a filter [5, 5, C, D]: a convolution of stride 1 gives each pixel of ``g`` its block of 2 x 2 pixels.

    Row 2q of the result is touched by row 3 of the filter at row q - 1 of ``g`` and by row 1 at q; row 2q + 1 by
    rows 4, 2 and 0 at q - 1, q and q + 1; columns alike.
    """
    _, _, channels, results = w.shape.as_list()
    order = [3, 4, 1, 2, 5, 0]
    padded = tf.pad(w, [[0, 1], [0, 1], [0, 0], [0, 0]])
    taps = tf.gather(tf.gather(padded, order, axis=0), order, axis=1)
    ordered = tf.transpose(tf.reshape(taps, [3, 2, 3, 2, channels, results]), [0, 2, 5, 1, 3, 4])
    blocks = tf.nn.conv2d(g, tf.reshape(ordered, [3, 3, results, 4 * channels]), strides=[1, 1, 1, 1], padding="SAME")
    return tf.depth_to_space(blocks, 2)


def _image_gradient_by_product(shape: List[int], w: Tensor, g: Tensor) -> Tensor:
    """For a filter [3, 3, C, D]: an even row of the result is touched by the first row of the filter at its pixel of
    ``g`` and by the last one at the pixel above, an odd row by the middle one only; columns alike.
    """
    batch, height, width, channels = shape
    half = [batch, height // 2, width // 2]
    product = tf.matmul(tf.reshape(w, [9 * channels, -1]), tf.reshape(g, [-1, w.shape.as_list()[3]]), transpose_b=True)
    # A slice of the first dimension shares its memory.
    taps = tf.reshape(product, [9, channels] + half)

    def tap(row: int, column: int) -> Tensor:
        return taps[3 * row + column]

    def from_above(x: Tensor) -> Tensor:
        return tf.pad(x[:, :, :-1], [[0, 0], [0, 0], [1, 0], [0, 0]])

    def from_left(x: Tensor) -> Tensor:
        return tf.pad(x[:, :, :, :-1], [[0, 0], [0, 0], [0, 0], [1, 0]])

    quarters = [
        tap(0, 0) + from_left(tap(0, 2)) + from_above(tap(2, 0) + from_left(tap(2, 2))),
        tap(0, 1) + from_above(tap(2, 1)),
        tap(1, 0) + from_left(tap(1, 2)),
        tap(1, 1),
    ]
    blocks = tf.reshape(tf.concat(quarters, 0), [4 * channels, -1])
    return tf.depth_to_space(tf.reshape(_transposed(blocks), half + [4 * channels]), 2)


def _processor() -> str:
    """The processor's name as Linux gives it, else what the platform module knows."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.lower().startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _is_tensorflow_1() -> bool:
    return bool(tf.version.VERSION.startswith("1."))


class Cpu(Device):
    """The CPU, whatever else the machine has."""

    kind = "cpu"

    def session_config(self) -> Any:
        config = super().session_config()
        config.device_count["GPU"] = 0
        if not self.options.threads:
            # A step has two halves, one for each direction: at most times there are two operations to do.
            config.intra_op_parallelism_threads = max(1, len(os.sched_getaffinity(0)) // 2)
        # The optimiser reorders sums differently for each set of fetches; without it one run a step and two, and any
        # two processes, agree to the last bit.
        config.graph_options.rewrite_options.disable_meta_optimizer = True
        return config

    def kernels(self) -> Kernels:
        return CpuKernels(tensorflow_1=_is_tensorflow_1())

    def describe(self) -> Dict[str, Any]:
        onednn = not _is_tensorflow_1() and os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1") != "0"
        return {
            "kind": self.kind,
            "name": _processor(),
            "cores": os.cpu_count(),
            "onednn": onednn,
            "products": self.matmul_input_dtype,
        }
