"""Managers of the loss scale."""

from typing import Any

import tensorflow as tf
from tensorflow.contrib.mixed_precision.python import loss_scale_manager

from npu_bridge.contract import ContractError


class FixedLossScaleManager(loss_scale_manager.FixedLossScaleManager):
    def __init__(self, loss_scale: Any, enable_overflow_check: Any = True) -> None:
        super().__init__(loss_scale)
        self._enable_overflow_check = enable_overflow_check

    def get_enable_overflow_check(self) -> bool:
        return bool(self._enable_overflow_check)


class ExponentialUpdateLossScaleManager(loss_scale_manager.ExponentialUpdateLossScaleManager):
    def __init__(
        self,
        init_loss_scale: Any,
        incr_every_n_steps: Any,
        decr_every_n_nan_or_inf: Any = 2,
        incr_ratio: Any = 2,
        decr_ratio: Any = 0.8,
    ) -> None:
        # Its variables would need the control inputs before they are made: "Placeholder not support" on the NPU.
        if tf.get_default_graph()._current_control_dependencies():
            raise ContractError("a loss scale manager must not be made inside control_dependencies")
        super().__init__(init_loss_scale, incr_every_n_steps, decr_every_n_nan_or_inf, incr_ratio, decr_ratio)
