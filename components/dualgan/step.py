"""Build the TensorFlow graph of one training step, and a smaller one that draws with both generators.

Both stay unchanged once they are built.
"""

from functools import partial
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from dualgan import losses, networks
from dualgan.devices import Device
from dualgan.feed import Batch
from dualgan.layers import Kernels
from dualgan.losses import Translations
from dualgan.networks import VariableSpec, Weights
from dualgan.options import TrainOptions
from dualgan.run_folder import NETWORKS
from dualgan.tensorflow_v1 import tf

Tensor = Any
Losses = Dict[str, float]
CLASSIC_GENERATOR_UPDATES = 2
RMSPROP_EPSILON = 1e-10


def normalised(images: Tensor) -> Tensor:
    """uint8 0..255 to float32 [-1, 1]."""
    return tf.cast(images, tf.float32) / 127.5 - 1.0


def create_variables(specs: Sequence[VariableSpec], use_resource: bool = True) -> Dict[str, Any]:
    """Variables by name, zero until they are loaded or restored."""
    return {
        spec.name: tf.get_variable(spec.name, spec.shape, tf.float32, tf.zeros_initializer(), use_resource=use_resource)
        for spec in specs
    }


def load_variables(session: Any, initializer: Any, variables: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Run ``initializer``, of all variables, with ``values`` for those of ``variables`` that they name.

    In one run: each would prepare the whole graph anew, and a second one hold all initial values a second time.
    """
    session.run(initializer, {variables[name].initializer.inputs[1]: value for name, value in values.items()})


def values_of(variables: Sequence[Any], after: Sequence[Any] = ()) -> Weights:
    """The values of ``variables``, by name, once the operations ``after`` have run."""
    with tf.control_dependencies(list(after)):
        return {variable.op.name: variable.read_value() for variable in variables}


def translate(
    real_A: Tensor,
    real_B: Tensor,
    weights: Weights,
    kernels: Kernels,
    masks: Optional[Sequence[List[Tensor]]] = None,
    dropout_rate: float = 0.0,
) -> Translations:
    """Both domains there and back. masks: what each of the four passes keeps; None, and no dropout, when drawing."""
    of_A2B, of_B2A, of_A2B2A, of_B2A2B = masks or (None, None, None, None)
    A2B = networks.generator(real_A, weights, "A_g", of_A2B, dropout_rate, kernels)
    B2A = networks.generator(real_B, weights, "B_g", of_B2A, dropout_rate, kernels)
    A2B2A = networks.generator(A2B, weights, "B_g", of_A2B2A, dropout_rate, kernels)
    B2A2B = networks.generator(B2A, weights, "A_g", of_B2A2B, dropout_rate, kernels)
    return Translations(real_A, A2B, A2B2A, real_B, B2A, B2A2B)


class SampleGraph:
    """Placeholders of a pair of images, and what the generators make of it, in the current default graph."""

    def __init__(self, options: TrainOptions, generators: Sequence[Any], kernels: Kernels) -> None:
        """generators: the variables of both."""
        side = options.image_size
        self._A = tf.placeholder(tf.uint8, [1, side, side, options.A_channels], "img_A")
        self._B = tf.placeholder(tf.uint8, [1, side, side, options.B_channels], "img_B")
        self._samples = translate(normalised(self._A), normalised(self._B), values_of(generators), kernels)

    def sample_callable(self, session: Any) -> Callable[[Any, Any], Translations]:
        """A function of two uint8 images [1, S, S, C] that gives float32 translations, without dropout."""
        run = session.make_callable(tuple(self._samples), feed_list=[self._A, self._B])
        return lambda A, B: Translations(*run(A, B))


class Phase(NamedTuple):
    """A part of a step: operations that change variables, and the losses as they were before."""

    operations: Tuple[Any, ...]
    terms: Dict[str, Tensor]


def updates_generators(GAN_type: str, n_critic: int, step: int) -> bool:
    """Whether training step ``step`` (1 is the first) updates the generators.

    The original raises its counter before its first step, so that it counts them from 2.
    """
    return GAN_type == "classic" or (step + 1) % n_critic == 0


class StepGraph:
    """Variables, placeholders and operations of the training step, in the current default graph."""

    def __init__(self, options: TrainOptions, device: Device) -> None:
        self.options = options
        # Whether critics and generators update in one session.run.
        self.one_run = device.one_run if options.step_mode == "auto" else options.step_mode == "one-run"
        self._device = device
        self._kernels = device.kernels()
        self.variables = create_variables(networks.all_variables(options), device.use_resource)
        self._critics = [v for name, v in self.variables.items() if networks.is_critic_variable(name)]
        self._generators = [v for name, v in self.variables.items() if not networks.is_critic_variable(name)]
        # Of each variable, as the optimiser gets it at first.
        self.gradients: Dict[str, Tensor] = {}
        self.feeds = self._placeholders()
        self._build_updates()
        self.drawing = SampleGraph(options, self._generators, self._kernels)

    def _placeholders(self) -> Batch:
        options, dropout = self.options, None
        side, batch = options.image_size, options.batch_size
        if options.dropout_rate:
            size = networks.dropout_size(side, options.gcn)
            dropout = tf.placeholder(tf.uint8, [4, batch, size], "dropout")
        return Batch(
            tf.placeholder(tf.uint8, [batch, side, side, options.A_channels], "A"),
            tf.placeholder(tf.uint8, [batch, side, side, options.B_channels], "B"),
            tf.placeholder(tf.float32, [batch, 1, 1, 1], "epsilon_A"),
            tf.placeholder(tf.float32, [batch, 1, 1, 1], "epsilon_B"),
            dropout,
        )

    def _translate(self, weights: Weights) -> Translations:
        real_A, real_B = normalised(self.feeds.A), normalised(self.feeds.B)
        masks = None
        if self.feeds.dropout is not None:
            shapes = networks.dropout_shapes(self.options.image_size, self.options.gcn)
            sizes = [int(np.prod(shape)) for shape in shapes]
            masks = [
                [tf.reshape(part, [-1] + shape) for part, shape in zip(tf.split(flat, sizes, axis=1), shapes)]
                for flat in tf.unstack(self.feeds.dropout)
            ]
        return translate(real_A, real_B, weights, self._kernels, masks, self.options.dropout_rate)

    def _critics_of(self, weights: Weights) -> Tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
        """The critics of A_g and of B_g, as functions of images."""
        rest: Dict[str, Any] = {"disc_type": self.options.disc_type, "kernels": self._kernels}
        of_A_g, of_B_g = (partial(networks.critic, weights=weights, prefix=name, **rest) for name in ("A_d", "B_d"))
        return of_A_g, of_B_g

    def _optimizer(self, name: str) -> Any:
        options = self.options
        # Made here, not while the update is made: an operation waits only for what its own inputs do not wait for.
        numbers = [options.lr, options.rmsprop_decay, 0.0, RMSPROP_EPSILON]
        constants = [tf.constant(number, tf.float32) for number in numbers]
        return self._device.wrap_optimizer(tf.train.RMSPropOptimizer(*constants, name=name))

    def _apply(
        self, optimizer: Any, terms: Dict[str, Tensor], loss: Tensor, weights: Weights, variables: Sequence[Any]
    ) -> Any:
        """The update of ``variables`` by ``loss``, after all of ``terms`` are computed.

        A loss may be no ancestor of the gradients, as if a last layer's result is the loss; and an NPU's compiler
        drops reads of variables, with what waits for them, but no loss that is fetched.
        """
        values = [weights[variable.op.name] for variable in variables]
        gradients = self._device.gradients(optimizer, loss, values)
        for variable, gradient in zip(variables, gradients):
            self.gradients.setdefault(variable.op.name, gradient)
        # A reference variable is not copied when it is read: the gradients of the layers below need it as well.
        first = list(terms.values()) + ([] if self._device.use_resource else gradients)
        with tf.control_dependencies(first):
            return optimizer.apply_gradients(list(zip(gradients, variables)))

    def _critic_phase(self, images: Translations) -> Phase:
        weights, limit = values_of(self._critics), self.options.clip_value
        critics, epsilons = self._critics_of(weights), (self.feeds.epsilon_A, self.feeds.epsilon_B)
        terms = losses.critic_losses(*critics, images, *epsilons, self.options)
        update = self._apply(self._optimizer("RMSProp_d"), terms, terms["d_loss"], weights, self._critics)
        if self.options.GAN_type == "wgan":
            values = values_of(self._critics, [update])
            clipped = [v.assign(tf.clip_by_value(values[v.op.name], -limit, limit)) for v in self._critics]
            update = tf.group(*clipped)
        return Phase((update,), terms)

    def _generator_phase(self, images: Translations, weights: Weights, critics: Weights, optimizer: Any) -> Phase:
        terms = losses.generator_losses(*self._critics_of(critics), images, self.options)
        return Phase((self._apply(optimizer, terms, terms["g_loss"], weights, self._generators),), terms)

    def _build_updates(self) -> None:
        """Build the critics' update, then the generators'.

        In one run, control dependencies keep that order, and both use the same translations: the critics' update does
        not change the generators.
        """
        one_run = self.one_run
        weights = values_of(self._generators)
        images = self._translate(weights)
        self._critics_phase = self._critic_phase(images)
        critics = values_of(self._critics, self._critics_phase.operations if one_run else ())
        optimizer = self._optimizer("RMSProp_g")
        self._generators_phase = self._generator_phase(images, weights, critics, optimizer)
        if one_run and self.options.GAN_type == "classic":
            weights = values_of(self._generators, self._generators_phase.operations)
            images = self._translate(weights)
            self._generators_phase = self._generator_phase(images, weights, critics, optimizer)

    def phases(self, generators_too: bool) -> List[Phase]:
        """Return what a step does in one session.run after the other; the same value for what it does twice."""
        critics, generators = self._critics_phase, self._generators_phase
        if not generators_too:
            generators = generators._replace(operations=())
        if self.one_run:
            return [Phase(critics.operations + generators.operations, dict(critics.terms, **generators.terms))]
        twice = generators_too and self.options.GAN_type == "classic"
        return [critics] + [generators] * (CLASSIC_GENERATOR_UPDATES if twice else 1)

    def step_callable(self, session: Any) -> Callable[[int, Sequence[Any]], Losses]:
        """A function that does training step ``step`` (1 is the first) on values for ``feeds.values()``.

        It returns the critics' losses before their update and the generators' as they were with the updated critics,
        before the last update of the generators.
        """
        feeds = self.feeds.values()
        GAN_type, n_critic = self.options.GAN_type, self.options.n_critic
        compiled: Dict[Tuple[Any, ...], Callable[..., Any]] = {}

        def callable_of(phase: Phase) -> Callable[..., Any]:
            if phase.operations not in compiled:
                fetches = [phase.terms, list(phase.operations)]
                compiled[phase.operations] = session.make_callable(fetches, feed_list=feeds)
            return compiled[phase.operations]

        def do_step(step: int, values: Sequence[Any]) -> Losses:
            terms: Dict[str, Any] = {}
            for phase in self.phases(updates_generators(GAN_type, n_critic, step)):
                terms.update(callable_of(phase)(*values)[0])
            return {name: float(value) for name, value in terms.items()}

        return do_step


NORM_ELEMENTS = 32


def spread(size: int, count: int) -> Any:
    """int64 [min(size, count)]: places at even distances among ``size``, from the first to the last."""
    count = min(size, count)
    return np.arange(count) * (size - 1) // max(1, count - 1)


class UpdateNorms:
    """How far each step moves each network's weights. Create it before the graph is finalized.

    The norm of a network's update is estimated from NORM_ELEMENTS elements of each variable: reading all weights of the
    reference's networks at each step would take a tenth of the step.
    """

    def __init__(self, variables: Mapping[str, Any]) -> None:
        self._elements: List[Tensor] = []
        self._shares: List[Any] = []
        for network in NETWORKS:
            elements, shares = [], []
            for variable in (variable for name, variable in variables.items() if name.startswith(network + "_")):
                size = variable.shape.num_elements()
                chosen = spread(size, NORM_ELEMENTS)
                flat = tf.reshape(variable.read_value(), [-1])
                elements.append(tf.gather(flat, chosen.astype(np.int32)))
                shares.append(np.full(len(chosen), size / len(chosen)))
            self._elements.append(tf.concat(elements, 0))
            self._shares.append(np.concatenate(shares))

    def start(self, session: Any) -> None:
        """Note the present weights: the first update is what is added to them."""
        self._read: Callable[[], List[Any]] = session.make_callable(self._elements)
        self._last = self._read()

    def take(self) -> Dict[str, float]:
        """The norm of what was added to each network since the last call; 0 if it stood still."""
        last, self._last = self._last, self._read()
        return {
            network: float(np.sqrt(np.sum(share * np.square(new.astype(np.float64) - old))))
            for network, share, new, old in zip(NETWORKS, self._shares, self._last, last)
        }
