"""Doing recorded training steps, and noting what comes out: for a trace, and again for its replay."""

from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence

from dualgan import trace_taps
from dualgan.feed import Batch
from dualgan.graph import StepGraph
from dualgan.networks import is_critic_variable
from dualgan.tensorflow_v1 import tf
from dualgan.trace_sketch import sketch

# Values of variables and optimiser slots by name; those that are not named are as the initialiser leaves them.
State = Dict[str, Any]
Sketches = Dict[str, Any]
Losses = Dict[str, float]


class Probe(NamedTuple):
    """One step from a given state. layers: sketches of the layers' outputs, in the order of computation; gradients:

    of what the optimisers get, by variable; terms: the losses; updates: sketches of what it adds to each variable.
    """

    step: int
    layers: Sketches
    gradients: Sketches
    terms: Losses
    updates: Sketches


class FreeRun(NamedTuple):
    """Steps one after the other: the losses and each variable's update, by step."""

    terms: List[Losses]
    updates: List[Sketches]


class Recorder:
    """The steps of one graph in one session. Create it once everything else is in the graph, before it is finalized."""

    def __init__(self, graph: StepGraph) -> None:
        self._graph = graph
        self._step_function: Optional[Callable[..., Losses]] = None
        self._variables = {variable.op.name: variable for variable in tf.global_variables()}
        self._initializer = tf.global_variables_initializer()
        critics = {name for name in graph.variables if is_critic_variable(name)}
        self._taps = trace_taps.find(graph, critics)
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

    def run_freely(
        self,
        session: Any,
        first_step: int,
        batches: Sequence[Batch],
        before: Callable[[int], None] = lambda step: None,
    ) -> FreeRun:
        """Do the steps from the session's present state; ``before`` is called before each with its number."""
        if self._step_function is None:
            self._step_function = self._graph.step_callable(session)
        result = FreeRun([], [])
        old = self._weights(session)
        for step, batch in enumerate(batches, first_step):
            before(step)
            result.terms.append(self._step_function(step, batch.values()))
            new = self._weights(session)
            result.updates.append({name: new[name] - old[name] for name in new})
            old = new
        return result

    def probe(self, session: Any, step: int, batch: Batch, state: Mapping[str, Any]) -> Probe:
        """Look into training step ``step`` from ``state``, then do it."""
        feed = dict(zip(self._graph.feeds.tensors(), batch.values()))
        taps = self._taps
        self.load_state(session, state)
        layers, gradients = session.run([taps.critic_layers, taps.critic_gradients], feed)
        if not self._graph.options.one_run:
            # With one run a step, what the generators' gradients need updates the critics by itself.
            session.run(self._graph.critics_update, feed)
        later_layers, later_gradients = session.run([taps.generator_layers, taps.generator_gradients], feed)
        # Dictionaries come out of session.run in the order of their keys.
        values = dict(layers, **later_layers)
        gradients.update(later_gradients)
        self.load_state(session, state)
        done = self.run_freely(session, step, [batch])
        return Probe(
            step,
            {name: sketch(name, values[name]) for name in self._layers},
            {name: sketch(name, gradients[name]) for name in self._graph.variables},
            done.terms[0],
            done.updates[0],
        )

    def _weights(self, session: Any) -> Sketches:
        values = session.run(self._graph.variables)
        return {name: sketch(name, values[name]) for name in self._graph.variables}
