"""Kernels as matrix products, on each runtime: TensorFlow's own results, gradients and gradients of gradients."""

import json
import subprocess

from tests.components.dualgan.trainer import Trainer

# Batch, side, channels, results, side of the filter.
SHAPES = {
    "an image": (1, 16, 3, 4, 5),
    "many results": (1, 16, 3, 16, 5),
    "a batch of grey images": (2, 8, 1, 6, 5),
    "large filters": (2, 4, 256, 512, 3),
    "one pixel": (1, 2, 512, 512, 3),
    "many channels": (2, 64, 64, 8, 3),
    "neither": (1, 64, 4, 8, 3),
}
# Prints the largest relative difference between the two of each result of each shape.
COMPARING = """
import json, sys
import numpy as np
from dualgan.devices.cpu import CpuKernels
from dualgan.layers import Kernels
from dualgan.tensorflow_v1 import tf

random = np.random.RandomState(0)

def values(*shape):
    return tf.constant(random.standard_normal(shape).astype(np.float32))

def differences(batch, side, channels, results, kernel):
    fine, coarse = values(batch, side, side, channels), values(batch, side // 2, side // 2, results)
    w = 0.05 * values(kernel, kernel, channels, results)

    def outcomes(by):
        convolved, deconvolved = by.convolution(fine, w), by.deconvolution(coarse, w)
        first = tf.gradients(tf.sin(convolved), [fine, w])
        return [convolved, deconvolved] + first + tf.gradients(tf.sin(deconvolved), [coarse, w]) + tf.gradients(
            tf.square(first[0]), [fine, w]
        )

    with tf.Session() as session:
        ours = CpuKernels(tensorflow_1=tf.version.VERSION.startswith("1."))
        pairs = session.run(list(zip(outcomes(Kernels()), outcomes(ours))))
    return [float(np.abs(a - b).max() / np.abs(a).max()) for a, b in pairs]

print(json.dumps([differences(*shape) for shape in json.loads(sys.argv[1])]))
"""


def test_they_are_the_same_sums(trainer: Trainer) -> None:
    command = [str(trainer.python), "-c", COMPARING, json.dumps(list(SHAPES.values()))]
    answer = subprocess.run(command, env=trainer.environment, capture_output=True, text=True, timeout=300, check=True)
    found = dict(zip(SHAPES, json.loads(answer.stdout), strict=True))
    assert {name for name, differences in found.items() if len(differences) != 8 or max(differences) >= 1e-5} == set()
