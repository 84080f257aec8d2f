"""What a graph costs: floating point operations of its products, and bytes that its operations read and write."""

from typing import Any, List, Sequence

import numpy as np

from dualgan.step import StepGraph
from dualgan.taps import operations_behind

# Where a convolution has its filter, and the image that holds a number for each use of the filter.
_CONVOLUTIONS = {
    "Conv2D": (("input", 1), ("output", 0)),
    "Conv2DBackpropInput": (("input", 1), ("input", 2)),
    "Conv2DBackpropFilter": (("output", 0), ("input", 2)),
}
# They hand a tensor on, or make one of no size.
_WITHOUT_TRAFFIC = {"Const", "Identity", "IdentityN", "NoOp", "Placeholder", "ReadVariableOp", "Reshape", "VarHandleOp"}
# Weights, the optimiser's two slots, each read and written, and the gradient.
_PASSES_OF_AN_UPDATE = 7


def flops_of(fetches: Sequence[Any]) -> int:
    """Multiplications and additions (two for each product) of one run of ``fetches``.

    Kernels, their gradients and matrix products count; what else a step computes is below one in a hundred.
    All shapes must be static.
    """
    return sum(_flops(operation) for operation in operations_behind(fetches))


def fetches_of_step(graph: StepGraph) -> List[List[Any]]:
    """What a training step that updates critics and generators fetches, in each of its runs."""
    return [list(phase.operations) + list(phase.terms.values()) for phase in graph.phases(True)]


def flops_per_step(graph: StepGraph) -> int:
    """What flops_of counts in a training step that updates critics and generators."""
    return sum(flops_of(run) for run in fetches_of_step(graph))


def bytes_per_step(graph: StepGraph) -> int:
    """What the operations of a step read and write if none finds anything in a cache.

    These are weights, gradients, slots and activations, each as often as an operation goes over it.
    """
    return sum(_bytes(operation) for run in fetches_of_step(graph) for operation in operations_behind(run))


def _bytes(operation: Any) -> int:
    if operation.type in _WITHOUT_TRAFFIC:
        return 0
    if operation.type == "ResourceApplyRMSProp":
        return _PASSES_OF_AN_UPDATE * _size(operation.inputs[-1])
    return sum(_size(tensor) for tensor in [*operation.inputs, *operation.outputs])


def _size(tensor: Any) -> int:
    return int(np.prod(tensor.shape.as_list())) * (tensor.dtype.size or 0)


def _flops(operation: Any) -> int:
    if operation.type == "MatMul":
        rows, columns = operation.outputs[0].shape.as_list()
        inner = operation.inputs[0].shape.as_list()[0 if operation.get_attr("transpose_a") else 1]
        return int(2 * rows * columns * inner)
    if operation.type not in _CONVOLUTIONS:
        return 0
    kernel, coarse = (
        (operation.inputs if side == "input" else operation.outputs)[index].shape.as_list()
        for side, index in _CONVOLUTIONS[operation.type]
    )
    return int(2 * np.prod(kernel) * np.prod(coarse[:3]))
