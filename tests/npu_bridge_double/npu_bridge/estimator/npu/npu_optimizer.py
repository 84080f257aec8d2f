"""Optimisers that average gradients over cards."""

import os
from typing import Any

import tensorflow as tf

from npu_bridge.contract import ContractError


class NPUDistributedOptimizer(tf.train.Optimizer):
    """With one card, the optimizer that it wraps."""

    def __init__(self, optimizer: Any, is_weight_update_sharding: Any = False, name: Any = None) -> None:
        if not isinstance(optimizer, tf.train.Optimizer):
            raise TypeError("{}: no tf.train.Optimizer".format(type(optimizer).__name__))
        self._optimizer = optimizer
        super().__init__(False, name or "Distributed{}".format(type(optimizer).__name__))

    def compute_gradients(self, *args: Any, **kwargs: Any) -> Any:
        _require_one_card()
        return self._optimizer.compute_gradients(*args, **kwargs)

    def apply_gradients(self, *args: Any, **kwargs: Any) -> Any:
        _require_one_card()
        return self._optimizer.apply_gradients(*args, **kwargs)

    def get_slot(self, *args: Any, **kwargs: Any) -> Any:
        return self._optimizer.get_slot(*args, **kwargs)

    def get_slot_names(self, *args: Any, **kwargs: Any) -> Any:
        return self._optimizer.get_slot_names(*args, **kwargs)

    def variables(self, *args: Any, **kwargs: Any) -> Any:
        return self._optimizer.variables(*args, **kwargs)


class NPUOptimizer(tf.train.Optimizer):
    """The older interface to loss scaling and distribution in one."""

    def __init__(
        self,
        opt: Any,
        loss_scale_manager: Any = None,
        is_distributed: Any = False,
        is_loss_scale: Any = False,
        is_tailing_optimization: Any = False,
        name: Any = None,
    ) -> None:
        raise ContractError("NPUOptimizer: use NPULossScaleOptimizer or NPUDistributedOptimizer")


def _require_one_card() -> None:
    # As the adapter: the number must be there, and be one.
    if int(os.environ["RANK_SIZE"]) != 1:
        raise ContractError("RANK_SIZE={}: the double has one card".format(os.environ["RANK_SIZE"]))
