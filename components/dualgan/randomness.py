"""Every random number of a run, drawn on the host as a function of the seed and the step.

Two devices therefore see the same numbers, and a resumed run goes on with the same sequence.
NumPy's RandomState is used because its streams are frozen: the same in every version.
"""

import zlib
from typing import Any

import numpy as np

from dualgan.networks import VariableSpec


def stream(seed: int, *purpose: Any) -> "np.random.RandomState":
    """The random numbers of one purpose, such as ("order", "A", 3)."""
    words = [seed] + [item if isinstance(item, int) else zlib.crc32(item.encode("utf-8")) for item in purpose]
    return np.random.RandomState(np.array(words, dtype=np.uint32))


def initial_value(spec: VariableSpec, seed: int) -> Any:
    """float32 values of ``spec``'s shape and distribution."""
    random = stream(seed, "initial", spec.name)
    values = random.standard_normal(spec.shape)
    if spec.truncated:
        outside = np.abs(values) > 2
        while outside.any():
            values[outside] = random.standard_normal(int(outside.sum()))
            outside = np.abs(values) > 2
    return (spec.mean + spec.stddev * values).astype(np.float32)
