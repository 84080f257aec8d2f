"""What of `from npu_device.compat.v1.npu_init import *` a training calls: the build leaves loss scaling out."""

from npu_double import cube, sessions
from npu_double.sessions import NPUDistributedOptimizer, npu_config_proto, npu_tf_optimizer

__all__ = ["NPUDistributedOptimizer", "npu_config_proto", "npu_tf_optimizer"]

sessions.install()
cube.install()
