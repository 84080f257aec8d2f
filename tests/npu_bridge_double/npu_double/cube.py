"""The rounding of an Ascend 910's matrix unit, emulated: it takes float16 factors and sums their products in float32.

    NPU_BRIDGE_DOUBLE_CUBE=factors    factors of convolutions and matrix products are float16 (force_fp32)
    NPU_BRIDGE_DOUBLE_CUBE=results    their results are float16 as well (allow_fp32_to_fp16)

What it does to a training shows what to expect of an NPU at best: order of sums and the vector unit are not emulated.
"""

import os
from typing import Any

import tensorflow.compat.v1 as tf
from tensorflow.python.ops import gen_math_ops, gen_nn_ops, nn_ops

from npu_double.contract import ContractError

VARIABLE = "NPU_BRIDGE_DOUBLE_CUBE"
# The products, their arguments, and which of these are factors.
PRODUCTS = (
    (gen_nn_ops, "conv2d", ("input", "filter"), (0, 1)),
    (gen_nn_ops, "conv2d_backprop_input", ("input_sizes", "filter", "out_backprop"), (1, 2)),
    (gen_nn_ops, "conv2d_backprop_filter", ("input", "filter_sizes", "out_backprop"), (0, 2)),
    (gen_math_ops, "mat_mul", ("a", "b"), (0, 1)),
)
LARGEST = 65504.0


def install() -> None:
    """Round as the variable says; nothing where it is unset."""
    chosen = os.environ.get(VARIABLE, "")
    if chosen not in ("", "factors", "results"):
        raise ContractError("{}={}: must be factors or results".format(VARIABLE, chosen))
    if not chosen:
        return
    for module, name, names, positions in PRODUCTS:
        plain = getattr(module, name)
        replacement = _rounded(plain, names, positions, chosen == "results")
        setattr(module, name, replacement)
        if getattr(nn_ops, name, None) is plain:
            setattr(nn_ops, name, replacement)


def _rounded(product: Any, names: Any, positions: Any, results: Any) -> Any:
    def rounded_product(*arguments: Any, **named: Any) -> Any:
        given = list(arguments)
        for position in positions:
            if position < len(given):
                given[position] = to_float16(given[position])
            else:
                named[names[position]] = to_float16(named[names[position]])
        result = product(*given, **named)
        return to_float16(result) if results else result

    return rounded_product


@tf.custom_gradient
def to_float16(x: Any) -> Any:
    """``x`` as float16 holds it; too large a number becomes the largest, as on the NPU. Gradients pass as they are."""
    rounded = tf.cast(tf.cast(tf.clip_by_value(x, -LARGEST, LARGEST), tf.float16), tf.float32)
    return rounded, lambda gradient: gradient
