"""The exported generators: what any TensorFlow 2 makes of them is what the trainer draws."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dualgan.run_folder import RunFolder, read_json, read_samples
from dualgan.tensorflow_v1 import tf
from tests.components.dualgan.trainer import Trainer


def run_graph(file: Path, image: Any) -> Any:
    definition = tf.GraphDef()
    definition.ParseFromString(file.read_bytes())
    with tf.Graph().as_default(), tf.Session() as session:
        tf.import_graph_def(definition, name="")
        return session.run("output:0", {"img:0": image})


def pixels(path: Path) -> Any:
    return np.asarray(Image.open(path), np.float32)


def test_an_exported_graph_draws_the_trainer_s_own_samples(
    tmp_path: Path, train: Callable[..., object], trainer: Trainer
) -> None:
    run, exported = tmp_path / "run", tmp_path / "exported"
    train(run, "--max_steps", "3", "--sample_images", "1", "--dropout_rate", "0.4")
    answer = trainer("export", "--run_dir", str(run), "--output", str(exported))
    assert answer.returncode == 0, answer.stderr
    samples = {sample.kind: sample.path for sample in read_samples(RunFolder(run).samples_of(3))}
    for direction, real in (("A2B", "real_A"), ("B2A", "real_B")):
        output = run_graph(exported / f"{direction}.pb", pixels(samples[real])[None] / 127.5 - 1)
        drawn = np.clip(np.rint((output[0] + 1) * 127.5), 0, 255)
        assert np.abs(drawn - pixels(samples[direction])).max() <= 1
    signature = read_json(exported / "signature.json")
    assert signature["channel_order"] == "RGB" and signature["step"] == 3 and signature["input"]["height"] == 32

    again = trainer("export", "--run_dir", str(run), "--output", str(exported))
    assert again.returncode == 2 and "not empty" in again.stderr
