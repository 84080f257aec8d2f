"""The CPU."""

import os
import platform
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import numpy as np

from dualgan.devices import Device
from dualgan.layers import Kernels
from dualgan.tensorflow_v1 import custom_gradient, tf

Tensor = Any
STRIDES = [1, 2, 2, 1]
# Up to this side the patches of an image are small enough to be kept from a convolution to its filter's gradient.
SMALL_SIDE = 32
# A filter of this many numbers on a small image is bound by memory.
LARGE_FILTER = 1 << 20
# A row of patches this wide is copied at the memory's rate.
MANY_CHANNELS = 64
PATCH_KERNEL = 5
FEW_CHANNELS = 4
FEW_RESULTS = 8


class Patches(NamedTuple):
    """The patches of an image [N, H, W, C] that a 5 x 5 filter sees, in three rows of blocks of 2 x 2 pixels.

    parts: a row of blocks each, [N * H/2 * W/2, 3 blocks * 2 * 2 * C].
    whole: of one image, what the parts are cut of: they start W/2 below each other. None of several images.
    """

    parts: List[Tensor]
    whole: Optional[Tensor]

    def times(self, block_filter: Tensor) -> Tensor:
        """The product with what _block_filter makes, [36 * C, D]: [N * H/2 * W/2, D]."""
        filters = tf.split(block_filter, 3)
        results = block_filter.shape.as_list()[1]
        if self.whole is None or results > FEW_RESULTS:
            return tf.add_n([tf.matmul(part, part_w) for part, part_w in zip(self.parts, filters)])
        # A product this narrow is bound by reading the patches: read them once.
        products = tf.matmul(self.whole, tf.concat(filters, 1))
        count = self.parts[0].shape.as_list()[0]
        below = (products.shape.as_list()[0] - count) // 2
        return tf.add_n([tf.slice(products, [i * below, i * results], [count, results]) for i in range(3)])


