"""Loss scaling by the NPU's register of overflows, and the managers of the scale."""

from typing import Any, Set

import tensorflow as tf
from npu_double.contract import ContractError
from tensorflow.contrib.mixed_precision.python import loss_scale_manager, loss_scale_optimizer


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


class NPULossScaleOptimizer(loss_scale_optimizer.LossScaleOptimizer):
    """Skips an update whose gradients overflowed.

    The double looks at the gradients, as the adapter does on chips that know infinity. A 910 has one register for all
    of a run: gradients that were not computed here, or two of these in one run, mislead it.
    """

    def __init__(self, opt: Any, loss_scale_manager: Any, is_distributed: Any = False) -> None:
        if is_distributed:
            raise ContractError("NPULossScaleOptimizer: is_distributed with one card")
        super().__init__(opt, loss_scale_manager)
        self._computed: Set[str] = set()

    def compute_gradients(self, *args: Any, **kwargs: Any) -> Any:
        pairs = super().compute_gradients(*args, **kwargs)
        self._computed.update(gradient.name for gradient, _ in pairs if gradient is not None)
        return pairs

    def apply_gradients(self, grads_and_vars: Any, global_step: Any = None, name: Any = None) -> Any:
        pairs = list(grads_and_vars)
        if not any(isinstance(g, tf.Tensor) and g.name in self._computed for g, _ in pairs):
            raise ContractError("NPULossScaleOptimizer: gradients of an unscaled loss; take compute_gradients'")
        return super().apply_gradients(pairs, global_step, name)
