"""How far each step moves each network's weights, from some elements of every variable."""

from typing import Any, Callable, Dict, List

import numpy as np

from dualgan.run_folder import NETWORKS
from dualgan.subsample import places
from dualgan.tensorflow_v1 import tf

ELEMENTS = 32


class UpdateNorms:
    """Norms of the updates of one graph's networks. Create it before the graph is finalized.

    The norm of a network's whole update is estimated from ELEMENTS elements of each variable: reading all weights of
    the reference's networks at each step would take a tenth of the step.
    """

    def __init__(self, variables: Dict[str, Any]) -> None:
        self._elements: List[Any] = []
        self._shares: List[Any] = []
        for network in NETWORKS:
            elements, shares = [], []
            for name in (name for name in variables if name.startswith(network + "_")):
                size = variables[name].shape.num_elements()
                chosen = places(size, ELEMENTS)
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
