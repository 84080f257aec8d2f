"""Scopes that mark operations for the NPU's compiler."""

import contextlib
from typing import Iterator

import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2


@contextlib.contextmanager
def keep_dtype_scope() -> Iterator[None]:
    with tf.get_default_graph()._attr_scope({"_keep_dtype": attr_value_pb2.AttrValue(i=1)}):
        yield
