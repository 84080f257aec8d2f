"""TensorFlow's version 1 API, in graph mode, on TensorFlow 1.15 and on 2.x alike."""

import os
import warnings
from typing import Any, Callable, Tuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# TensorFlow 2 looks for the Keras that goes with it, and imports all of it: half of the time that its import takes.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
with warnings.catch_warnings():
    # TensorFlow 1.15 uses spellings of NumPy types that NumPy 1.17 and newer warn about, once an import line.
    warnings.simplefilter("ignore", category=FutureWarning)
    import tensorflow.compat.v1 as tf
    from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig

tf.logging.set_verbosity(tf.logging.ERROR)
tf.disable_v2_behavior()


def custom_gradient(function: Callable[..., Tuple[Any, Callable[..., Any]]]) -> Callable[..., Any]:
    """tf.custom_gradient, typed: ``function`` returns its result and what makes the arguments' gradients of its own."""
    decorated: Callable[..., Any] = tf.custom_gradient(function)
    return decorated


__all__ = ["RewriterConfig", "custom_gradient", "tf"]
