"""Find a training step's layers and gradients in its graph, and note what they are in steps from given states.

Nothing is added to the graph that trains, so that what is recorded is what the device computes in training. `verify`,
`trace` and `replay` do it alike.
"""

from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from dualgan import networks
from dualgan.devices import Device
from dualgan.feed import Batch
from dualgan.networks import is_critic_variable
from dualgan.options import TrainOptions
from dualgan.replay_bounds import UPDATED
from dualgan.sampling import Pairs, Pictures, drawing
from dualgan.step import Losses, StepGraph, load_variables, step_options
from dualgan.subsample import ELEMENTS, Subsample, UpdateNorms, subsample
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
    """Tensors of a graph.

    critic_gradients, generator_gradients: by variable, as the optimiser gets them; critic_layers, generator_layers:
    layers' outputs by "what it is a part of/layer", in the order of computation: those that the critics' gradients
    need, and those that the generators' need besides.
    """

    critic_gradients: Dict[str, Tensor]
    generator_gradients: Dict[str, Tensor]
    critic_layers: Dict[str, Tensor]
    generator_layers: Dict[str, Tensor]


def find_taps(graph: StepGraph) -> Taps:
    """Find the taps of ``graph``."""
    critics = {name for name in graph.variables if is_critic_variable(name)}
    gradients = _gradients(set(graph.variables))
    of_critics = {name: tensor for name, tensor in gradients.items() if name in critics}
    of_generators = {name: tensor for name, tensor in gradients.items() if name not in critics}
    # Control dependencies differ between step modes: the layers must not.
    layers = _layers(operations_behind(list(gradients.values()), control_too=False), set(graph.variables))
    behind_critics = set(operations_behind(list(of_critics.values()), control_too=False))
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


def operations_behind(fetches: Sequence[Any], control_too: bool = True) -> List[Any]:
    """Return every operation that running ``fetches`` (operations or tensors) needs.

    control_too: whether to follow control dependencies; else only what the values are computed from.
    """
    waiting = [getattr(fetch, "op", fetch) for fetch in fetches]
    seen: Set[Any] = set()
    while waiting:
        operation = waiting.pop()
        if operation in seen:
            continue
        seen.add(operation)
        waiting.extend(tensor.op for tensor in operation.inputs)
        waiting.extend(operation.control_inputs if control_too else ())
    return list(seen)


def is_normalised_away(variable: str, depth: int) -> bool:
    """Whether ``variable`` is a bias before a normalisation: its gradient is zero but for rounding.

    depth: networks.depth of the images' size.
    """
    layer, _, kind = variable.rpartition("/")
    return kind == "biases" and layer[4:] not in ("e1_conv", f"d{depth}", "h0_conv", "h4")


def variable_of(tensor: Tensor, known: Set[str]) -> Optional[str]:
    """The variable whose value or handle ``tensor`` is, None if it is another tensor."""
    operation = tensor.op
    while operation.type in _SAME_VALUE and operation.inputs:
        operation = operation.inputs[0].op
    return operation.name if operation.type in _VARIABLES and operation.name in known else None


def _gradients(variables: Set[str]) -> Dict[str, Tensor]:
    """Return the gradient that the first update of each variable is made of."""
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


# Values of variables and optimiser slots by name; those that are not named are as the initialiser leaves them.
State = Dict[str, Any]
Subsamples = Dict[str, Subsample]


class Probe(NamedTuple):
    """One step from a given state.

    pictures: what is drawn from its weights; layers: the layers' outputs, in the order of computation; gradients: what
    the optimisers get, by variable; terms: the losses; updates: what the whole step adds to each variable.
    """

    step: int
    pictures: Subsamples
    layers: Subsamples
    gradients: Subsamples
    terms: Losses
    updates: Subsamples


class UnforcedRun(NamedTuple):
    """Steps one after the other: the losses and the norms of the networks' updates, by step."""

    terms: List[Losses]
    update_norms: List[Dict[str, float]]


