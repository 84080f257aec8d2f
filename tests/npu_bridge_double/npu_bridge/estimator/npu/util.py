"""Loops on the device."""

from typing import Any

import tensorflow as tf

from npu_bridge.contract import ContractError

SCOPE = "npu_runconfig"
VARIABLES = ("iterations_per_loop", "loop_cond", "zero", "one")
LOOP = "IterationOp"


def set_iteration_per_loop(sess: Any, train_op: Any, iterations_per_loop: Any = 1) -> Any:
    """An operation named IterationOp, which must be what is run; the device loops over no other name."""
    loop = IterationPerLoop()
    _check_positive(iterations_per_loop)
    if iterations_per_loop == 1:
        _check_operation(train_op)
        return train_op
    grouped = loop.create_iteration_per_loop_var(train_op)
    loop.load_iteration_per_loop_var(sess, iterations_per_loop)
    return grouped


class IterationPerLoop:
    """The same in two parts, for a graph that is finalized in between."""

    def create_iteration_per_loop_var(self, train_op: Any) -> Any:
        _check_operation(train_op)
        if LOOP in {operation.name for operation in tf.get_default_graph().get_operations()}:
            raise ContractError("a second IterationOp: it would be IterationOp_1, over which the device never loops")
        with tf.variable_scope(SCOPE, reuse=tf.AUTO_REUSE):
            self._variables = [
                tf.get_variable(
                    name,
                    initializer=tf.zeros_initializer(),
                    shape=[],
                    dtype=tf.int64,
                    trainable=False,
                    collections=[SCOPE + "_" + name, tf.GraphKeys.LOCAL_VARIABLES],
                    use_resource=True,
                )
                for name in VARIABLES
            ]
        return tf.group(train_op, name=LOOP)

    def load_iteration_per_loop_var(self, sess: Any, iterations_per_loop: Any = 1) -> None:
        _check_positive(iterations_per_loop)
        for variable, value in zip(self._variables, (iterations_per_loop - 1, 0, 0, 1)):
            variable.load(value, session=sess)


def _check_operation(train_op: Any) -> None:
    if not isinstance(train_op, tf.Operation):
        raise ValueError("train_op: {} is no tf.Operation".format(type(train_op).__name__))


def _check_positive(number: Any) -> None:
    if not isinstance(number, int):
        raise TypeError("iterations_per_loop must be int, got {}".format(type(number)))
    if number <= 0:
        raise ValueError("iterations_per_loop must be positive, got {}".format(number))
