"""How fast a device multiplies matrices: what a training step could reach at most."""

import time
from typing import List

from dualgan.devices import Device
from dualgan.tensorflow_v1 import tf

MATRIX_SIDE = 2048
MEASURED_SECONDS = 0.5


def matmul_rate(device: Device) -> float:
    """Floating point operations a second of a large float32 matrix product on ``device``: what a step could reach."""
    with tf.Graph().as_default():
        side = MATRIX_SIDE
        factor = tf.get_variable("factor", [side, side], tf.float32, tf.random_uniform_initializer(seed=1))
        product = tf.matmul(factor, factor).op
        with tf.Session(config=device.session_config()) as session:
            session.run(tf.global_variables_initializer())
            run = session.make_callable(product)
            run()
            seconds: List[float] = []
            while sum(seconds) < MEASURED_SECONDS:
                began = time.perf_counter()
                run()
                seconds.append(time.perf_counter() - began)
    return 2.0 * side**3 / min(seconds)
