"""What of `from npu_bridge.npu_init import *` a training calls."""

from npu_double import cube, sessions
from npu_double.sessions import NPUDistributedOptimizer, npu_config_proto, npu_tf_optimizer

from npu_bridge.loss_scale import ExponentialUpdateLossScaleManager, FixedLossScaleManager, NPULossScaleOptimizer

__all__ = [
    "ExponentialUpdateLossScaleManager",
    "FixedLossScaleManager",
    "NPUDistributedOptimizer",
    "NPULossScaleOptimizer",
    "npu_config_proto",
    "npu_tf_optimizer",
]

sessions.install()
cube.install()
