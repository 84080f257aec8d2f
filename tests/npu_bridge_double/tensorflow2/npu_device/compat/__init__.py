"""The way to TensorFlow 1's sessions."""

import tensorflow as tf


def enable_v1() -> None:
    tf.compat.v1.disable_v2_behavior()
