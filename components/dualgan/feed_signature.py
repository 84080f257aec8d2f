"""A signature of what a step's session runs were really fed, so that legs show that they trained on the same.

It is one number for each fed array: the mean of its elements times a fixed pattern of +1 and -1. Decoders that round
otherwise change it by hundredths of a level, another image or a mirrored one, swapped channels or another place in the
batch by tenths and more. The numbers depend on seed, step and data alone.
"""

import math
from typing import Any, Callable, Dict, List, Sequence, Tuple

import numpy as np

from dualgan.randomness import stream

# Of a larger array every n-th element is taken: the mean of so many is precise enough, and takes some 20 microseconds.
MOST_ELEMENTS = 1 << 14
DECIMALS = 3


class FeedSignature:
    """Stands for a session where a step's callables are made, and signs what these are fed."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._patterns: Dict[Tuple[int, int], Any] = {}
        self._runs: List[List[float]] = []
        self._last: Tuple[List[Any], List[float]] = ([], [])

    def make_callable(self, fetches: Any, feed_list: Sequence[Any]) -> Callable[..., Any]:
        """As tf.Session.make_callable."""
        run = self._session.make_callable(fetches, feed_list=feed_list)

        def signed(*values: Any) -> Any:
            self._runs.append(self._signature(values))
            return run(*values)

        return signed

    def take(self) -> List[float]:
        """The signature since the last call: of the first run's arrays (the critics'), then of the other runs' mean.

        A step of a single run feeds critics and generators alike: its signature stands twice.
        """
        runs, self._runs = self._runs, []
        others = runs[1:] or runs
        means = [math.fsum(numbers) / len(others) for numbers in zip(*others)]
        return [round(number, DECIMALS) for number in runs[0] + means]

    def _signature(self, values: Sequence[Any]) -> List[float]:
        known, signature = self._last
        if len(known) != len(values) or any(one is not other for one, other in zip(known, values)):
            signature = [self._mean(place, value) for place, value in enumerate(values)]
            self._last = (list(values), signature)
        return signature

    def _mean(self, place: int, value: Any) -> float:
        flat = np.asarray(value).reshape(-1)
        chosen = flat[:: _stride(flat.size)].astype(np.float32)
        pattern = self._patterns.get((place, chosen.size))
        if pattern is None:
            signs = stream(place, "feed signature").randint(0, 2, chosen.size)
            pattern = self._patterns[place, chosen.size] = (2 * signs - 1).astype(np.float32)
        return float(np.dot(chosen, pattern)) / chosen.size


def _stride(size: int) -> int:
    """The smallest step that leaves MOST_ELEMENTS of ``size``, and meets every channel and column."""
    stride = -(-size // MOST_ELEMENTS)
    while stride > 1 and math.gcd(stride, 6) > 1:
        stride += 1
    return stride
