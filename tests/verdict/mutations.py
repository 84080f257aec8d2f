"""Ways to break one leg, each a context in which the trainer trains, samples and replays wrongly.

None of them shows in options.json.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
from scipy.ndimage import gaussian_filter

from dualgan import layers, losses, networks, step
from dualgan.devices import Device
from dualgan.devices.cpu import CpuKernels
from dualgan.feed import Batch, TrainingData
from dualgan.losses import Translations
from dualgan.options import TrainOptions
from dualgan.step import SampleGraph, StepGraph
from dualgan.taps import operations_behind
from dualgan.tensorflow_v1 import tf

Mutation = Callable[[], contextlib.AbstractContextManager[Any]]

LOW_PRECISION_WEIGHT = "A_g_d3/w"
LOST_UPDATE_EVERY = 10
REPEATED_SHARE = 0.02
LAST_UPDATE_OF_GENERATORS = 120
MAX_GRADIENT = 1e-4
# The order in which a step in two runs makes its callables.
CRITICS, GENERATORS = 1, 2


def _options(change: Callable[[TrainOptions], TrainOptions]) -> Mutation:
    """A leg whose steps are built from other options than it records."""
    original = StepGraph.__init__

    def init(self: StepGraph, options: TrainOptions, device: Any) -> None:
        original(self, change(options), device)

    return lambda: mock.patch.object(StepGraph, "__init__", init)


def _batches(change: Callable[[TrainingData, int, Callable[[int], Batch]], Batch]) -> Mutation:
    """A leg whose data is otherwise than it records."""
    original = TrainingData.batch

    def batch(self: TrainingData, step: int) -> Batch:
        return change(self, step, lambda other: original(self, other))

    return lambda: mock.patch.object(TrainingData, "batch", batch)


@contextlib.contextmanager
def _epsilon_times_1000() -> Iterator[None]:
    epsilon = layers.NORM_EPSILON * 1000
    with mock.patch.object(layers, "NORM_EPSILON", epsilon):
        yield


def _rounded_layer(kind: Any) -> Mutation:
    """One deconvolution of a generator computed in a shorter type."""
    original = CpuKernels.deconvolution

    def deconvolution(self: CpuKernels, x: Any, w: Any) -> Any:
        if not any(op.name == LOW_PRECISION_WEIGHT for op in operations_behind([w], control_too=False)):
            return original(self, x, w)
        short = [tf.cast(tf.cast(tensor, kind), tf.float32) for tensor in (x, w)]
        return tf.cast(tf.cast(original(self, *short), kind), tf.float32)

    return lambda: mock.patch.object(CpuKernels, "deconvolution", deconvolution)


def _shortened(function: Callable[..., Any], kind: Any) -> Callable[..., Any]:
    """``function`` of a tensor, computed in a shorter type."""
    return lambda x: tf.cast(tf.cast(function(tf.cast(tf.cast(x, kind), tf.float32)), kind), tf.float32)


class _Short:
    """TensorFlow one function of which is computed in a shorter type."""

    def __init__(self, name: str, kind: Any) -> None:
        self._name, self._kind = name, kind

    def __getattr__(self, name: str) -> Any:
        function = getattr(tf, name)
        return _shortened(function, self._kind) if name == self._name else function


def _clipped_gradients() -> contextlib.AbstractContextManager[Any]:
    original = Device.gradients

    def gradients(self: Device, optimizer: Any, loss: Any, values: Sequence[Any]) -> list[Any]:
        found = original(self, optimizer, loss, values)
        return [tf.clip_by_value(gradient, -MAX_GRADIENT, MAX_GRADIENT) for gradient in found]

    return mock.patch.object(Device, "gradients", gradients)


class _TensorFlow:
    """TensorFlow whose concat leaves out what a decoder layer gets from its encoder layer, at one size."""

    def __init__(self, side: int) -> None:
        self._side = side

    def __getattr__(self, name: str) -> Any:
        return getattr(tf, name)

    def concat(self, tensors: Sequence[Any], axis: int) -> Any:
        features, skip = tensors
        if skip.shape.as_list()[1] == self._side:
            skip = tf.zeros_like(skip)
        return tf.concat([features, skip], axis)


class _Runs:
    """A session one of whose callables, by the order in which a step in two runs makes them, is wrapped."""

    def __init__(self, session: Any, place: int, wrap: Callable[[Any, Any, Sequence[Any]], Callable[..., Any]]) -> None:
        self._session, self._place, self._wrap, self._made = session, place, wrap, 0

    def make_callable(self, fetches: Any, feed_list: Sequence[Any]) -> Callable[..., Any]:
        self._made += 1
        if self._made != self._place:
            run: Callable[..., Any] = self._session.make_callable(fetches, feed_list=feed_list)
            return run
        return self._wrap(self._session, fetches, feed_list)


@contextlib.contextmanager
def _one_run(place: int, wrap: Callable[[Any, Any, Sequence[Any]], Callable[..., Any]]) -> Iterator[None]:
    """A leg that steps in two runs, one of which is another: CRITICS or GENERATORS."""
    original = StepGraph.step_callable

    def step_callable(self: StepGraph, session: Any) -> Callable[[int, Sequence[Any]], dict[str, float]]:
        return original(self, _Runs(session, place, wrap))

    two_runs = _options(lambda options: replace(options, step_mode="two-run"))
    with two_runs(), mock.patch.object(StepGraph, "step_callable", step_callable):
        yield


def _fed_shuffled_pairs(session: Any, fetches: Any, feed_list: Sequence[Any]) -> Callable[..., Any]:
    run = session.make_callable(fetches, feed_list=feed_list)
    last: list[Any] = []

    def shuffled(A: Any, B: Any, *rest: Any) -> Any:
        last.append(B)
        return run(A, last.pop(0) if len(last) > 1 else B, *rest)

    return shuffled


def _updating_if(wanted: Callable[[int], bool]) -> Callable[[Any, Any, Sequence[Any]], Callable[..., Any]]:
    """A run that updates if ``wanted`` is true of how many times it has been called, and only evaluates otherwise."""

    def wrap(session: Any, fetches: Any, feed_list: Sequence[Any]) -> Callable[..., Any]:
        terms, operations = fetches
        update, evaluate = (
            session.make_callable([terms, done], feed_list=feed_list) for done in (list(operations), list[Any]())
        )
        calls = itertools.count(1)

        def run(*values: Any) -> Any:
            return update(*values) if wanted(next(calls)) else evaluate(*values)

        return run

    return wrap


def _swapped_channels(data: TrainingData, step: int, batch: Callable[[int], Batch]) -> Batch:
    fed = batch(step)
    return fed._replace(A=fed.A[..., ::-1], B=fed.B[..., ::-1])


def _flipped_on_one_side(data: TrainingData, step: int, batch: Callable[[int], Batch]) -> Batch:
    honest = data._options
    data._options = replace(honest, flip=not honest.flip)
    try:
        other = batch(step)
    finally:
        data._options = honest
    return batch(step)._replace(B=other.B)


def _repeated(data: TrainingData, step: int, batch: Callable[[int], Batch]) -> Batch:
    again = step > 1 and np.random.RandomState(step).random_sample() < REPEATED_SHARE
    return batch(step - 1 if again else step)


def _drawn(change: Callable[[Any], Any]) -> Mutation:
    """A leg that draws what its generators make otherwise than they make it."""
    original = SampleGraph.sample_callable

    def sample_callable(self: SampleGraph, session: Any) -> Callable[[Any, Any], Translations]:
        sample = original(self, session)

        def changed(A: Any, B: Any) -> Translations:
            images = sample(A, B)._asdict()
            return Translations(**{n: v if n.startswith("real") else change(v) for n, v in images.items()})

        return changed

    return lambda: mock.patch.object(SampleGraph, "sample_callable", sample_callable)


MUTATIONS: Mapping[str, Mutation] = {
    "epsilon of the normalisation x1000": _epsilon_times_1000,
    "learning rate x1.3": _options(lambda options: replace(options, lr=1.3 * options.lr)),
    "critics see shuffled pairs": lambda: _one_run(CRITICS, _fed_shuffled_pairs),
    "a generator layer in float16": _rounded_layer(tf.float16),
    "a generator layer in bfloat16": _rounded_layer(tf.bfloat16),
    "gradient penalty dropped": lambda: mock.patch.object(losses, "GRADIENT_PENALTY_WEIGHT", 0.0),
    "lambda_A x0.8": _options(lambda options: replace(options, lambda_A=0.8 * options.lambda_A)),
    "BGR for RGB in the feed": _batches(_swapped_channels),
    "a decoder skip missing": lambda: mock.patch.object(networks, "tf", _TensorFlow(side=8)),
    "flips on one side only": _batches(_flipped_on_one_side),
    "outputs blurred, sigma 1": _drawn(lambda images: gaussian_filter(images, (0, 1, 1, 0))),
    "pictures two pixels aside": _drawn(lambda images: np.roll(images, 2, axis=2)),
    "pictures with a colour cast of 0.15": _drawn(lambda images: images + np.array([0.15, 0, 0], np.float32)),
    "pictures in float16": _drawn(lambda images: images.astype(np.float16).astype(np.float32)),
    "one critic update in ten lost": lambda: _one_run(CRITICS, _updating_if(lambda call: call % LOST_UPDATE_EVERY > 0)),
    "generators not updated from step 121 on": lambda: _one_run(
        GENERATORS, _updating_if(lambda call: call <= LAST_UPDATE_OF_GENERATORS)
    ),
    "epsilon of the optimiser 1e-3": lambda: mock.patch.object(step, "RMSPROP_EPSILON", 1e-3),
    "gradients clipped": _clipped_gradients,
    "tanh in float16": lambda: mock.patch.object(networks, "tf", _Short("tanh", tf.float16)),
    "inverse roots in bfloat16": lambda: mock.patch.object(layers, "tf", _Short("rsqrt", tf.bfloat16)),
    "RMSProp decay 0.99": _options(lambda options: replace(options, rmsprop_decay=0.99)),
    "2% of batches repeated": _batches(_repeated),
}

# The issue counts float16 and bfloat16 as one.
ONE_OF = {"a generator layer in bfloat16": "a generator layer in float16"}


class _Scheduled:
    """TensorFlow whose constants may be tensors, so that a constant of a step's graph can change while it trains."""

    def __getattr__(self, name: str) -> Any:
        return getattr(tf, name)

    def constant(self, value: Any, *rest: Any) -> Any:
        return value if isinstance(value, tf.Tensor) else tf.constant(value, *rest)


