"""Doing single training steps from given states and noting what comes out, for `verify`, `trace` and `replay` alike."""

from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence

from dualgan import taps
from dualgan.feed import Batch
from dualgan.graph import Losses, StepGraph
from dualgan.inference import Pairs, Pictures
from dualgan.networks import is_critic_variable
from dualgan.subsample import ELEMENTS, Subsample, subsample
from dualgan.tensorflow_v1 import tf
from dualgan.update_norms import UpdateNorms

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


class FreeRun(NamedTuple):
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
        self._taps = taps.find(graph, {name for name in graph.variables if is_critic_variable(name)})
        self._layers = [*self._taps.critic_layers, *self._taps.generator_layers]

    @property
    def names(self) -> List[str]:
        """Of all variables, optimiser slots and layers."""
        return [*self._variables, *self._layers]

    def read_state(self, session: Any) -> State:
        values: State = session.run(self._variables)
        return values

    def load_state(self, session: Any, state: Mapping[str, Any]) -> None:
        session.run(self._initializer)
        initializers = [self._variables[name].initializer for name in state]
        session.run(initializers, {op.inputs[1]: value for op, value in zip(initializers, state.values())})

    def step(self, session: Any, number: int, batch: Batch) -> Losses:
        """Do a training step from the session's present state."""
        if self._step_function is None:
            self._step_function = self._graph.step_callable(session)
        return self._step_function(number, batch.values())

    def run_freely(
        self,
        session: Any,
        first_step: int,
        batches: Sequence[Batch],
        before: Callable[[int], None] = lambda step: None,
    ) -> FreeRun:
        """Do the steps from the session's present state; ``before`` is called before each with its number."""
        result = FreeRun([], [])
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
        if not self._graph.options.one_run:
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
