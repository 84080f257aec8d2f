"""The way to TensorFlow 1's sessions."""

import tensorflow as tf
from npu_double.contract import state


def enable_v1() -> None:
    tf.compat.v1.disable_v2_behavior()
    state["v1"] = True
