"""NVIDIA GPUs through CUDA."""

import os
from typing import Any, Dict, List, NamedTuple, Optional

# Its version 1 API lacks some of what configures a device.
import tensorflow

from dualgan.devices import Device
from dualgan.environment import output_of
from dualgan.errors import BadInput
from dualgan.options import TrainOptions
from dualgan.tensorflow_v1 import tf

VISIBLE_DEVICES = "CUDA_VISIBLE_DEVICES"
# What CUDA's own libraries read before their first product.
TF32_OVERRIDE = "NVIDIA_TF32_OVERRIDE"
# cuDNN's convolutions in TensorFlow 1.14 and newer; every operation in NVIDIA's 1.15 and in 2.1 and newer.
DETERMINISM_VARIABLES = ("TF_CUDNN_DETERMINISTIC", "TF_DETERMINISTIC_OPS")


class Card(NamedTuple):
    """A GPU as its driver describes it; None: not known."""

    name: str
    driver: Optional[str]
    memory_mebibytes: Optional[int]


def visible_card() -> Optional[Card]:
    """The card that CUDA shows a program first; None if the driver has none, cannot say, or it is a part of a card."""
    first = os.environ.get(VISIBLE_DEVICES, "0").split(",")[0].strip()
    query = ["--query-gpu=name,driver_version,memory.total", "--format=csv,noheader,nounits", "--id=" + first]
    values = [value.strip() for value in (output_of(["nvidia-smi", *query]) or "").split(",")]
    if len(values) != 3:
        return None
    name, driver, memory = values
    # In place of what it does not know the tool writes such as "[N/A]" or "[Not Supported]".
    return Card(name, None if driver.startswith("[") else driver, int(memory) if memory.isdecimal() else None)


class Gpu(Device):
    """The first visible GPU."""

    kind = "gpu"
    accepts = frozenset(["deterministic", "allow_tf32"])

    def __init__(self, options: TrainOptions) -> None:
        super().__init__(options)
        # CUDA otherwise counts the fastest card first, nvidia-smi the first on the bus.
        os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
        set_tensor_float_32(options.allow_tf32)
        self.matmul_input_dtype = "tensorfloat32" if options.allow_tf32 else "float32"
        if options.deterministic:
            require_determinism()
        self._visible = _visible_gpus()
        if not self._visible:
            raise BadInput(f"--device gpu: TensorFlow {tf.version.VERSION} sees no GPU: {why_no_gpu()}")

    def session_config(self) -> Any:
        config = super().session_config()
        config.gpu_options.allow_growth = True
        # A session opens every card that it may see, and takes memory of each.
        config.gpu_options.visible_device_list = "0"
        return config

    def peak_memory_bytes(self) -> Optional[int]:
        # TensorFlow 1.15 has no public call that tells.
        try:
            memory = _call_if_known("get_memory_info", "GPU:0")
            return int(memory["peak"]) if memory else None
        # A run's summary must not be lost to what it would only mention.
        except (tf.errors.OpError, ValueError, RuntimeError):
            return None

    def describe(self) -> Dict[str, Any]:
        details: Dict[str, Any] = _call_if_known("get_device_details", self._visible[0]) or {}
        card = visible_card()
        build = _build()
        return {
            "kind": self.kind,
            "name": details.get("device_name") or (card.name if card else "NVIDIA GPU"),
            "count": len(self._visible),
            "driver": card.driver if card else None,
            "memory_mebibytes": card.memory_mebibytes if card else None,
            "compute_capability": ".".join(map(str, details.get("compute_capability", ()))) or None,
            "cuda": build.get("cuda_version"),
            "cudnn": build.get("cudnn_version"),
            "products": self.matmul_input_dtype,
            "deterministic": determinism() if self.options.deterministic else None,
        }


def set_tensor_float_32(allowed: bool) -> None:
    """TensorFloat-32 rounds the factors of products to 10 bits; a comparison of arithmetic needs float32."""
    if allowed:
        os.environ.pop(TF32_OVERRIDE, None)
    else:
        os.environ[TF32_OVERRIDE] = "0"
    _call_if_known("enable_tensor_float_32_execution", allowed)


def require_determinism() -> None:
    """Ask for the same bits of the same operation in each run, as far as this TensorFlow can."""
    os.environ.update(dict.fromkeys(DETERMINISM_VARIABLES, "1"))
    _call_if_known("enable_op_determinism")


def _call_if_known(name: str, *arguments: Any) -> Any:
    """Call a function of tf.config.experimental; return None if this TensorFlow has it not."""
    function = getattr(tensorflow.config.experimental, name, None)
    return function(*arguments) if function else None


def determinism() -> str:
    """Say how far ``require_determinism`` reaches here, for the record.

    "enforced": an operation that has no deterministic implementation fails (2.8 and newer); "operations": those that
    have one use it (2.1 and newer, NVIDIA's 1.15); "convolutions": cuDNN's alone (Google's 1.15). TensorFlow itself
    promises nothing for sessions beyond single operations.
    """
    if hasattr(tensorflow.config.experimental, "enable_op_determinism"):
        return "enforced"
    of_nvidia = "NVIDIA_TENSORFLOW_VERSION" in os.environ
    return "operations" if of_nvidia or not tf.version.VERSION.startswith("1.") else "convolutions"


def why_no_gpu() -> str:
    """The likeliest reason that TensorFlow sees no GPU, and what to do."""
    visible = os.environ.get(VISIBLE_DEVICES)
    if not tf.test.is_built_with_cuda():
        return "it is built without CUDA; use an image with a CUDA build, or --device cpu"
    if visible is not None and visible.split(",")[0].strip() in ("", "-1", "none", "void"):
        return f"{VISIBLE_DEVICES}={visible} hides every one; unset it"
    card = visible_card()
    if card is None:
        return "nvidia-smi finds no driver or no card; use a machine (a pod that asks for nvidia.com/gpu) with one"
    return (
        f"the driver ({card.driver}) lists {card.name}, but CUDA {_build().get('cuda_version')} could not be loaded; "
        "TF_CPP_MIN_LOG_LEVEL=0 names the library"
    )


def _visible_gpus() -> List[Any]:
    """TensorFlow's physical devices; unlike device_lib's, asking takes no memory of a card."""
    return list(tensorflow.config.experimental.list_physical_devices("GPU"))


def _build() -> Dict[str, Any]:
    """The versions of CUDA and cuDNN that TensorFlow was built with, under the names that 2.3 and newer give them."""
    build_info = getattr(tf.sysconfig, "get_build_info", None)
    if build_info:
        return dict(build_info())
    from tensorflow.python.platform import build_info as of_tensorflow_1

    return {
        "cuda_version": getattr(of_tensorflow_1, "cuda_version_number", None),
        "cudnn_version": getattr(of_tensorflow_1, "cudnn_version_number", None),
    }
