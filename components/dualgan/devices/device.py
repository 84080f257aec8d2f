"""What every device offers."""

from typing import Any, Dict, Optional

from dualgan.layers import Kernels
from dualgan.tensorflow_v1 import RewriterConfig, tf


class Device:
    """A place to run a graph. ``one_run``: whether critics and generators can update in one session.run there."""

    kind = ""
    one_run = True

    def __init__(self, threads: int = 0) -> None:
        """threads: CPU threads for one operation, 0 for as many as there are cores."""
        self._threads = threads

    def session_config(self) -> Any:
        """A tf.ConfigProto."""
        config = tf.ConfigProto(intra_op_parallelism_threads=self._threads, allow_soft_placement=True)
        # Fused operations exist on some devices and versions only; without them the arithmetic is the same on all.
        config.graph_options.rewrite_options.remapping = RewriterConfig.OFF
        return config

    def wrap_optimizer(self, optimizer: Any) -> Any:
        """What ``optimizer`` must become on this device."""
        return optimizer

    def kernels(self) -> Kernels:
        """How layers are computed best here; for one graph."""
        return Kernels()

    def peak_memory_bytes(self) -> Optional[int]:
        """The most of the device's own memory that this process has used; None where it has none or cannot say."""
        return None

    def describe(self) -> Dict[str, Any]:
        """At least "kind" and "name"; goes into options.json."""
        raise NotImplementedError
