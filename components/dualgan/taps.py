"""Where a training step's layers and gradients are in its graph, found there without adding to it.

The graph that trains is looked at, so that what is recorded is what the device computes in training.
"""

from typing import Any, Dict, List, NamedTuple, Optional, Set

from dualgan import networks
from dualgan.graph import StepGraph
from dualgan.graph_walk import operations_behind
from dualgan.networks import is_critic_variable
from dualgan.replay_bounds import UPDATED
from dualgan.tensorflow_v1 import tf

Tensor = Any

# What the first and second use of a generator make, in the order in which the graph is built.
TRANSLATIONS = {"A_g": ("A2B", "B2A2B"), "B_g": ("B2A", "A2B2A")}
_SAME_VALUE = ("Identity", "ReadVariableOp", "Switch", "RefSwitch", "Enter")
# Of resource variables and of reference variables.
_VARIABLES = ("VarHandleOp", "VariableV2")
_UPDATES = ("ResourceApply", "Apply")
_SUMS = ("BiasAdd", "Add", "AddV2")


class Taps(NamedTuple):
    """Tensors of a graph. critic_gradients, generator_gradients: by variable, as the optimiser gets them;

    critic_layers, generator_layers: layers' outputs by "what it is a part of/layer", in the order of computation:
    those that the critics' gradients need, and those that the generators' need besides.
    """

    critic_gradients: Dict[str, Tensor]
    generator_gradients: Dict[str, Tensor]
    critic_layers: Dict[str, Tensor]
    generator_layers: Dict[str, Tensor]


def find(graph: StepGraph, critics: Set[str]) -> Taps:
    """The taps of ``graph``; critics: the names of the critics' variables."""
    gradients = _gradients(set(graph.variables))
    of_critics = {name: tensor for name, tensor in gradients.items() if name in critics}
    of_generators = {name: tensor for name, tensor in gradients.items() if name not in critics}
    layers = _layers(operations_behind(list(gradients.values())), set(graph.variables))
    behind_critics = set(operations_behind(list(of_critics.values())))
    first = {name: tensor for name, tensor in layers.items() if tensor.op in behind_critics}
    # The critics' update moves such a bias by rounding alone; the normalisation behind it takes that out again.
    depth = networks.depth(graph.options.shape.image_size)
    moved = {name[: -len("/biases")] for name in critics if is_normalised_away(name, depth)}
    rest = {}
    for name, tensor in layers.items():
        layer = name.partition("/")[2]
        if name not in first and layer not in moved:
            rest[UPDATED + layer if is_critic_variable(layer) else name] = tensor
    return Taps(of_critics, of_generators, first, rest)


def is_normalised_away(variable: str, depth: int) -> bool:
    """Whether ``variable`` is a bias before a normalisation: its gradient is zero but for rounding.

    depth: networks.depth of the images' size.
    """
    layer, _, kind = variable.rpartition("/")
    return kind == "biases" and layer[4:] not in ("e1_conv", f"d{depth}", "h0_conv", "h4")


def variable_of(tensor: Tensor, known: Set[str]) -> Optional[str]:
    """The variable whose value or handle ``tensor`` is, None where it is another tensor."""
    operation = tensor.op
    while operation.type in _SAME_VALUE and operation.inputs:
        operation = operation.inputs[0].op
    return operation.name if operation.type in _VARIABLES and operation.name in known else None


def _gradients(variables: Set[str]) -> Dict[str, Tensor]:
    """What the first update of each variable is made of."""
    found: Dict[str, Tensor] = {}
    for operation in tf.get_default_graph().get_operations():
        if operation.type.startswith(_UPDATES):
            name = variable_of(operation.inputs[0], variables)
            if name is not None and name not in found:
                gradient = operation.inputs[-1]
                while gradient.op.type in ("Switch", "RefSwitch"):
                    gradient = gradient.op.inputs[0]
                found[name] = gradient
    return found


def _layers(needed: List[Any], variables: Set[str]) -> Dict[str, Tensor]:
    """Of the operations ``needed`` those that add a bias or a normalisation's center: each ends a layer."""
    wanted, uses = set(needed), {}  # type: Set[Any], Dict[str, int]
    found: Dict[str, Tensor] = {}
    for operation in tf.get_default_graph().get_operations():
        if operation.type not in _SUMS or operation not in wanted:
            continue
        name = variable_of(operation.inputs[1], variables)
        if name is None:
            continue
        uses[name] = uses.get(name, 0) + 1
        found[_layer_name(name, uses[name])] = operation.outputs[0]
    return found


def _layer_name(variable: str, use: int) -> str:
    layer = variable.rpartition("/")[0]
    translations = TRANSLATIONS.get(layer[:3], ())
    part = translations[use - 1] if use <= len(translations) else f"use-{use}"
    return f"{part}/{layer}"
