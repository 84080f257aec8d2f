"""Starting from a checkpoint: one of the original, whose colours are in BGR order, or one of a run of this software."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dualgan import networks
from dualgan.checkpoints import PREFIX, checkpoint_prefix, checkpoint_weights
from dualgan.errors import BadInput
from dualgan.options import TrainOptions, from_dict
from dualgan.run_folder import RunFolder
from dualgan.tensorflow_v1 import tf
from dualgan.training import train as train_here
from tests.components.dualgan.trainer import checkpoint_bytes, tf1_in_the_system_tier

SHAPE = TrainOptions(image_size=32, gcn=2, dcn=2)
SIZES = {"image_size": 32, "gcn": 2, "dcn": 2, "sample_images": 1, "threads": 1}


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
    for place in (Path(prefix).parent, f"{prefix}.index", f"{prefix}.meta"):
        assert checkpoint_prefix(str(place)) == prefix
    image = np.random.default_rng(1).uniform(-1, 1, (1, 32, 32, 3)).astype("f4")
    bgr_translated, bgr_judged = translate_and_judge(values, np.ascontiguousarray(image[..., ::-1]))
    translated, judged = translate_and_judge(checkpoint_weights(prefix, SHAPE), image)
    np.testing.assert_allclose(translated[..., ::-1], bgr_translated, atol=1e-5)
    np.testing.assert_allclose(judged, bgr_judged, rtol=1e-4)
    assert np.abs(translated - bgr_translated).max() > 0.01


@pytest.fixture
def own(tmp_path: Path, dataset: Path) -> Path:
    """A run folder of two steps, trained in this process."""
    run = tmp_path / "own"
    folders = {"data_dir": str(dataset), "run_dir": str(run), "cache_dir": str(tmp_path / "cache")}
    train_here(from_dict({**folders, **SIZES, "max_steps": 2, "save_freq": 1, "lr": 0.01}))
    return run


def test_a_run_of_this_software_is_fine_tuned_from_just_the_weights_it_has(
    own: Path, tmp_path: Path, dataset: Path
) -> None:
    """Its colours are in RGB order, wherever its checkpoint is copied to; another data set and rate may follow."""
    step = RunFolder(own).checkpoints / "step-000002"
    expected = tf.train.load_checkpoint(str(step / PREFIX))
    moved = shutil.copytree(step, tmp_path / "moved")
    (moved / "checkpoint.json").unlink()
    for place in (own, own / "checkpoint", step, moved, f"{moved}/{PREFIX}", f"{moved}/{PREFIX}.index"):
        found = checkpoint_weights(str(place), SHAPE)
        for name, value in found.items():
            np.testing.assert_array_equal(value, expected.get_tensor(name))

    for place in (own / "samples", own / "samples" / "step-000002", dataset):
        with pytest.raises(BadInput, match=f"^--init_from {place}: no checkpoint in this folder$"):
            checkpoint_weights(str(place), SHAPE)

    other = Path(shutil.copytree(dataset, tmp_path / "other"))
    (other / "train" / "A" / "0.png").unlink()
    folders = {"data_dir": str(other), "run_dir": str(tmp_path / "tuned"), "cache_dir": str(tmp_path / "cache")}
    summary = train_here(from_dict({**folders, **SIZES, "max_steps": 1, "lr": 1e-9, "init_from": str(own)}))
    tuned = tf.train.load_checkpoint(str(RunFolder(tmp_path / "tuned").checkpoints / "step-000001" / PREFIX))
    assert summary["status"] == "finished" and summary["steps"] == 1
    for name in found:
        np.testing.assert_allclose(tuned.get_tensor(name), expected.get_tensor(name), atol=1e-6)


@tf1_in_the_system_tier
def test_training_starts_from_it(
    tmp_path: Path, original: tuple[str, dict[str, Any]], train: Callable[..., Any]
) -> None:
    assert train(tmp_path / "with", "--max_steps", "1", "--init_from", original[0]).returncode == 0
    assert train(tmp_path / "without", "--max_steps", "1").returncode == 0
    assert checkpoint_bytes(tmp_path / "with", 1) != checkpoint_bytes(tmp_path / "without", 1)


def test_a_checkpoint_of_another_size_is_refused_by_the_variable_s_name(original: tuple[str, dict[str, Any]]) -> None:
    with pytest.raises(BadInput, match=r"A_g_e1_conv/w has shape \[5, 5, 3, 2\], not \[5, 5, 3, 4\]"):
        checkpoint_weights(original[0], replace(SHAPE, gcn=4))
    with pytest.raises(BadInput, match="no TensorFlow checkpoint"):
        checkpoint_weights("/nowhere/model", SHAPE)


@pytest.mark.parametrize("content", [b"", b"no index", b"\0" * 200, b"half"])
def test_a_damaged_checkpoint_is_refused(original: tuple[str, dict[str, Any]], tmp_path: Path, content: bytes) -> None:
    for file in Path(original[0]).parent.iterdir():
        shutil.copy(file, tmp_path)
    index = tmp_path / "DualNet.model-2.index"
    index.write_bytes(content if content != b"half" else index.read_bytes()[: index.stat().st_size // 2])
    with pytest.raises(BadInput, match="--init_from"):
        checkpoint_weights(str(tmp_path), SHAPE)
