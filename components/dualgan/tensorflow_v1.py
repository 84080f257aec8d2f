"""TensorFlow's version 1 API, in graph mode, on TensorFlow 1.15 and on 2.x alike."""

import os
import re
import time
import warnings
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Tuple

from dualgan.environment import BROKEN_IMPORT, import_fault
from dualgan.errors import BadInput, DualGANError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# TensorFlow 2 looks for the Keras that goes with it, and imports all of it: half of the time that its import takes.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
_began = time.perf_counter()
try:
    with warnings.catch_warnings():
        # TensorFlow 1.15 uses spellings of NumPy types that NumPy 1.17 and newer warn about, once an import line.
        warnings.simplefilter("ignore", category=FutureWarning)
        import tensorflow.compat.v1 as tf
        from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig
# Libraries that do not fit each other raise errors of any kind.
except BROKEN_IMPORT as error:
    raise BadInput(f"TensorFlow cannot be used: {import_fault(error)}") from error

# A table of a run's seconds tells them apart.
IMPORT_SECONDS = time.perf_counter() - _began
tf.logging.set_verbosity(tf.logging.ERROR)
tf.disable_v2_behavior()


def custom_gradient(function: Callable[..., Tuple[Any, Callable[..., Any]]]) -> Callable[..., Any]:
    """tf.custom_gradient, typed."""
    decorated: Callable[..., Any] = tf.custom_gradient(function)
    return decorated


# Before these, TensorFlow 2 tells where an operation was built.
_NODE = re.compile(r"\[\[(?:\{\{)?node ([^\s}\]]+)|^Node: '([^']+)'", re.MULTILINE)
_SAYS_NOTHING = re.compile(r"Graph execution error:|\d+ root error\(s\) found|\[\[|Hint:|$")
_NUMBERED = re.compile(r"\(\d+\) [\w ]+: +")


@contextmanager
def operations_explained() -> Iterator[None]:
    """Turn an operation's error into a DualGANError: the line of it that says something, and the operation's name."""
    try:
        yield
    except tf.errors.OpError as error:
        raise DualGANError(f"TensorFlow: {_explained(error.message)}") from error


def _explained(message: str) -> str:
    places = list(_NODE.finditer(message))
    headings = [place for place in places if place.group(2)]
    lines = [line.strip() for line in message[headings[-1].end() if headings else 0 :].splitlines()]
    said = [_NUMBERED.sub("", line) for line in lines if not _SAYS_NOTHING.match(line)] or ["no reason given"]
    name = next((place.group(1) or place.group(2) for place in places), "")
    return f"{name}: {said[0]}" if name and name not in said[0] else said[0]


__all__ = ["RewriterConfig", "custom_gradient", "operations_explained", "tf"]
