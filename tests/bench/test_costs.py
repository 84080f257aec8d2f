"""What a training step costs in floating point operations."""

import pytest

from dualgan.devices import open_device
from dualgan.options import TrainOptions
from dualgan.step import StepGraph
from dualgan.tensorflow_v1 import tf
from tests.bench.costs import bytes_per_step, flops_of, flops_per_step


def test_products_and_convolutions_count_two_for_each_multiplication() -> None:
    with tf.Graph().as_default():
        image, kernel = tf.zeros([2, 8, 8, 3]), tf.zeros([5, 5, 3, 7])
        convolved = tf.nn.conv2d(image, kernel, strides=[1, 2, 2, 1], padding="SAME")
        assert flops_of([convolved]) == 2 * (5 * 5 * 3 * 7) * (2 * 4 * 4)
        assert flops_of(tf.gradients(convolved, [kernel])) == flops_of([convolved])
        assert flops_of(tf.gradients(convolved, [image])) == flops_of([convolved])
        product = tf.matmul(tf.zeros([3, 5]), tf.zeros([3, 4]), transpose_a=True)
        assert flops_of([product]) == 2 * 5 * 3 * 4


@pytest.mark.system
def test_the_full_size_step_costs_what_the_reference_s_does_and_less_in_one_run() -> None:
    """The reference's step was measured at 168.6 GFLOP, what is not a convolution included."""
    counted = {}
    for mode in ("one-run", "two-run"):
        with tf.Graph().as_default():
            graph = StepGraph(TrainOptions(step_mode=mode), open_device("cpu"))
            counted[mode] = flops_per_step(graph)
    assert counted["two-run"] == pytest.approx(168.6e9, rel=0.05)
    assert counted["one-run"] < 0.92 * counted["two-run"]


def test_a_step_goes_over_weights_slots_and_activations() -> None:
    """At least seven times over each weight, and in all a few times as often."""
    options = TrainOptions(image_size=64, gcn=8, dcn=8)
    with tf.Graph().as_default():
        graph = StepGraph(options, open_device("cpu"))
        weights = sum(4 * variable.shape.num_elements() for variable in graph.variables.values())
        assert 10 * weights < bytes_per_step(graph) < 100 * weights
