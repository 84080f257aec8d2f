"""Replaying recorded steps with an eye on the units whose slope jumps at zero, and a hand to turn them over.

Such a unit is what goes into a rectifier, or a pixel's difference in an L1 loss. Near its zero, rounding decides on
which side it falls.
"""

from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Sequence, Tuple

import numpy as np

from dualgan import golden
from dualgan.golden import Golden
from dualgan.golden_replay import Replay
from dualgan.graph import Losses, Run, StepGraph, updates_generators
from dualgan.graph_walk import operations_behind
from dualgan.layers import Kernels
from dualgan.tensorflow_v1 import tf

Tensor = Any


class Unit(NamedTuple):
    """Where a unit is in what a step's runs compute: the array's place in Look.values, and where in it."""

    place: int
    at: Tuple[int, ...]


# What is added to units, so that they fall on the other side of zero.
Nudges = Mapping[Unit, float]


class Look(NamedTuple):
    """A step's losses, and the values of all units, in the order of the runs and of the graph.

    third_slope: for each array of values, whether zero is a side of its own.
    """

    losses: Losses
    values: List[Any]
    third_slope: List[bool]


class _Watched(NamedTuple):
    value: Tensor
    nudge: Tensor
    third_slope: bool


class WatchedKernels(Kernels):
    """A device's kernels whose watched tensors can be read, and nudged: each gets a number added, which is 0.0."""

    def __init__(self, kernels: Kernels) -> None:
        self._kernels = kernels
        self.tensors: List[_Watched] = []

    def convolution(self, x: Tensor, w: Tensor) -> Tensor:
        return self._kernels.convolution(x, w)

    def deconvolution(self, x: Tensor, w: Tensor) -> Tensor:
        return self._kernels.deconvolution(x, w)

    def inverse_root(self, x: Tensor) -> Tensor:
        return self._kernels.inverse_root(x)

    def watched(self, x: Tensor, third_slope: bool = False) -> Tensor:
        nudge = tf.placeholder_with_default(tf.zeros(x.shape), x.shape)
        value = x + nudge
        self.tensors.append(_Watched(value, nudge, third_slope))
        return value


class _WatchedRun:
    """One session.run of a step, with the units that it computes."""

    def __init__(self, run: Run, graph: StepGraph, kernels: WatchedKernels, session: Any) -> None:
        needed = set(operations_behind(list(run.operations) + list(run.terms.values())))
        watched = [tensors for tensors in kernels.tensors if tensors.value.op in needed]
        self._call: Callable[..., Any] = session.make_callable(
            [run.terms, [tensors.value for tensors in watched], list(run.operations)],
            feed_list=graph.feeds.tensors() + [tensors.nudge for tensors in watched],
        )
        self._third_slope = [tensors.third_slope for tensors in watched]
        self._nothing = [np.zeros(tensors.value.shape.as_list(), np.float32) for tensors in watched]

    def __len__(self) -> int:
        return len(self._nothing)

    def look(self, feed: Sequence[Any], nudges: Nudges) -> Look:
        """nudges: their places are within this run."""
        added = list(self._nothing)
        for unit, nudge in nudges.items():
            if added[unit.place] is self._nothing[unit.place]:
                added[unit.place] = added[unit.place].copy()
            added[unit.place][unit.at] = nudge
        terms, values, _ = self._call(*feed, *added)
        return Look({name: float(value) for name, value in terms.items()}, values, self._third_slope)


class WatchedReplay(Replay):
    """The recorded steps on one graph, which is built with WatchedKernels, and session."""

    def __init__(
        self, recorded: Golden, graph: StepGraph, kernels: WatchedKernels, session: Any, products: str = "float32"
    ) -> None:
        super().__init__(recorded, graph, session, products)
        self._options = graph.options
        known: Dict[Tuple[Any, ...], _WatchedRun] = {}
        self._runs: Dict[bool, List[_WatchedRun]] = {}
        for generators_too in {updates_generators(*self._schedule, step) for step in range(1, self.steps + 1)}:
            runs = graph.runs(generators_too)
            for run in runs:
                if run.operations not in known:
                    known[run.operations] = _WatchedRun(run, graph, kernels, session)
            self._runs[generators_too] = [known[run.operations] for run in runs]

    @property
    def _schedule(self) -> Tuple[str, int]:
        return self._options.losses.GAN_type, self._options.n_critic

    def look(self, number: int, nudges: Nudges) -> Look:
        """Do recorded step ``number`` from the session's present state, with ``nudges`` added to units."""
        feed = golden.feed(self._recorded, number)
        whole = Look({}, [], [])
        for run in self._runs[updates_generators(*self._schedule, number)]:
            first = len(whole.values)
            own = {
                Unit(unit.place - first, unit.at): nudge
                for unit, nudge in nudges.items()
                if first <= unit.place < first + len(run)
            }
            found = run.look(feed, own)
            whole.losses.update(found.losses)
            whole.values.extend(found.values)
            whole.third_slope.extend(found.third_slope)
        return whole