def _scheduled(change: Callable[[TrainOptions, Any], TrainOptions], factor: Callable[[int], float]) -> Mutation:
    """A leg one of whose options is multiplied by ``factor`` of the step while it trains."""
    original, original_callable = StepGraph.__init__, StepGraph.step_callable

    def init(self: StepGraph, options: TrainOptions, device: Any) -> None:
        self.factor = tf.Variable(1.0, trainable=False, name="factor", use_resource=True)  # type: ignore[attr-defined]
        original(self, change(options, self.factor.value()), device)  # type: ignore[attr-defined]

    def step_callable(self: StepGraph, session: Any) -> Callable[[int, Sequence[Any]], dict[str, float]]:
        do_step = original_callable(self, session)

        def scheduled(number: int, values: Sequence[Any]) -> dict[str, float]:
            assigned.load(factor(number), tf.get_default_session())
            return do_step(number, values)

        assigned = self.factor  # type: ignore[attr-defined]
        return scheduled

    @contextlib.contextmanager
    def context() -> Iterator[None]:
        with (
            mock.patch.object(step, "tf", _Scheduled()),
            mock.patch.multiple(StepGraph, __init__=init, step_callable=step_callable),
        ):
            yield

    return context


def _drifting_lambda(options: TrainOptions, factor: Any) -> TrainOptions:
    return replace(options, lambda_A=factor * options.lambda_A)


@contextlib.contextmanager
def _lacking_pictures() -> Iterator[None]:
    """A leg that never sees the last tenth of domain A's pictures, but others of A in their place."""
    original = TrainingData._drawn_order

    def drawn_order(self: TrainingData, domain: str, epoch: int) -> Any:
        order = original(self, domain, epoch)
        known = len(order) - len(order) // 10
        return np.where(order < known, order, order % known) if domain == "A" else order

    with mock.patch.object(TrainingData, "_drawn_order", drawn_order):
        yield


# What only a training shows, not the single steps of a replay; of runs of 1,200 steps.
LATE_MUTATIONS: Mapping[str, Mutation] = {
    "lambda_A drifts to half from step 601 on": _scheduled(
        _drifting_lambda, lambda number: 1 - 0.5 * min(1.0, max(0, number - 600) / 600)
    ),
    "learning rate halved from step 401 on": _scheduled(
        lambda options, factor: replace(options, lr=factor * options.lr), lambda number: 0.5 if number > 400 else 1.0
    ),
    "generators not updated from step 601 on": lambda: _one_run(GENERATORS, _updating_if(lambda call: call <= 600)),
    "a tenth of A's pictures lacking": _lacking_pictures,
}