class CpuKernels(Kernels):
    """The layers of one graph on a CPU. Their gradients have gradients."""

    def __init__(self, tensorflow_1: bool) -> None:
        """tensorflow_1: whether to do what only TensorFlow 1.15's kernels need."""
        self._tensorflow_1 = tensorflow_1
        self._patches: Dict[str, Patches] = {}
        self._patch_matrices: Dict[str, Tensor] = {}

    def convolution(self, x: Tensor, w: Tensor) -> Tensor:
        """[N, H, W, C] with a filter [k, k, C, D] to [N, H/2, W/2, D]."""

        @custom_gradient
        def convolved(inner_x: Tensor, inner_w: Tensor) -> Any:
            def gradients(g: Tensor) -> List[Tensor]:
                return [self.image_gradient(x.shape.as_list(), w, g), self.filter_gradient(x, w.shape.as_list(), g)]

            batch, height, width, _ = x.shape.as_list()
            results = w.shape.as_list()[3]
            if self._cuts_patches(x, w.shape.as_list()):
                product = self._patches_of(x).times(_block_filter(inner_w))
            elif _is_small(x.shape.as_list(), w.shape.as_list()):
                product = tf.matmul(self._patch_matrix_of(x), tf.reshape(inner_w, [-1, results]))
            else:
                return tf.nn.conv2d(inner_x, inner_w, strides=STRIDES, padding="SAME"), gradients
            return tf.reshape(product, [batch, height // 2, width // 2, results]), gradients

        return convolved(x, w)

    def deconvolution(self, x: Tensor, w: Tensor) -> Tensor:
        """[N, H, W, C] with a filter [k, k, D, C] to [N, 2H, 2W, D]."""
        batch, height, width, _ = x.shape.as_list()
        return self.image_gradient([batch, 2 * height, 2 * width, w.shape.as_list()[2]], w, x)

    def image_gradient(self, shape: List[int], w: Tensor, g: Tensor) -> Tensor:
        """The gradient of a convolution by its image of ``shape``; g: that by its result."""

        @custom_gradient
        def gradient(inner_w: Tensor, inner_g: Tensor) -> Any:
            def gradients(h: Tensor) -> List[Tensor]:
                return [self.filter_gradient(h, w.shape.as_list(), g), self.convolution(h, w)]

            if _is_bound_by_filter(shape, w.shape.as_list()):
                return _image_gradient_by_product(shape, inner_w, inner_g), gradients
            if not self._tensorflow_1 and w.shape.as_list()[0] == PATCH_KERNEL and shape[3] <= FEW_CHANNELS:
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
            if self._cuts_patches(x, shape):
                products = [tf.matmul(flat, part, transpose_a=True) for part in self._patches_of(x).parts]
                return _filter_of_blocks(tf.concat(products, 1), shape), gradients
            if _is_small(x.shape.as_list(), shape):
                return tf.reshape(tf.matmul(self._patch_matrix_of(x), flat, transpose_a=True), shape), gradients
            if not self._tensorflow_1 and shape[0] == 3 and shape[2] >= MANY_CHANNELS:
                # Made anew: kept since the convolution, the patches would double the step's memory.
                return tf.reshape(tf.matmul(_patch_matrix(x, [flat]), flat, transpose_a=True), shape), gradients
            return tf.nn.conv2d_backprop_filter(inner_x, shape, inner_g, strides=STRIDES, padding="SAME"), gradients

        return gradient(x, g)

    def _cuts_patches(self, x: Tensor, filter_shape: List[int]) -> bool:
        return self._tensorflow_1 and filter_shape[0] == PATCH_KERNEL and x.shape.as_list()[3] <= FEW_CHANNELS

    def _patches_of(self, x: Tensor) -> Patches:
        if x.name not in self._patches:
            self._patches[x.name] = _patches(x)
        return self._patches[x.name]

    def _patch_matrix_of(self, x: Tensor) -> Tensor:
        if x.name not in self._patch_matrices:
            self._patch_matrices[x.name] = _patch_matrix(x)
        return self._patch_matrices[x.name]


def _is_small(image: List[int], filter_shape: List[int]) -> bool:
    return filter_shape[0] == 3 and image[1] <= SMALL_SIDE


def _is_bound_by_filter(image: List[int], filter_shape: List[int]) -> bool:
    height, width, channels, results = filter_shape
    return height * width * channels * results >= LARGE_FILTER and image[1] <= SMALL_SIDE


def _patch_matrix(x: Tensor, after: Sequence[Tensor] = ()) -> Tensor:
    """The patches of an image [N, H, W, C] that a 3 x 3 filter sees, as rows: [N * H/2 * W/2, 9 * C].

    Gathered pixel by pixel: a copy at the memory's rate, six times as fast as TensorFlow's own patches.
    after: tensors that are to be there before, so that the patches are not made long before they are needed.
    """
    batch, height, width, channels = x.shape.as_list()
    row, column = (2 * np.arange(side // 2)[:, np.newaxis] + np.arange(3) for side in (height, width))
    pixels = np.arange(height * width).reshape(height, width)
    # The patches of the last row and column reach a pixel beyond the image: a row of zeros at the end.
    pixels = np.pad(pixels, [(0, 1), (0, 1)], "constant", constant_values=-1)[
        row[:, np.newaxis, :, np.newaxis], column[:, np.newaxis, :]
    ]
    numbers = np.arange(batch).reshape([-1, 1, 1, 1, 1]) * (height * width) + pixels
    numbers[:, pixels < 0] = batch * height * width
    with tf.control_dependencies(list(after)):
        padded = tf.concat([tf.reshape(x, [-1, channels]), tf.zeros([1, channels])], 0)
    return tf.reshape(tf.gather(padded, numbers.astype(np.int32).reshape(-1)), [-1, 9 * channels])


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


def _patches(x: Tensor) -> Patches:
    batch, height, width, channels = x.shape.as_list()
    height, width, size = height // 2, width // 2, 4 * channels
    # Concatenated and cut as matrices: only those does TensorFlow 1.15 copy row by row, not number by number.
    blocks = tf.reshape(tf.space_to_depth(x, 2), [batch * height, width * size])
    edge = tf.zeros([batch * height, size])
    left = tf.concat([edge, tf.slice(blocks, [0, 0], [-1, (width - 1) * size])], 1)
    right = tf.concat([tf.slice(blocks, [0, size], [-1, (width - 1) * size]), edge], 1)
    row = width * 3 * size
    rows = tf.reshape(tf.concat([tf.reshape(part, [-1, size]) for part in (left, blocks, right)], 1), [batch, -1])
    beyond = tf.zeros([batch, row])
    padded = tf.concat([beyond, rows, beyond], 1)
    if batch == 1:
        whole = tf.reshape(padded, [-1, 3 * size])
        # A slice of the first dimension shares its memory if the rest is a multiple of a vector register.
        by_row = tf.reshape(padded, [height + 2, row])
        parts = [by_row[start : start + height] for start in range(3)]
    else:
        whole = None
        parts = [tf.slice(padded, [0, start * row], [-1, height * row]) for start in range(3)]
    return Patches([tf.reshape(part, [-1, 3 * size]) for part in parts], whole)


def _block_filter(w: Tensor) -> Tensor:
    """A filter [5, 5, C, D] in the order of _patches, whose blocks start a pixel early: [36 * C, D]."""
    _, _, channels, results = w.shape.as_list()
    padded = tf.reshape(tf.pad(w, [[1, 0], [1, 0], [0, 0], [0, 0]]), [3, 2, 3, 2, channels, results])
    return tf.reshape(tf.transpose(padded, [0, 2, 1, 3, 4, 5]), [36 * channels, results])


def _filter_of_blocks(product: Tensor, shape: List[int]) -> Tensor:
    """What _block_filter makes, transposed ([D, 36 * C]), back to a filter of ``shape``."""
    _, _, channels, results = shape
    ordered = tf.transpose(tf.reshape(product, [results, 3, 3, 2, 2, channels]), [1, 3, 2, 4, 5, 0])
    return tf.reshape(ordered, [6, 6, channels, results])[1:, 1:]


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
    return tf.depth_to_space(tf.reshape(tf.transpose(blocks), half + [4 * channels]), 2)


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
