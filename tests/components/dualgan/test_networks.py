"""The networks' sizes, which the original's checkpoints fix at 256 px."""

import math

import pytest

from dualgan import networks
from dualgan.options import TrainOptions
from dualgan.tensorflow_v1 import tf


def size(specs: list[networks.VariableSpec]) -> int:
    return sum(math.prod(spec.shape) for spec in specs)


def test_at_256_px_they_have_the_reference_s_number_of_parameters() -> None:
    assert size(networks.generator_variables("A_g", 256, 3, 3, 64)) == 30_627_907
    assert size(networks.critic_variables("A_d", 256, 3, 64, "globalgan")) == 3_949_441


def test_their_variables_have_the_original_s_names() -> None:
    names = {spec.name for spec in networks.all_variables(TrainOptions())}
    assert {"A_g_e1_conv/w", "A_g_e8_conv/biases", "A_g_bn_e2/scale", "B_g_bn_d7/center", "B_g_d8/w"} <= names
    assert {"A_d_h0_conv/w", "A_d_h3_1_conv/w", "B_d_bn3_1/scale", "B_d_d_h3_lin/Matrix"} <= names
    assert len(names) == 160


@pytest.mark.parametrize("image_size", [32, 64, 128, 256])
@pytest.mark.parametrize("disc_type", ["globalgan", "patchgan"])
def test_they_follow_the_image_s_size(image_size: int, disc_type: str) -> None:
    options = TrainOptions(image_size=image_size, A_channels=1, gcn=2, dcn=2, disc_type=disc_type)
    with tf.Graph().as_default():
        weights = {spec.name: tf.zeros(spec.shape) for spec in networks.all_variables(options)}
        images = tf.zeros([2, image_size, image_size, 1])
        translated = networks.generator(images, weights, "A_g")
        judged = networks.critic(translated, weights, "A_d", disc_type)
        assert translated.shape.as_list() == [2, image_size, image_size, 3]
        side = max(1, image_size // 64)
        assert judged.shape.as_list() == ([2, 1] if disc_type == "globalgan" else [2, side, side, 1])
        assert networks.depth(image_size) == math.log2(image_size)
