"""Subsamples of large tensors: some of their elements, and the norm of all, for comparing them elsewhere.

From such elements also comes how far each step moves each network's weights.
"""

from typing import Any, Callable, Dict, List, NamedTuple

import numpy as np

from dualgan.run_folder import NETWORKS
from dualgan.tensorflow_v1 import tf

ELEMENTS = 1024
# Denominators of errors: tensors of zeros are equal.
TINY = 1e-20


class Subsample(NamedTuple):
    """elements: float32 [n] at even distances in the flattened tensor; norm: of all its elements."""

    elements: Any
    norm: float


def places(size: int, count: int) -> Any:
    """int64 [min(size, count)]: the places of a subsample's elements, from the first to the last."""
    count = min(size, count)
    return np.arange(count) * (size - 1) // max(1, count - 1)


def subsample(values: Any, count: int = ELEMENTS) -> Subsample:
    flat = np.asarray(values).reshape(-1)
    return Subsample(flat[places(flat.size, count)].astype(np.float32), float(np.linalg.norm(flat.astype(np.float64))))


class TensorError(NamedTuple):
    """The distance of a tensor from the recorded one.

    cosine, relative_l2, max_abs (in the tensor's unit): of its elements; norm: the relative error of the norm.
    """

    cosine: float
    relative_l2: float
    max_abs: float
    norm: float


def error_of(actual: Subsample, recorded: Subsample, size: int, floor: float = 0.0) -> TensorError:
    """size: of the whole tensor; floor: the least root mean square that relative errors are taken of.

    Infinite if a tensor is not finite.
    """
    one, other = (np.asarray(values.elements, np.float64) for values in (actual, recorded))
    if not (np.isfinite(one).all() and np.isfinite(other).all() and np.isfinite([actual.norm, recorded.norm]).all()):
        return TensorError(float("nan"), float("inf"), float("inf"), float("inf"))
    difference = one - other
    sizes = float(np.linalg.norm(one)), float(np.linalg.norm(other))
    cosine = float(one @ other) / (sizes[0] * sizes[1]) if min(sizes) > TINY else float(sizes[0] == sizes[1])
    relative = float(np.linalg.norm(difference)) / max(sizes[1], floor * float(np.sqrt(other.size)), TINY)
    norm = abs(actual.norm - recorded.norm) / max(recorded.norm, floor * float(np.sqrt(size)), TINY)
    return TensorError(cosine, relative, float(np.max(np.abs(difference))), norm)


NORM_ELEMENTS = 32


class UpdateNorms:
    """Norms of the updates of one graph's networks. Create it before the graph is finalized.

    The norm of a network's whole update is estimated from NORM_ELEMENTS elements of each variable: reading all weights
    of the reference's networks at each step would take a tenth of the step.
    """

    def __init__(self, variables: Dict[str, Any]) -> None:
        self._elements: List[Any] = []
        self._shares: List[Any] = []
        for network in NETWORKS:
            elements, shares = [], []
            for name in (name for name in variables if name.startswith(network + "_")):
                size = variables[name].shape.num_elements()
                chosen = places(size, NORM_ELEMENTS)
                flat = tf.reshape(variables[name].read_value(), [-1])
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
