"""The CPU."""

import os
import platform
from pathlib import Path
from typing import Any, Dict

from dualgan.cpu_kernels import CpuKernels
from dualgan.devices.device import Device
from dualgan.layers import Kernels
from dualgan.tensorflow_v1 import tf


def _processor() -> str:
    """The processor's name as Linux gives it, else what the platform module knows."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.lower().startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _is_tensorflow_1() -> bool:
    return bool(tf.version.VERSION.startswith("1."))


class Cpu(Device):
    """The CPU, whatever else the machine has."""

    kind = "cpu"

    def session_config(self) -> Any:
        config = super().session_config()
        config.device_count["GPU"] = 0
        # The optimiser reorders sums differently for each set of fetches; without it one run a step and two, and any
        # two processes, agree to the last bit.
        config.graph_options.rewrite_options.disable_meta_optimizer = True
        return config

    def kernels(self) -> Kernels:
        return CpuKernels(tensorflow_1=_is_tensorflow_1())

    def describe(self) -> Dict[str, Any]:
        onednn = not _is_tensorflow_1() and os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1") != "0"
        return {
            "kind": self.kind,
            "name": _processor(),
            "cores": os.cpu_count(),
            "onednn": onednn,
            "products": self.products,
        }
