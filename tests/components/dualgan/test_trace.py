"""Training steps recorded on one runtime and done again on the other: they come out the same, or the first layer that
does not is named."""

import itertools
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.train.runtimes import RUNTIMES, is_set_up, python_of, trainer_environment
from dualgan.cli import main
from dualgan.replay_bounds import FLOAT32
from dualgan.run_folder import read_json, write_json
from tests.components.dualgan.array_files import Change, changed, overwritten_header, truncated
from tests.components.dualgan.trainer import SMALL, Trainer

STEPS = 4
OTHER_KINDS = {
    "classic": ("--GAN_type", "classic", "--disc_type", "patchgan", "--loss_metric", "L2", "--batch_size", "2"),
    "wgan": ("--GAN_type", "wgan", "--n_critic", "2", "--dropout_rate", "0.3", "--A_channels", "1"),
}


@pytest.fixture(scope="session")
def trainers(request: pytest.FixtureRequest) -> Mapping[str, Trainer]:
    missing = [name for name in RUNTIMES if not is_set_up(name)]
    if missing:
        (pytest.fail if request.config.getoption("--skip-nothing") else pytest.skip)(f"not set up: {missing}")
    return {name: Trainer(python_of(name), trainer_environment({}), in_process=name == "tf2") for name in RUNTIMES}


