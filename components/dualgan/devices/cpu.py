"""The CPU."""

import os
import platform
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional

from dualgan.devices import Device
from dualgan.layers import Kernels
from dualgan.tensorflow_v1 import custom_gradient, tf

Tensor = Any
STRIDES = [1, 2, 2, 1]
# A filter of this many numbers on so few pixels is bound by memory.
LARGE_FILTER = 1 << 20
SMALL_SIDE = 32
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

    def convolution(self, x: Tensor, w: Tensor) -> Tensor:
        """[N, H, W, C] with a filter [k, k, C, D] to [N, H/2, W/2, D]."""

        @custom_gradient
        def convolved(inner_x: Tensor, inner_w: Tensor) -> Any:
            def gradients(g: Tensor) -> List[Tensor]:
                return [self.image_gradient(x.shape.as_list(), w, g), self.filter_gradient(x, w.shape.as_list(), g)]

            if not self._cuts_patches(x, w.shape.as_list()):
                return tf.nn.conv2d(inner_x, inner_w, strides=STRIDES, padding="SAME"), gradients
            batch, height, width, _ = x.shape.as_list()
            product = self._patches_of(x).times(_block_filter(inner_w))
            return tf.reshape(product, [batch, height // 2, width // 2, w.shape.as_list()[3]]), gradients

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
            return tf.nn.conv2d_backprop_input(shape, inner_w, inner_g, strides=STRIDES, padding="SAME"), gradients

        return gradient(w, g)

    def filter_gradient(self, x: Tensor, shape: List[int], g: Tensor) -> Tensor:
        """The gradient of a convolution by its filter of ``shape``; g: that by its result."""

        @custom_gradient
        def gradient(inner_x: Tensor, inner_g: Tensor) -> Any:
            def gradients(v: Tensor) -> List[Tensor]:
                return [self.image_gradient(x.shape.as_list(), v, g), self.convolution(x, v)]

            if _is_bound_by_filter(x.shape.as_list(), shape):
                return _filter_gradient_by_product(inner_x, shape, inner_g), gradients
            if not self._cuts_patches(x, shape):
                return tf.nn.conv2d_backprop_filter(inner_x, shape, inner_g, strides=STRIDES, padding="SAME"), gradients
            flat = tf.reshape(inner_g, [-1, shape[3]])
            products = [tf.matmul(flat, part, transpose_a=True) for part in self._patches_of(x).parts]
            return _filter_of_blocks(tf.concat(products, 1), shape), gradients

        return gradient(x, g)

    def _cuts_patches(self, x: Tensor, filter_shape: List[int]) -> bool:
        return self._tensorflow_1 and filter_shape[0] == PATCH_KERNEL and x.shape.as_list()[3] <= FEW_CHANNELS

    def _patches_of(self, x: Tensor) -> Patches:
        if x.name not in self._patches:
            self._patches[x.name] = _patches(x)
        return self._patches[x.name]


def _is_bound_by_filter(image: List[int], filter_shape: List[int]) -> bool:
    height, width, channels, results = filter_shape
    return height * width * channels * results >= LARGE_FILTER and image[1] <= SMALL_SIDE


def _filter_gradient_by_product(x: Tensor, shape: List[int], g: Tensor) -> Tensor:
    height, width, _, results = shape
    patches = tf.image.extract_image_patches(x, [1, height, width, 1], STRIDES, [1, 1, 1, 1], "SAME")
    flat = tf.reshape(patches, [-1, patches.shape.as_list()[3]])
    return tf.reshape(tf.matmul(flat, tf.reshape(g, [-1, results]), transpose_a=True), shape)


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
