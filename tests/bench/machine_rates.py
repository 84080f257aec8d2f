"""How fast a device multiplies matrices and goes over memory: what a training step could reach at most."""

import time
from typing import Any, Callable, List

from dualgan.devices import Device
from dualgan.tensorflow_v1 import tf

MATRIX_SIDE = 2048
# Float32 numbers of an array that no cache holds.
LARGE_ARRAY = 1 << 26
MEASURED_SECONDS = 0.5


def matmul_rate(device: Device) -> float:
    """Floating point operations a second of a large float32 matrix product on ``device``."""
    side = MATRIX_SIDE
    return 2.0 * side**3 / _fastest(device, [side, side], tf.matmul)


def memory_rate(device: Device) -> float:
    """Bytes a second that an operation on large arrays reads (two thirds) and writes on ``device``."""
    return 3.0 * 4 * LARGE_ARRAY / _fastest(device, [LARGE_ARRAY], tf.assign_add)


def _fastest(device: Device, shape: List[int], function: Callable[[Any, Any], Any]) -> float:
    """The least seconds that ``function`` of two variables of ``shape`` took."""
    with tf.Graph().as_default():
        one, other = (tf.get_variable(name, shape, initializer=tf.ones_initializer()) for name in ("one", "other"))
        operation = function(one, other).op
        with tf.Session(config=device.session_config()) as session:
            session.run(tf.global_variables_initializer())
            run = session.make_callable(operation)
            run()
            seconds: List[float] = []
            while sum(seconds) < MEASURED_SECONDS:
                began = time.perf_counter()
                run()
                seconds.append(time.perf_counter() - began)
    return min(seconds)
