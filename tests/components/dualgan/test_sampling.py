"""Drawing with a trained run and with its exported graphs: samples, and people's own pictures."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dualgan.errors import BadInput
from dualgan.run_folder import RunFolder, read_json, read_samples, write_json
from dualgan.sampling import export, sample
from dualgan.tensorflow_v1 import tf
from dualgan.translate import exported_generator, generator_of_run, translate
from tests.components.dualgan.trainer import SMALL, Trainer


@pytest.fixture(scope="module")
def trained(trainer: Trainer, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of three steps, ``run``, and its graphs, ``exported``."""
    folder = tmp_path_factory.mktemp("trained")
    paths = ("--data_dir", str(dataset), "--run_dir", str(folder / "run"), "--cache_dir", str(folder / "cache"))
    options = ("--max_steps", "3", "--sample_images", "1", "--dropout_rate", "0.4")
    for command in (
        ("train", *paths, *SMALL, *options),
        ("export", "--run_dir", str(folder / "run"), "--output", str(folder / "exported")),
    ):
        answer = trainer(*command)
        assert answer.returncode == 0, answer.stderr
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A flat folder of pictures of two sizes, and two files and a folder that are none."""
    folder = tmp_path / "photos"
    folder.mkdir()
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8))
    noise.save(folder / "猫.jpg")
    noise.resize((33, 70)).save(folder / "dog.webp")
    (folder / "broken.png").write_bytes(b"no picture")
    (folder / "film.mp4").touch()
    (folder / "album").mkdir()
    return folder


def run_graph(file: Path, image: Any) -> Any:
    definition = tf.GraphDef()
    definition.ParseFromString(file.read_bytes())
    with tf.Graph().as_default(), tf.Session() as session:
        tf.import_graph_def(definition, name="")
        return session.run("output:0", {"img:0": image})


def pixels(path: Path) -> Any:
    with Image.open(path) as image:
        return np.asarray(image, np.float32)


def test_an_exported_graph_draws_the_trainer_s_own_samples(trained: Path, trainer: Trainer) -> None:
    run, exported = trained / "run", trained / "exported"
    samples = {sample.kind: sample.path for sample in read_samples(RunFolder(run).samples_of(3))}
    for direction, real in (("A2B", "real_A"), ("B2A", "real_B")):
        output = run_graph(exported / f"{direction}.pb", pixels(samples[real])[None] / 127.5 - 1)
        drawn = np.clip(np.rint((output[0] + 1) * 127.5), 0, 255)
        assert np.abs(drawn - pixels(samples[direction])).max() <= 1
    signature = read_json(exported / "signature.json")
    assert signature["channel_order"] == "RGB" and signature["step"] == 3 and signature["input"]["height"] == 32

    again = trainer("export", "--run_dir", str(run), "--output", str(exported))
    assert again.returncode == 2 and "not empty" in again.stderr


@pytest.mark.parametrize("kind", ["index", "data-00000-of-00001"])
def test_a_checkpoint_without_content_is_called_damaged(trained: Path, tmp_path: Path, kind: str) -> None:
    run = RunFolder(shutil.copytree(trained / "run", tmp_path / "run"))
    (run.checkpoints / "step-000003" / f"model.{kind}").write_bytes(b"")
    with pytest.raises(BadInput, match="step-000003: a damaged checkpoint"):
        export(run.path, tmp_path / "exported")


@pytest.mark.parametrize(("longer", "shorter"), [("A", "B"), ("B", "A")])
def test_each_domain_is_drawn_whole(trained: Path, dataset: Path, tmp_path: Path, longer: str, shorter: str) -> None:
    copy = shutil.copytree(dataset, tmp_path / "copy")
    for domain, names in ((longer, ("x", "y", "z")), (shorter, ("y",))):
        shutil.rmtree(copy / "val" / domain)
        (copy / "val" / domain).mkdir()
        for name in names:
            shutil.copy(dataset / "train" / domain / "0.png", copy / "val" / domain / f"{name}.png")
    output = tmp_path / "drawn"
    assert sample(trained / "run", output, copy, cache_dir=tmp_path / "cache") == {longer: 3, shorter: 1}
    drawn = read_samples(output)
    # Of B there is an image called as the pair is, after A's.
    assert {sample.image for sample in drawn} == {"A": {"x", "y", "z"}, "B": {"y", "y-B", "z"}}[longer]
    kinds = [sample.kind for sample in drawn]
    assert [kinds.count(f"real_{domain}") for domain in (longer, shorter)] == [3, 1]
    assert [kinds.count(f"{longer}2{shorter}"), kinds.count(f"{shorter}2{longer}")] == [3, 1]
    # The picture of an image is its own, not its neighbour's in the other domain: the image is the same each time.
    for kind in ("real_" + longer, f"{longer}2{shorter}2{longer}"):
        first, *others = [pixels(sample.path) for sample in drawn if sample.kind == kind]
        assert all(np.array_equal(first, other) for other in others)


def test_own_pictures_are_translated_at_their_size_under_their_names(
    trained: Path, trainer: Trainer, photos: Path, tmp_path: Path
) -> None:
    run, output = trained / "run", tmp_path / "out"
    answer = trainer(
        *("translate", "--run_dir", str(run), "--input", str(photos), "--direction", "A2B", "--output", str(output))
    )
    assert answer.returncode == 2 and "translated 2 pictures" in answer.stdout
    assert "broken.png: not a readable image" in answer.stderr
    assert "not taken: 1 files: 1 no images by their endings (.mp4); 1 folder, not looked into" in answer.stderr
    assert {path.name for path in output.iterdir()} == {"猫.png", "dog.png", "sheet.html"}
    sizes = {path.name: Image.open(path).size for path in output.glob("*.png")}
    assert sizes == {"猫.png": (90, 60), "dog.png": (33, 70)}
    page = (output / "sheet.html").read_text(encoding="utf-8")
    assert page.count("<img ") == 4 and ">猫.png</a>" in page and "broken" not in page


def test_checkpoints_and_options_are_enough_to_translate_and_the_run_s_limit_of_pixels_holds(
    trained: Path, trainer: Trainer, photos: Path, tmp_path: Path
) -> None:
    run, model, output = RunFolder(trained / "run"), RunFolder(tmp_path / "model"), tmp_path / "out"
    shutil.copytree(run.checkpoints, model.checkpoints)
    record = read_json(run.options)
    record["options"]["max_pixels"] = 90 * 60 - 1
    write_json(model.options, record)
    command = ("translate", "--run-dir", str(model.path), "--input", str(photos / "猫.jpg"), str(photos / "dog.webp"))
    answer = trainer(*command, "--direction", "A2B", "--output", str(output))
    assert answer.returncode == 2 and "translated 1 pictures" in answer.stdout
    assert "猫.jpg: not a readable image (90x60 pixels, more than 5399: " in answer.stderr
    assert "--max-pixels" in answer.stderr
    again = trainer(*command, "--direction", "A2B", "--output", str(tmp_path / "all"), "--max-pixels", "5400")
    assert again.returncode == 0 and "translated 2 pictures" in again.stdout


def test_run_and_exported_graph_translate_alike_and_as_samples_are_drawn(trained: Path, tmp_path: Path) -> None:
    samples = {sample.kind: sample.path for sample in read_samples(RunFolder(trained / "run").samples_of(3))}
    for direction, real in (("A2B", "real_A"), ("B2A", "real_B")):
        for name, generator in (
            ("run", generator_of_run(trained / "run", direction)),
            ("folder", exported_generator(trained / "exported", direction)),
            ("file", exported_generator(trained / "exported" / f"{direction}.pb")),
        ):
            output = tmp_path / direction / name
            assert translate(generator, [samples[real]], output).translated == 1
            (drawn,) = output.glob("*.png")
            assert np.abs(pixels(drawn) - pixels(samples[direction])).max() <= 1


def test_what_cannot_be_translated_is_named_and_leaves_nothing(trained: Path, photos: Path, tmp_path: Path) -> None:
    generator = generator_of_run(trained / "run", "A2B")
    (tmp_path / "empty").mkdir()
    for source, message in (
        (tmp_path / "empty", "empty: no image in it"),
        (tmp_path / "missing.png", "no such file or folder"),
        (photos / "broken.png", "none of 1 pictures can be read"),
    ):
        with pytest.raises(BadInput, match=message):
            translate(generator, [source], tmp_path / "out")
        assert not (tmp_path / "out").exists()
    with pytest.raises(BadInput, match="not empty"):
        translate(generator, [photos / "猫.jpg"], photos)
    with pytest.raises(BadInput, match="the other direction"):
        exported_generator(trained / "exported" / "A2B.pb", "B2A")
    with pytest.raises(BadInput, match="no graph that `dualgan export` has written"):
        exported_generator(photos / "猫.jpg")
