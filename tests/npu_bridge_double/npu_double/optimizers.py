"""The optimiser that averages gradients over cards; with one card, the optimizer that it wraps."""

import os
from typing import Any

import tensorflow.compat.v1 as tf

from npu_double.contract import ContractError


class NPUDistributedOptimizer(tf.train.Optimizer):
    def __init__(self, optimizer: Any, is_weight_update_sharding: Any = False, name: Any = None) -> None:
        if not isinstance(optimizer, tf.train.Optimizer):
            raise TypeError("{}: no tf.train.Optimizer".format(type(optimizer).__name__))
        self._optimizer = optimizer
        super().__init__(False, name or "Distributed{}".format(type(optimizer).__name__))

    def apply_gradients(self, *args: Any, **kwargs: Any) -> Any:
        if int(os.environ.get("RANK_SIZE", "1")) != 1:
            raise ContractError("RANK_SIZE={}: the double has one card".format(os.environ["RANK_SIZE"]))
        return self._optimizer.apply_gradients(*args, **kwargs)


def npu_tf_optimizer(opt: Any) -> Any:
    return NPUDistributedOptimizer(opt)
