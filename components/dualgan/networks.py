"""The generators (U-Nets) and critics of DualGAN: their variables, and what they compute.

Sources: the paper (arXiv 1704.02510) and the original implementation (duxingren14/DualGAN); variable names are the
original's, so that its checkpoints load.
"""

from functools import partial
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from dualgan import layers
from dualgan.layers import PLAIN, Kernels
from dualgan.options import TrainOptions
from dualgan.tensorflow_v1 import tf

Tensor = Any
Weights = Dict[str, Tensor]
GENERATOR_WIDTHS = (1, 2, 4, 8)
CRITIC_WIDTHS = (1, 2, 4, 8, 8)
DROPPED_DECODER_LAYERS = 3
# The graph's collection of (layer, output), in the order of computation.
LAYERS = "layers"
WEIGHT_STDDEV = 0.02


class VariableSpec(NamedTuple):
    """A variable and its initial distribution: normal(mean, stddev), cut at two stddev if ``truncated``."""

    name: str
    shape: Tuple[int, ...]
    mean: float = 0.0
    stddev: float = 0.0
    truncated: bool = False


def _convolution(name: str, kernel: int, inputs: int, outputs: int) -> List[VariableSpec]:
    weights = VariableSpec(name + "/w", (kernel, kernel, inputs, outputs), stddev=WEIGHT_STDDEV, truncated=True)
    return [weights, VariableSpec(name + "/biases", (outputs,))]


def _deconvolution(name: str, kernel: int, inputs: int, outputs: int) -> List[VariableSpec]:
    weights = VariableSpec(name + "/w", (kernel, kernel, outputs, inputs), stddev=WEIGHT_STDDEV)
    return [weights, VariableSpec(name + "/biases", (outputs,))]


def _norm(name: str, size: int) -> List[VariableSpec]:
    return [VariableSpec(name + "/scale", (size,), 1.0, WEIGHT_STDDEV), VariableSpec(name + "/center", (size,))]


def depth(image_size: int) -> int:
    """Return how many times an image can be halved: the generator's encoder has that many layers, 8 at 256 px."""
    return image_size.bit_length() - 1


def encoder_filters(image_size: int, gcn: int) -> List[int]:
    """Filters of e1, e2, ...: the reference's gcn x 1, 2, 4, 8, 8, ... ."""
    widest = len(GENERATOR_WIDTHS) - 1
    return [gcn * GENERATOR_WIDTHS[min(layer, widest)] for layer in range(depth(image_size))]


def generator_variables(prefix: str, image_size: int, inputs: int, outputs: int, gcn: int) -> List[VariableSpec]:
    """The variables of generator ``prefix`` ("A_g" or "B_g") from ``inputs`` to ``outputs`` channels."""
    filters = encoder_filters(image_size, gcn)
    specs = _convolution(prefix + "_e1_conv", 5, inputs, filters[0])
    for layer, (narrow, wide) in enumerate(zip(filters, filters[1:]), 2):
        specs += _convolution(f"{prefix}_e{layer}_conv", 3, narrow, wide)
        specs += _norm(f"{prefix}_bn_e{layer}", wide)
    width = filters[-1]
    for layer, skip in enumerate(reversed(filters[:-1]), 1):
        specs += _deconvolution(f"{prefix}_d{layer}", 3, width, skip)
        specs += _norm(f"{prefix}_bn_d{layer}", skip)
        width = 2 * skip
    return specs + _deconvolution(f"{prefix}_d{len(filters)}", 5, width, outputs)


def dropout_shapes(image_size: int, gcn: int) -> List[List[int]]:
    """[H, W, C] of the decoder layers that dropout acts on."""
    skips = encoder_filters(image_size, gcn)[-2::-1][:DROPPED_DECODER_LAYERS]
    return [[2**layer, 2**layer, skip] for layer, skip in enumerate(skips, 1)]


def dropout_size(image_size: int, gcn: int) -> int:
    """Count the features of a sample that dropout acts on, all layers together."""
    return sum(height * width * filters for height, width, filters in dropout_shapes(image_size, gcn))


def _noted(layer: str, features: Tensor) -> Tensor:
    tf.add_to_collection(LAYERS, (layer, features))
    return features


def _apply_filter(weights: Weights, kernel: Callable[[Tensor, Tensor], Tensor], features: Tensor, name: str) -> Tensor:
    return _noted(name, tf.nn.bias_add(kernel(features, weights[name + "/w"]), weights[name + "/biases"]))


def _normalise(weights: Weights, features: Tensor, name: str) -> Tensor:
    return _noted(name, layers.instance_norm(features, weights[name + "/scale"], weights[name + "/center"]))