@pytest.fixture(scope="session")
def record(
    trainers: Mapping[str, Trainer], dataset: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """record(runtime, "--name", "value", ...): the trace of a tiny model's first steps."""
    cache = tmp_path_factory.mktemp("cache")

    def made(runtime: str, *options: str) -> Path:
        trace = tmp_path_factory.mktemp("trace") / "trace.npz"
        data = ("--data_dir", str(dataset), "--cache_dir", str(cache), "--steps", str(STEPS))
        answer = trainers[runtime]("trace", *data, *SMALL, *options, "--output", str(trace))
        assert answer.returncode == 0, answer.stderr
        return trace

    return made


@pytest.fixture(scope="session")
def traces(record: Callable[..., Path]) -> Mapping[str, Path]:
    """By runtime."""
    return {runtime: record(runtime) for runtime in RUNTIMES}


@pytest.mark.parametrize(("recorded", "replayed"), [("tf1", "tf2"), ("tf2", "tf1")])
def test_one_runtime_s_steps_come_out_on_the_other_in_the_other_step_mode(
    trainers: Mapping[str, Trainer], traces: Mapping[str, Path], tmp_path: Path, recorded: str, replayed: str
) -> None:
    answer = trainers[replayed](
        "replay", str(traces[recorded]), "--step_mode", "two-run", "--output", str(tmp_path / "replay.json")
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert answer.stdout.splitlines()[-1] == "all bounds hold"
    content = read_json(tmp_path / "replay.json")
    assert content["departures"] == []
    assert (content["reference"]["step_mode"], content["candidate"]["step_mode"]) == ("one-run", "two-run")
    assert content["reference"]["tensorflow"] != content["candidate"]["tensorflow"]
    assert [(probe["step"], probe["drawn"]) for probe in content["probes"]] == [(1, False), (STEPS, False), (1, True)]
    pictures = {picture["name"] for picture in content["probes"][2]["pictures"]}
    assert {"drawn/0/A2B2A", "file/0/B2A", "exported/1/B2A"} <= pictures
    layers = [layer["name"] for layer in content["probes"][0]["layers"]]
    assert layers[0] == "A2B/A_g_e1_conv" and "B2A2B/A_g_bn_d3" in layers and "updated/A_d_bn1" in layers
    errors = [layer["relative_l2"] for probe in content["probes"][:2] for layer in probe["layers"]]
    assert 0 < max(errors) < FLOAT32.layer / 3


def test_the_first_layer_that_differs_is_named(
    traces: Mapping[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def other_layer(arrays: dict[str, Any], _: dict[str, Any]) -> None:
        arrays["layer/0/A2B/A_g_e3_conv"] *= 1.001

    trace = changed(traces["tf2"], tmp_path / "changed.npz", other_layer)
    assert main(["replay", str(trace), "--output", str(tmp_path / "replay.json")]) == 1
    first = read_json(tmp_path / "replay.json")["departures"][0]
    assert (first["what"], first["name"], first["step"]) == ("forward", "A2B/A_g_e3_conv", 1)
    assert "EXCEEDED forward: A2B/A_g_e3_conv at step 1" in capsys.readouterr().out


def test_states_that_a_rule_gives_are_not_in_the_file(traces: Mapping[str, Path]) -> None:
    with np.load(traces["tf2"]) as content:
        stored = {name.split("/")[1] for name in content.files if name.startswith("state/")}
    assert stored == {"1"}, "of the last step's probe alone"


@pytest.mark.system
@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_every_kind_of_training_replays_on_both_runtimes_in_both_step_modes(
    trainers: Mapping[str, Trainer], record: Callable[..., Path], tmp_path: Path, kind: str
) -> None:
    for recorded, mode in itertools.product(RUNTIMES, ("one-run", "two-run")):
        trace = record(recorded, *OTHER_KINDS[kind], "--step_mode", mode)
        replayed, other = ("tf2" if recorded == "tf1" else "tf1"), ("one-run" if mode == "two-run" else "two-run")
        answer = trainers[replayed]("replay", str(trace), "--step_mode", other, "--output", str(tmp_path / "r.json"))
        assert answer.returncode == 0, f"{recorded} {mode}: {answer.stdout}{answer.stderr}"


@pytest.mark.system
def test_a_trace_of_a_trained_run_starts_at_its_checkpoint(
    trainers: Mapping[str, Trainer], dataset: Path, tmp_path: Path
) -> None:
    run = ("--run_dir", str(tmp_path / "run"), "--data_dir", str(dataset), "--cache_dir", str(tmp_path / "cache"))
    assert trainers["tf1"]("train", *run, *SMALL, "--max_steps", "6", "--sample_images", "1").returncode == 0
    trace = str(tmp_path / "trace.npz")
    made = trainers["tf1"]("trace", *run, "--checkpoint", "--steps", "3", "--output", trace)
    assert made.stdout.startswith("recorded steps 7 to 9 "), made.stderr
    answer = trainers["tf2"]("replay", trace, "--run_dir", str(tmp_path / "run"), "--output", str(tmp_path / "r.json"))
    assert answer.returncode == 0, answer.stdout + answer.stderr


def with_meta(**wrong: Any) -> Change:
    return lambda _, meta: meta.update(wrong)


def without_a_weight(arrays: dict[str, Any], _: dict[str, Any]) -> None:
    del arrays["state/1/A_g_e1_conv/w"]


def with_scalars(arrays: dict[str, Any], _: dict[str, Any]) -> None:
    arrays.update({name: np.float32(1) for name in arrays if name.startswith("update/0/")})


def of_huge_networks(_: dict[str, Any], meta: dict[str, Any]) -> None:
    meta["options"]["gcn"] = 4096


CHANGES: list[tuple[Change, str]] = [
    (of_huge_networks, "has shape (151,), not (1025,)"),
    (without_a_weight, "it lacks state/1/A_g_e1_conv/w"),
    (with_scalars, "a damaged trace"),
    (with_meta(schema_version=99), "schema version 99"),
    (with_meta(steps=10**9), "steps: 1000000000 is no whole number from 1 to 4"),
    (with_meta(steps=1e999), "steps: inf is no whole number"),
    (with_meta(first_step="1"), "first_step: '1' is no whole number"),
    (with_meta(probes=5), "a damaged trace"),
    (with_meta(pairs=["../../escaped", "b"]), "'../../escaped' is no name of an image"),
    (with_meta(origin=[]), "a damaged trace"),
    (with_meta(options=[1]), "a damaged trace"),
    (with_meta(options={"gcn": 10**9}), "--gcn 1000000000: must be in [1, 4096]"),
    (with_meta(options={"image_size": "large"}), "image_size: 'large' is not of type int"),
]


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (truncated, "not a trace, or a damaged one"),
        (
            lambda trace, target: overwritten_header(trace, target, "pair/A.npy", (10**9, 32, 32, 3)),
            "of shape (1000000000, 32, 32, 3) does not fit",
        ),
        (lambda trace, target: os.mkfifo(target), "not a regular file"),
        (lambda trace, target: None, "no such file"),
        *((lambda trace, target, way=way: changed(trace, target, way), complaint) for way, complaint in CHANGES),
    ],
)
def test_a_file_that_is_no_whole_trace_is_refused_in_a_line(
    traces: Mapping[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    broken: Callable[[Path, Path], object],
    complaint: str,
) -> None:
    trace = tmp_path / "broken.npz"
    broken(traces["tf2"], trace)
    assert main(["replay", str(trace), "--output", str(tmp_path / "replay.json")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {trace}: ") and complaint in line
    assert not (tmp_path / "replay.json").exists()


def test_a_trace_of_other_options_or_a_missing_device_is_refused_in_a_line(
    traces: Mapping[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with np.load(traces["tf2"]) as content:
        options = json.loads(str(content["meta"]))["options"]
    run = tmp_path / "run"
    run.mkdir()
    write_json(run / "options.json", {"options": {**options, "lr": 1e-3, "seed": 5, "threads": 2}})
    for arguments, complaint in (
        (("--run_dir", str(run)), "lr: 5e-05 -> 0.001"),
        (("--run_dir", str(tmp_path)), "no run folder"),
        (("--device", "npu"), "--device npu: "),
    ):
        output = tmp_path / "replay.json"
        assert main(["replay", str(traces["tf2"]), "--output", str(output), *arguments]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ") and complaint in line
        assert not output.exists()
