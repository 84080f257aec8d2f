"""Record layers and gradients of training steps from given states.

Nothing is added to the graph that trains, so that what is recorded is what the device computes in training. `verify`,
`trace` and `replay` do it alike.
"""

import zlib
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

import numpy as np

from dualgan import networks
from dualgan.checkpoints import average_of
from dualgan.devices import Device
from dualgan.feed import Batch
from dualgan.networks import VariableSpec, is_critic_variable
from dualgan.options import TrainOptions
from dualgan.replay_bounds import UPDATED
from dualgan.sampling import Pairs, Pictures, drawing
from dualgan.step import Losses, StepGraph, UpdateNorms, load_variables, spread
from dualgan.tensorflow_v1 import tf

Tensor = Any
# Values of variables and optimiser slots by name; those that are not named are as the initialiser leaves them.
State = Dict[str, Any]
ELEMENTS = 1024
# What the first and second use of a generator make, in the order in which the graph is built.
TRANSLATIONS = {"A_g": ("A2B", "B2A2B"), "B_g": ("B2A", "A2B2A")}


class Subsample(NamedTuple):
    """elements: float32 [n] at even distances in the flattened tensor; norm: of all its elements."""

    elements: Any
    norm: float


Subsamples = Dict[str, Subsample]


def subsample(values: Any, count: int = ELEMENTS) -> Subsample:
    """Return ``count`` elements of a tensor, all if it has fewer, and its norm."""
    flat = np.asarray(values).reshape(-1)
    return Subsample(flat[spread(flat.size, count)].astype(np.float32), float(np.linalg.norm(flat.astype(np.float64))))


def find_layers(graph: StepGraph) -> Tuple[Dict[str, Tensor], Dict[str, Tensor]]:
    """Return the layers' outputs by "what it is a part of/layer", in the order of computation.

    First those that the critics' gradients need, then those that the generators' need besides.
    """
    of_critics = [gradient for name, gradient in graph.gradients.items() if is_critic_variable(name)]
    # Control dependencies differ between step modes: the layers must not.
    first = operations_behind(of_critics, control_too=False)
    needed = operations_behind(list(graph.gradients.values()), control_too=False)
    depth = networks.depth(graph.options.image_size)
    before: Dict[str, Tensor] = {}
    after: Dict[str, Tensor] = {}
    uses: Dict[str, int] = {}
    for layer, tensor in tf.get_collection(networks.LAYERS):
        if tensor.op not in needed:
            continue
        use = uses[layer] = uses.get(layer, 0) + 1
        translations = TRANSLATIONS.get(layer[:3], ())
        part = translations[use - 1] if use <= len(translations) else f"use-{use}"
        if tensor.op in first:
            before[f"{part}/{layer}"] = tensor
        elif not is_critic_variable(layer):
            after[f"{part}/{layer}"] = tensor
        # The critics' update moves such a bias by rounding alone; the normalisation behind it takes that out again.
        elif layer + "/biases" not in graph.variables or not is_normalised_away(layer + "/biases", depth):
            after[UPDATED + layer] = tensor
    return before, after


def operations_behind(fetches: Sequence[Any], control_too: bool = True) -> Set[Any]:
    """Return every operation that running ``fetches`` (operations or tensors) needs.

    control_too: whether to follow control dependencies; else only what the values are computed from.
    """
    waiting = [getattr(fetch, "op", fetch) for fetch in fetches]
    seen: Set[Any] = set()
    while waiting:
        operation = waiting.pop()
        if operation not in seen:
            seen.add(operation)
            waiting.extend(tensor.op for tensor in operation.inputs)
            waiting.extend(operation.control_inputs if control_too else ())
    return seen


def is_normalised_away(variable: str, depth: int) -> bool:
    """Whether ``variable`` is a bias before a normalisation: its gradient is zero but for rounding.

    depth: networks.depth of the images' size.
    """
    layer, _, kind = variable.rpartition("/")
    return kind == "biases" and layer[4:] not in ("e1_conv", f"d{depth}", "h0_conv", "h4")


# A drawn state follows from integers, so that a file need not hold it, and is as late in a training as can be: biases
# are not zero, and RMSProp's averages span many orders of magnitude. Nothing is rounded: the bits are equal everywhere.


def drawn_integers(name: str, seed: int, low: int, high: int, shape: Sequence[int]) -> Any:
    """int64 of ``shape`` in [low, high)."""
    state = np.random.RandomState((zlib.crc32(name.encode("utf-8")) + seed) % 2**32)
    return state.randint(low, high, tuple(shape))