class Prober:
    """The steps of one graph in one session. Create it once everything else is in the graph, before it is finalized."""

    def __init__(self, graph: StepGraph, draw: Callable[[Any, State, Any], Pictures]) -> None:
        """draw: a function of session, state and pairs of images that draws them from the session's weights."""
        self._graph = graph
        self._draw = draw
        self._step_function: Optional[Callable[..., Losses]] = None
        self._variables = {variable.op.name: variable for variable in tf.global_variables()}
        self._initializer = tf.global_variables_initializer()
        self._norms = UpdateNorms(graph.variables)
        self._taps = find_taps(graph)
        self._layers = [*self._taps.critic_layers, *self._taps.generator_layers]

    @property
    def names(self) -> List[str]:
        """Of all variables, optimiser slots and layers."""
        return [*self._variables, *self._layers]

    @property
    def one_run(self) -> bool:
        """Whether a step is one session.run."""
        return self._graph.options.one_run

    @property
    def parameters(self) -> int:
        """The number of all weights."""
        return sum(variable.shape.num_elements() for variable in self._graph.variables.values())

    def read_state(self, session: Any) -> State:
        values: State = session.run(self._variables)
        return values

    def load_state(self, session: Any, state: Mapping[str, Any]) -> None:
        session.run(self._initializer)
        load_variables(session, self._variables, state)

    def step(self, session: Any, number: int, batch: Batch) -> Losses:
        """Do a training step from the session's present state."""
        if self._step_function is None:
            self._step_function = self._graph.step_callable(session)
        return self._step_function(number, batch.values())

    def run_unforced(
        self, session: Any, first_step: int, batches: Sequence[Batch], before: Callable[[int], None] = lambda step: None
    ) -> UnforcedRun:
        """Do the steps from the session's present state; ``before`` is called before each with its number."""
        result = UnforcedRun([], [])
        self._norms.start(session)
        for step, batch in enumerate(batches, first_step):
            before(step)
            result.terms.append(self.step(session, step, batch))
            result.update_norms.append(self._norms.take())
        return result

    def probe(
        self,
        session: Any,
        step: int,
        batch: Batch,
        state: State,
        pairs: Pairs,
        count: int = ELEMENTS,
        layers_too: bool = True,
    ) -> Probe:
        """Look into training step ``step`` from ``state``, then do it. count: how many elements of tensors to note."""
        feed = dict(zip(self._graph.feeds.tensors(), batch.values()))
        of_critics, of_generators = (self._taps.critic_layers, self._taps.generator_layers) if layers_too else ({}, {})
        self.load_state(session, state)
        pictures = self._draw(session, state, pairs)
        layers, gradients = session.run([of_critics, self._taps.critic_gradients], feed)
        if not self.one_run:
            # With one run a step, what the generators' gradients need updates the critics by itself.
            session.run(self._graph.critics_update, feed)
        later_layers, later_gradients = session.run([of_generators, self._taps.generator_gradients], feed)
        # Dictionaries come out of session.run in the order of their keys.
        layers.update(later_layers)
        gradients.update(later_gradients)
        self.load_state(session, state)
        before = session.run(self._graph.variables)
        terms = self.step(session, step, batch)
        after = session.run(self._graph.variables)
        return Probe(
            step,
            {name: subsample(value) for name, value in pictures.items()},
            {name: subsample(layers[name], count) for name in self._layers if layers_too},
            {name: subsample(gradients[name], count) for name in self._graph.variables},
            terms,
            {name: subsample(after[name] - before[name], count) for name in self._graph.variables},
        )


@contextmanager
def open_prober(options: TrainOptions, device: Device) -> Iterator[Tuple[Prober, Any]]:
    """Yield a prober of the step that ``options`` say on ``device``, drawing on every path, and a session for it."""
    with tf.Graph().as_default() as tensorflow_graph:
        graph = StepGraph(step_options(options, device), device)
        prober = Prober(graph, drawing(graph, device))
        tensorflow_graph.finalize()
        with device.open_session() as session:
            yield prober, session
