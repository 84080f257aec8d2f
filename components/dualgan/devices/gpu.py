"""NVIDIA GPUs through CUDA."""

import os
from typing import Any, Dict, List, Optional

from dualgan.devices.device import Device
from dualgan.errors import BadInput
from dualgan.tensorflow_v1 import tf


class Gpu(Device):
    """The first visible GPU."""

    kind = "gpu"

    def __init__(self, threads: int = 0) -> None:
        super().__init__(threads)
        # TensorFloat-32 rounds the factors of products to 10 bits; a comparison of arithmetic needs float32.
        os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
        self._names = _gpu_names()
        if not self._names:
            raise BadInput(
                "--device gpu: TensorFlow {} sees no GPU (CUDA build: {}, CUDA_VISIBLE_DEVICES={}); "
                "use --device cpu, or an image with a CUDA build on a machine with a driver".format(
                    tf.version.VERSION,
                    tf.test.is_built_with_cuda(),
                    os.environ.get("CUDA_VISIBLE_DEVICES", "unset"),
                )
            )

    def session_config(self) -> Any:
        config = super().session_config()
        config.gpu_options.allow_growth = True
        return config

    def peak_memory_bytes(self) -> Optional[int]:
        # TensorFlow 1.15 has no public call that tells.
        memory_info = getattr(getattr(tf.config, "experimental", None), "get_memory_info", None)
        return int(memory_info("GPU:0")["peak"]) if memory_info else None

    def describe(self) -> Dict[str, Any]:
        # TensorFlow 1.15 does not tell what it was built with.
        build_info: Dict[str, Any] = getattr(tf.sysconfig, "get_build_info", dict)()
        return {
            "kind": self.kind,
            "name": self._names[0],
            "count": len(self._names),
            "cuda": build_info.get("cuda_version"),
        }


def _gpu_names() -> List[str]:
    from tensorflow.python.client import device_lib

    found = [device for device in device_lib.list_local_devices() if device.device_type == "GPU"]
    return [device.physical_device_desc or device.name for device in found]