def odd(name: str, seed: int, shape: Sequence[int], per: int) -> Any:
    """float32 of ``shape``: odd numbers from -63 to 63, divided by ``per``."""
    return ((2 * drawn_integers(name, seed, -32, 32, shape) + 1) / per).astype(np.float32)


def drawn_weights(specs: Iterable[VariableSpec], seed: int, biases: bool = True) -> Dict[str, Any]:
    """Weights by name. biases: whether biases and centers are drawn too; else they are zero."""
    found = {}
    for spec in specs:
        kind = spec.name.rpartition("/")[2]
        if kind in ("w", "Matrix"):
            found[spec.name] = odd(spec.name, seed, spec.shape, 2048)
        elif kind == "scale":
            found[spec.name] = np.float32(1) + odd(spec.name, seed, spec.shape, 1024)
        else:
            found[spec.name] = odd(spec.name, seed, spec.shape, 256) if biases else np.zeros(spec.shape, np.float32)
    return found


def late_state(specs: Sequence[VariableSpec], seed: int) -> Dict[str, Any]:
    """Weights and RMSProp's averages, powers of two from 2**-24 to 16, by name, as late in a training."""
    found = drawn_weights(specs, seed)
    for spec in specs:
        powers = drawn_integers(spec.name + "/rms", seed, -24, 5, spec.shape)
        found[average_of(spec.name)] = np.ldexp(np.float32(1), powers.astype(np.int32))
    return found


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

    def __init__(
        self,
        graph: StepGraph,
        draw: Callable[[Any, State, Any], Pictures],
        elements: int = ELEMENTS,
        layers_too: bool = True,
    ) -> None:
        """draw: a function of session, state and pairs of images that draws them from the session's weights.

        elements: how many of gradients and layers to note.
        """
        self._graph = graph
        self._draw = draw
        self._elements = elements
        self._step_function: Optional[Callable[..., Losses]] = None
        self._variables = {variable.op.name: variable for variable in tf.global_variables()}
        self._initializer = tf.global_variables_initializer()
        self._norms = UpdateNorms(graph.variables)
        self._layers, self._later_layers = find_layers(graph) if layers_too else ({}, {})
        self.one_run = graph.one_run
        self.names = [*self._variables, *self._layers, *self._later_layers]
        self.parameters = sum(variable.shape.num_elements() for variable in graph.variables.values())

    def read_state(self, session: Any) -> State:
        return dict(session.run(self._variables))

    def load_state(self, session: Any, state: Mapping[str, Any]) -> None:
        load_variables(session, self._initializer, self._variables, state)

    def _step(self, session: Any, number: int, batch: Batch) -> Losses:
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
            result.terms.append(self._step(session, step, batch))
            result.update_norms.append(self._norms.take())
        return result

    def probe(self, session: Any, step: int, batch: Batch, state: State, pairs: Pairs) -> Probe:
        """Look into training step ``step`` from ``state``, then do it."""
        graph, noted = self._graph, self._elements
        feed = dict(zip(graph.feeds.values(), batch.values()))
        self.load_state(session, state)
        pictures = self._draw(session, state, pairs)
        by_critic: Tuple[Dict[str, Tensor], Dict[str, Tensor]] = ({}, {})
        for name, gradient in graph.gradients.items():
            by_critic[not is_critic_variable(name)][name] = gradient
        layers, gradients = session.run([self._layers, by_critic[0]], feed)
        if not self.one_run:
            # With one run a step, what the generators' gradients need updates the critics by itself.
            session.run(graph.phases(False)[0].operations, feed)
        for found, later in zip((layers, gradients), session.run([self._later_layers, by_critic[1]], feed)):
            found.update(later)
        self.load_state(session, state)
        before = session.run(graph.variables)
        terms = self._step(session, step, batch)
        after = session.run(graph.variables)
        # Dictionaries come out of session.run in the order of their keys.
        return Probe(
            step,
            {name: subsample(value) for name, value in pictures.items()},
            {name: subsample(layers[name], noted) for name in (*self._layers, *self._later_layers)},
            {name: subsample(gradients[name], noted) for name in graph.variables},
            terms,
            {name: subsample(after[name] - before[name], noted) for name in graph.variables},
        )


@contextmanager
def open_prober(options: TrainOptions, device: Device) -> Iterator[Tuple[Prober, Any]]:
    """Yield a prober of the step that ``options`` say on ``device``, drawing on every path, and a session for it."""
    with tf.Graph().as_default() as tensorflow_graph:
        graph = StepGraph(options, device)
        prober = Prober(graph, drawing(graph, device))
        tensorflow_graph.finalize()
        with device.open_session() as session:
            yield prober, session