def generator(
    x: Tensor,
    weights: Weights,
    prefix: str,
    masks: Optional[Sequence[Tensor]] = None,
    rate: float = 0.0,
    kernels: Kernels = PLAIN,
) -> Tensor:
    """Translate [N, S, S, C] in [-1, 1] to the other domain, [N, S, S, D] in [-1, 1].

    masks: what dropout keeps (0 or 1), one for each of dropout_shapes, [N] + shape; None drops nothing.
    """
    convolved = partial(_apply_filter, weights, kernels.convolution)
    deconvolved = partial(_apply_filter, weights, kernels.deconvolution)
    levels = depth(x.shape.as_list()[1])
    encoded = [convolved(x, prefix + "_e1_conv")]
    for layer in range(2, levels + 1):
        features = convolved(layers.leaky_relu(encoded[-1]), f"{prefix}_e{layer}_conv")
        encoded.append(_normalise(weights, features, f"{prefix}_bn_e{layer}"))
    decoded = encoded.pop()
    for layer in range(1, levels):
        features = deconvolved(tf.nn.relu(decoded), f"{prefix}_d{layer}")
        features = _normalise(weights, features, f"{prefix}_bn_d{layer}")
        if masks is not None and layer <= len(masks):
            features = layers.dropout(features, masks[layer - 1], rate)
        decoded = tf.concat([features, encoded.pop()], 3)
    return tf.tanh(deconvolved(tf.nn.relu(decoded), f"{prefix}_d{levels}"))


# The names of the original, which calls its fifth convolution h3_1.
_CRITIC_CONVOLUTIONS = ("h0_conv", "h1_conv", "h2_conv", "h3_conv", "h3_1_conv")
_CRITIC_NORMS = ("", "bn1", "bn2", "bn3", "bn3_1")


def critic_layers(image_size: int) -> int:
    """Kernels before the critic's last layer: the reference's five if the image is 64 px or larger.

    A sixteenth of 32 px is 2 px; one layer more would normalise single pixels, which are then the same for any image.
    """
    return min(len(CRITIC_WIDTHS), depth(image_size) - 1)


def critic_variables(prefix: str, image_size: int, inputs: int, dcn: int, disc_type: str) -> List[VariableSpec]:
    """The variables of critic ``prefix`` ("A_d" or "B_d") of images with ``inputs`` channels."""
    specs, width, count = [], inputs, critic_layers(image_size)
    for layer in range(count):
        wider = dcn * CRITIC_WIDTHS[layer]
        specs += _convolution(f"{prefix}_{_CRITIC_CONVOLUTIONS[layer]}", 3 if layer else 5, width, wider)
        if layer:
            specs += _norm(f"{prefix}_{_CRITIC_NORMS[layer]}", wider)
        width = wider
    if disc_type == "patchgan":
        return specs + _convolution(prefix + "_h4", 3, width, 1)
    side = image_size >> count
    name = prefix + "_d_h3_lin"
    matrix = VariableSpec(name + "/Matrix", (side * side * width, 1), stddev=WEIGHT_STDDEV)
    return [*specs, matrix, VariableSpec(name + "/bias", (1,))]


def critic(x: Tensor, weights: Weights, prefix: str, disc_type: str, kernels: Kernels = PLAIN) -> Tensor:
    """Judge [N, S, S, C]: [N, 1] for globalgan, [N, S/64, S/64, 1] for patchgan; no sigmoid."""
    convolved = partial(_apply_filter, weights, kernels.convolution)
    features = x
    for layer in range(critic_layers(x.shape.as_list()[1])):
        features = convolved(features, f"{prefix}_{_CRITIC_CONVOLUTIONS[layer]}")
        if layer:
            features = _normalise(weights, features, f"{prefix}_{_CRITIC_NORMS[layer]}")
        features = layers.leaky_relu(features)
    if disc_type == "patchgan":
        return convolved(features, prefix + "_h4")
    name = prefix + "_d_h3_lin"
    return _noted(name, layers.linear(features, weights[name + "/Matrix"], weights[name + "/bias"]))


def generators_variables(options: TrainOptions) -> List[VariableSpec]:
    """The variables of both generators. A_g translates A to B, B_g B to A."""
    size, A, B, gcn = options.image_size, options.A_channels, options.B_channels, options.gcn
    return generator_variables("A_g", size, A, B, gcn) + generator_variables("B_g", size, B, A, gcn)


def all_variables(options: TrainOptions) -> List[VariableSpec]:
    """The variables of both generators, then of both critics. A_d judges domain B, B_d domain A."""
    size, A, B, dcn, kind = options.image_size, options.A_channels, options.B_channels, options.dcn, options.disc_type
    critics = critic_variables("A_d", size, B, dcn, kind) + critic_variables("B_d", size, A, dcn, kind)
    return generators_variables(options) + critics


def is_critic_variable(name: str) -> bool:
    return name.startswith(("A_d_", "B_d_"))
