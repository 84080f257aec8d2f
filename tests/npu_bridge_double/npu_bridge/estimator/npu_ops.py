"""Operations of the adapter."""

from typing import Any

import tensorflow as tf


def initialize_system(name: Any = None) -> Any:
    return tf.no_op(name=name or "initialize_system")


def shutdown_system(name: Any = None) -> Any:
    return tf.no_op(name=name or "shutdown_system")


def dropout(x: Any, keep_prob: Any, noise_shape: Any = None, seed: Any = None, name: Any = None) -> Any:
    """keep_prob: the share that is kept, in (0, 1]."""
    if not 0 < keep_prob <= 1:
        raise ValueError("keep_prob {}: must be in (0, 1]".format(keep_prob))
    return tf.nn.dropout(x, keep_prob=keep_prob, noise_shape=noise_shape, seed=seed, name=name)
