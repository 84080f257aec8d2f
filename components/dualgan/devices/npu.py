"""Huawei Ascend NPUs through npu_bridge, the only module that imports it.

npu_bridge changes TensorFlow when it is imported, so that must happen on an NPU only.
"""

import os
from typing import Any, Dict

from dualgan.devices.device import Device
from dualgan.errors import BadInput
from dualgan.tensorflow_v1 import RewriterConfig, tf

SINGLE_CARD = {"ASCEND_DEVICE_ID": "0", "RANK_ID": "0", "RANK_SIZE": "1", "JOB_ID": "10087"}


class Npu(Device):
    """One Ascend 910. Critics and generators update in two runs: each is then one compiled graph."""

    kind = "npu"
    one_run = False

    def __init__(self, threads: int = 0) -> None:
        super().__init__(threads)
        for name, value in SINGLE_CARD.items():
            os.environ.setdefault(name, value)
        try:
            from npu_bridge import npu_init
        except ImportError as error:
            raise BadInput(
                "--device npu: no npu_bridge in this Python ({}); use an Ascend image and source its set_env.sh".format(
                    error
                )
            ) from None
        self._npu_init = npu_init

    def session_config(self) -> Any:
        config = self._npu_init.npu_config_proto(super().session_config())
        options = config.graph_options.rewrite_options
        # npu_config_proto leaves this on where the optimizer was added before; on an NPU it can abort the process.
        options.memory_optimization = RewriterConfig.NO_MEM_OPT
        for optimizer in options.custom_optimizers:
            if optimizer.name == "NpuOptimizer":
                # The highest precision of convolutions on a 910: float16 factors, float32 sums.
                optimizer.parameter_map["precision_mode"].s = b"force_fp32"
        return config

    def wrap_optimizer(self, optimizer: Any) -> Any:
        return self._npu_init.npu_tf_optimizer(optimizer)

    def describe(self) -> Dict[str, Any]:
        return {"kind": self.kind, "name": "Ascend NPU", "tensorflow": tf.version.VERSION}
