"""Starting from a checkpoint of the original, whose colours are in BGR order."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dualgan import networks
from dualgan.errors import BadInput
from dualgan.networks import Shape
from dualgan.tensorflow_v1 import tf
from dualgan.weights import original_weights
from tests.components.dualgan.trainer import checkpoint_bytes

SHAPE = Shape(32, 3, 3, 2, 2, "globalgan")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """A checkpoint as the original writes it, and its weights."""
    prefix = str(tmp_path_factory.mktemp("original") / "DualNet.model-2")
    random = np.random.default_rng(0)
    values = {spec.name: random.normal(0, 0.3, spec.shape).astype("f4") for spec in networks.all_variables(SHAPE)}
    with tf.Graph().as_default(), tf.Session() as session:
        variables = [tf.Variable(value, name=name) for name, value in values.items()]
        session.run(tf.global_variables_initializer())
        tf.train.Saver(variables).save(session, prefix)
    return prefix, values


def translate_and_judge(weights: dict[str, Any], image: Any) -> tuple[Any, Any]:
    with tf.Graph().as_default(), tf.Session() as session:
        constants = {name: tf.constant(value) for name, value in weights.items()}
        translated = networks.generator(tf.constant(image), constants, "A_g")
        judged = networks.critic(tf.constant(image), constants, "A_d", SHAPE.disc_type)
        return tuple(session.run([translated, judged]))


def test_on_rgb_it_does_what_the_original_does_on_bgr(original: tuple[str, dict[str, Any]]) -> None:
    prefix, values = original
    image = np.random.default_rng(1).uniform(-1, 1, (1, 32, 32, 3)).astype("f4")
    bgr_translated, bgr_judged = translate_and_judge(values, np.ascontiguousarray(image[..., ::-1]))
    translated, judged = translate_and_judge(original_weights(prefix, SHAPE), image)
    np.testing.assert_allclose(translated[..., ::-1], bgr_translated, atol=1e-5)
    np.testing.assert_allclose(judged, bgr_judged, rtol=1e-4)
    assert np.abs(translated - bgr_translated).max() > 0.01


def test_training_starts_from_it(
    tmp_path: Path, original: tuple[str, dict[str, Any]], train: Callable[..., Any]
) -> None:
    assert train(tmp_path / "with", "--max_steps", "1", "--init_from", original[0]).returncode == 0
    assert train(tmp_path / "without", "--max_steps", "1").returncode == 0
    assert checkpoint_bytes(tmp_path / "with", 1) != checkpoint_bytes(tmp_path / "without", 1)


def test_a_checkpoint_of_another_size_is_refused_by_the_variable_s_name(original: tuple[str, dict[str, Any]]) -> None:
    with pytest.raises(BadInput, match=r"A_g_e1_conv/w has shape \[5, 5, 3, 2\], not \[5, 5, 3, 4\]"):
        original_weights(original[0], SHAPE._replace(gcn=4))
    with pytest.raises(BadInput, match="no TensorFlow checkpoint"):
        original_weights("/nowhere/model", SHAPE)
