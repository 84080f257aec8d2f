"""Loss scaling by the NPU's register of overflows."""

from typing import Any, Set

import tensorflow as tf
from tensorflow.contrib.mixed_precision.python import loss_scale_optimizer

from npu_bridge.contract import ContractError


class NPULossScaleOptimizer(loss_scale_optimizer.LossScaleOptimizer):
    """Skips an update whose gradients overflowed. The double looks at the gradients, the NPU at one register for all

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
