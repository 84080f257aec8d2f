"""Devices: how a session is set up on each, and what it says of itself.

A device that is asked for and not there is an error, never a silent fall-back to the CPU.
"""

import importlib
from contextlib import contextmanager
from typing import Any, Dict, FrozenSet, Iterator, List, Optional, Sequence

from dualgan.errors import BadInput
from dualgan.layers import Kernels
from dualgan.options import DEVICE_OPTIONS, DEVICES, TrainOptions
from dualgan.tensorflow_v1 import RewriterConfig, operations_explained, tf


class Device:
    """A place to run a graph. ``one_run``: whether critics and generators can update in one session.run there.

    ``accepts``: the device's own options that mean something there. ``matmul_input_dtype``: the type that factors of
    convolutions and matrix products have there: "float32", "tensorfloat32", "hfloat32", "float16" or "bfloat16".
    ``use_resource``: whether variables are resources; reference variables are changed where others read them.
    """

    kind = ""
    one_run = True
    use_resource = True
    accepts: FrozenSet[str] = frozenset()
    matmul_input_dtype = "float32"

    def __init__(self, options: TrainOptions) -> None:
        """Raises BadInput for an option that means nothing on this device: it would be recorded and have no effect."""
        for name in DEVICE_OPTIONS:
            if getattr(options, name) != getattr(TrainOptions, name) and name not in self.accepts:
                raise BadInput(f"--{name}: means nothing on --device {self.kind}; leave it out")
        self.options = options

    def session_config(self) -> Any:
        """A tf.ConfigProto."""
        config = tf.ConfigProto(intra_op_parallelism_threads=self.options.threads, allow_soft_placement=True)
        # Fused operations exist on some devices and versions only; without them the arithmetic is the same on all.
        config.graph_options.rewrite_options.remapping = RewriterConfig.OFF
        return config

    @contextmanager
    def open_session(self) -> Iterator[Any]:
        """Yield a session for the present default graph. An operation that fails in it is a DualGANError."""
        with operations_explained(), tf.Session(config=self.session_config()) as session:
            yield session

    def wrap_optimizer(self, optimizer: Any) -> Any:
        """Return what ``optimizer`` must become on this device."""
        return optimizer

    def gradients(self, optimizer: Any, loss: Any, values: Sequence[Any]) -> List[Any]:
        """Return the gradients of the scalar ``loss`` by each of ``values``, for a wrapped optimizer to apply.

        They are zero for a value that the loss does not depend on.
        """
        found: List[Any] = tf.gradients(loss, list(values), unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return found

    def kernels(self) -> Kernels:
        """Return the kernels that compute layers best here; for one graph."""
        return Kernels()

    def peak_memory_bytes(self) -> Optional[int]:
        """Return the most of the device's own memory that this process has used; None if it has none or cannot say."""
        return None

    def describe(self) -> Dict[str, Any]:
        """At least "kind" and "name"; goes into options.json."""
        raise NotImplementedError


def open_device(name: str, options: Optional[TrainOptions] = None) -> Device:
    """Return the device ``name``, one of DEVICES, set up as ``options`` say; None: by their defaults.

    Raises BadInput, saying what was looked for, if it is not there, and for an option that does not fit it.
    """
    if name not in DEVICES:
        raise BadInput(f"device {name}: must be one of {', '.join(DEVICES)}")
    # A module of its own each: one device's libraries are not another's.
    module = importlib.import_module(f"dualgan.devices.{name}")
    device: Device = getattr(module, name.capitalize())(options or TrainOptions())
    return device


def open_recorded_device(options: TrainOptions, name: Optional[str] = None) -> Device:
    """The device of a run's options as it was set up for it, or the device ``name`` with its own defaults."""
    if name is None or name == options.device:
        return open_device(options.device, options)
    return open_device(name, TrainOptions(threads=options.threads))
