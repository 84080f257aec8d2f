"""Ways to break one leg, each a context in which the trainer trains, samples and replays wrongly.

None of them shows in options.json.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
from scipy.ndimage import gaussian_filter

from dualgan import layers, losses, networks
from dualgan.cpu_kernels import CpuKernels
from dualgan.feed import Batch, TrainingData
from dualgan.graph import StepGraph, StepOptions
from dualgan.losses import Translations
from dualgan.sample_graph import SampleGraph
from dualgan.tensorflow_v1 import tf
from dualgan.trace_taps import variable_of

Mutation = Callable[[], contextlib.AbstractContextManager[Any]]

LOW_PRECISION_WEIGHT = "A_g_d3/w"
LOST_UPDATE_EVERY = 10
REPEATED_SHARE = 0.02


def _options(change: Callable[[StepOptions], StepOptions]) -> Mutation:
    """A leg whose steps are built from other options than it records."""
    original = StepGraph.__init__

    def init(self: StepGraph, options: StepOptions, device: Any) -> None:
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
        if variable_of(w, {LOW_PRECISION_WEIGHT}) is None:
            return original(self, x, w)
        short = [tf.cast(tf.cast(tensor, kind), tf.float32) for tensor in (x, w)]
        return tf.cast(tf.cast(original(self, *short), kind), tf.float32)

    return lambda: mock.patch.object(CpuKernels, "deconvolution", deconvolution)


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
    """A session whose callables, by the order in which a step in two runs makes them, are wrapped."""

    def __init__(self, session: Any, wrap: Callable[[Any, Any, Sequence[Any]], Callable[..., Any]]) -> None:
        self._session, self._wrap, self._made = session, wrap, 0

    def make_callable(self, fetches: Any, feed_list: Sequence[Any]) -> Callable[..., Any]:
        self._made += 1
        if self._made > 1:
            run: Callable[..., Any] = self._session.make_callable(fetches, feed_list=feed_list)
            return run
        return self._wrap(self._session, fetches, feed_list)


@contextlib.contextmanager
def _critics_run(wrap: Callable[[Any, Any, Sequence[Any]], Callable[..., Any]]) -> Iterator[None]:
    """A leg that steps in two runs, the critics' of which is another."""
    original = StepGraph.step_callable

    def step_callable(self: StepGraph, session: Any) -> Callable[[int, Sequence[Any]], dict[str, float]]:
        return original(self, _Runs(session, wrap))

    two_runs = _options(lambda options: options._replace(one_run=False))
    with two_runs(), mock.patch.object(StepGraph, "step_callable", step_callable):
        yield


def _fed_shuffled_pairs(session: Any, fetches: Any, feed_list: Sequence[Any]) -> Callable[..., Any]:
    run = session.make_callable(fetches, feed_list=feed_list)
    last: list[Any] = []

    def shuffled(A: Any, B: Any, *rest: Any) -> Any:
        last.append(B)
        return run(A, last.pop(0) if len(last) > 1 else B, *rest)

    return shuffled


def _losing_updates(session: Any, fetches: Any, feed_list: Sequence[Any]) -> Callable[..., Any]:
    terms, operations = fetches
    update, evaluate = (
        session.make_callable([terms, done], feed_list=feed_list) for done in (list(operations), list[Any]())
    )
    calls = [0]

    def run(*values: Any) -> Any:
        calls[0] += 1
        return (update if calls[0] % LOST_UPDATE_EVERY else evaluate)(*values)

    return run


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


@contextlib.contextmanager
def _blurred_outputs() -> Iterator[None]:
    original = SampleGraph.sample_callable

    def sample_callable(self: SampleGraph, session: Any) -> Callable[[Any, Any], Translations]:
        sample = original(self, session)

        def blurred(A: Any, B: Any) -> Translations:
            images = sample(A, B)._asdict()
            made = {name for name in images if not name.startswith("real")}
            return Translations(**{n: gaussian_filter(v, (0, 1, 1, 0)) if n in made else v for n, v in images.items()})

        return blurred

    with mock.patch.object(SampleGraph, "sample_callable", sample_callable):
        yield


def _scaled_lambda(options: StepOptions) -> StepOptions:
    return options._replace(losses=options.losses._replace(lambda_A=0.8 * options.losses.lambda_A))


MUTATIONS: Mapping[str, Mutation] = {
    "epsilon of the normalisation x1000": _epsilon_times_1000,
    "learning rate x1.3": _options(lambda options: options._replace(lr=1.3 * options.lr)),
    "critics see shuffled pairs": lambda: _critics_run(_fed_shuffled_pairs),
    "a generator layer in float16": _rounded_layer(tf.float16),
    "a generator layer in bfloat16": _rounded_layer(tf.bfloat16),
    "gradient penalty dropped": lambda: mock.patch.object(losses, "GRADIENT_PENALTY_WEIGHT", 0.0),
    "lambda_A x0.8": _options(_scaled_lambda),
    "BGR for RGB in the feed": _batches(_swapped_channels),
    "a decoder skip missing": lambda: mock.patch.object(networks, "tf", _TensorFlow(side=8)),
    "flips on one side only": _batches(_flipped_on_one_side),
    "outputs blurred, sigma 1": _blurred_outputs,
    "one critic update in ten lost": lambda: _critics_run(_losing_updates),
    "RMSProp decay 0.99": _options(lambda options: options._replace(rmsprop_decay=0.99)),
    "2% of batches repeated": _batches(_repeated),
}

# The issue counts float16 and bfloat16 as one.
ONE_OF = {"a generator layer in bfloat16": "a generator layer in float16"}
