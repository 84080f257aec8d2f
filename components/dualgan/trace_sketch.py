"""Sketches of large tensors: some of their elements at fixed places, for comparing them elsewhere."""

import zlib
from typing import Any, Dict, NamedTuple, Tuple

import numpy as np

ELEMENTS = 1024

# Denominators of errors: tensors of zeros are equal.
TINY = 1e-20

_places: Dict[Tuple[str, int], Any] = {}


def sketch(name: str, values: Any) -> Any:
    """float32 [n]: all elements of ``values``, or ELEMENTS of them at places that depend on name and size alone."""
    flat = np.asarray(values).reshape(-1)
    if flat.size <= ELEMENTS:
        return flat.astype(np.float32)
    key = (name, flat.size)
    if key not in _places:
        random = np.random.RandomState(zlib.crc32(name.encode("utf-8")))
        _places[key] = np.sort(random.randint(0, flat.size, ELEMENTS))
    return flat[_places[key]].astype(np.float32)


class TensorError(NamedTuple):
    """How far a tensor is from the recorded one, by their sketches. max_abs has the tensor's unit."""

    cosine: float
    relative_l2: float
    max_abs: float


def error_of(actual: Any, recorded: Any, floor: float = 0.0) -> TensorError:
    """floor: the least root mean square that the relative error is taken of. Not finite where a tensor is not."""
    one, other = (np.asarray(values, np.float64) for values in (actual, recorded))
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return TensorError(float("nan"), float("inf"), float("inf"))
    difference = one - other
    sizes = float(np.linalg.norm(one)), float(np.linalg.norm(other))
    cosine = float(one @ other) / (sizes[0] * sizes[1]) if min(sizes) > TINY else float(sizes[0] == sizes[1])
    scale = max(sizes[1], floor * float(np.sqrt(other.size)), TINY)
    return TensorError(cosine, float(np.linalg.norm(difference)) / scale, float(np.max(np.abs(difference))))


def root_mean_square(values: Any) -> float:
    return float(np.sqrt(np.mean(np.square(np.asarray(values, np.float64)))))
