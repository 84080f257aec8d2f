"""--device npu from end to end, on the contract double of npu_bridge: the calls are an NPU's, the numbers a CPU's."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dualgan.run_folder import RunFolder, read_json
from tests.components.dualgan.devices.double import npu_trainer
from tests.components.dualgan.trainer import SMALL, Trainer, checkpoint_bytes, event_types, losses_of

STEPS = 6
Train = Callable[..., Path]


@pytest.fixture(scope="module")
def npu(pytestconfig: pytest.Config) -> Trainer:
    return npu_trainer(pytestconfig)


def training(dataset: Path, run: Path, *options: str) -> list[str]:
    """A command that gives the session a parameter of each type as well."""
    overflow = {"enable_dump_debug": True, "dump_path": str(run.parent), "dump_debug_mode": "all", "op_debug_level": 0}
    parameters = ("--npu_parameters", json.dumps({"graph_memory_max_size": "8 * 1024 * 1024 * 1024", **overflow}))
    folders = ["--data_dir", str(dataset), "--run_dir", str(run), "--cache_dir", str(run.parent / "cache")]
    return [
        "train",
        *folders,
        *SMALL,
        "--device",
        "npu",
        "--save_freq",
        "3",
        "--sample_images",
        "1",
        *parameters,
        *options,
    ]


def trained(trainer: Trainer, dataset: Path, run: Path, *options: str) -> Path:
    answer = trainer(*training(dataset, run, *options))
    assert answer.returncode == 0, answer.stderr
    return run


@pytest.fixture(scope="module")
def whole(npu: Trainer, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of six steps."""
    return trained(npu, dataset, tmp_path_factory.mktemp("npu") / "whole", "--max_steps", str(STEPS))


def test_a_run_says_on_what_it_ran(whole: Path) -> None:
    record = read_json(RunFolder(whole).options)
    device = record["environment"]["device"]
    assert (device["kind"], device["name"], device["driver"]) == ("npu", "Ascend 910A", "21.0.2")
    assert (device["cann"], device["health"]) == ("5.0.4.alpha005", "OK")
    assert (device["precision_mode"], device["products"], device["loss_scale"]) == ("force_fp32", "float16", None)
    assert device["parameters"]["graph_memory_max_size"] == "8 * 1024 * 1024 * 1024"
    variables = record["environment"]["variables"]
    assert variables["RANK_SIZE"] == "1" and variables["ASCEND_DEVICE_ID"] == "0"
    assert read_json(RunFolder(whole).summary)["status"] == "finished"


def test_a_run_goes_on_from_its_checkpoint_to_the_same_bits(npu: Trainer, dataset: Path, whole: Path) -> None:
    run = Path(shutil.copytree(whole, whole.with_name("lost")))
    shutil.rmtree(RunFolder(run).checkpoints / f"step-{STEPS:06d}")
    RunFolder(run).summary.unlink()
    trained(npu, dataset, run, "--max_steps", str(STEPS))
    assert "resumed" in event_types(run)
    assert losses_of(run) == losses_of(whole)
    assert checkpoint_bytes(run, STEPS) == checkpoint_bytes(whole, STEPS)


@pytest.mark.system
def test_a_run_that_is_killed_goes_on_to_the_same_bits(npu: Trainer, dataset: Path, whole: Path) -> None:
    run = whole.with_name("killed")
    process = npu.start(*training(dataset, run, "--max_steps", str(STEPS), "--log_freq", "1"))
    assert process.stdout is not None
    assert any(line.startswith("step 4/") for line in process.stdout)
    process.kill()
    process.communicate()
    trained(npu, dataset, run, "--max_steps", str(STEPS))
    assert losses_of(run) == losses_of(whole)
    assert checkpoint_bytes(run, STEPS) == checkpoint_bytes(whole, STEPS)


@pytest.mark.system
@pytest.mark.parametrize(("cann", "scale"), [("5.0.4", "dynamic"), ("7.0.0", "1024")])
def test_scaling_losses_by_powers_of_two_changes_no_bit(
    pytestconfig: pytest.Config, dataset: Path, whole: Path, cann: str, scale: str
) -> None:
    """On an adapter that leaves tf.Session as it is, and on one that changes it."""
    trainer = npu_trainer(pytestconfig, NPU_BRIDGE_DOUBLE_CANN=cann)
    scaled = ("--loss_scale", scale, "--precision_mode", "allow_mix_precision")
    run = trained(trainer, dataset, whole.with_name(f"scaled-{scale}"), "--max_steps", str(STEPS), *scaled)
    assert losses_of(run) == losses_of(whole)
    device = read_json(RunFolder(run).options)["environment"]["device"]
    assert (device["precision_mode"], device["loss_scale"]) == ("allow_mix_precision", scale)


@pytest.mark.system
def test_a_trained_run_is_sampled_and_exported(npu: Trainer, whole: Path, tmp_path: Path) -> None:
    for command in ("sample", "export"):
        answer = npu(command, "--run_dir", str(whole), "--output", str(tmp_path / command))
        assert answer.returncode == 0, answer.stderr
    assert len(list((tmp_path / "sample").glob("*-A2B.png"))) == 2
    assert (tmp_path / "export" / "A2B.pb").is_file()
