"""--device npu from end to end, on the contract double of npu_bridge: the calls are an NPU's, the numbers a CPU's."""

import json
import shutil
from pathlib import Path

import pytest

from components.train.runtimes import python_of, trainer_environment
from dualgan.run_folder import RunFolder, read_json
from tests.components.dualgan.devices.double import DOUBLE, double_environment, npu_trainer
from tests.components.dualgan.trainer import SMALL, Trainer, checkpoint_bytes, event_types, losses_of

STEPS = 6


class WithResources(Trainer):
    """``python -m dualgan`` with resource variables; an NPU has reference variables."""

    change = "resources"

    def command(self, *arguments: str) -> list[str]:
        return [str(self.python), str(Path(__file__).with_name("changed.py")), self.change, *arguments]


class WithoutGrappler(WithResources):
    """... with operations in the order that the graph has them in, whatever else is in it."""

    change = "no-grappler"


@pytest.fixture(scope="module")
def npu(pytestconfig: pytest.Config) -> Trainer:
    return npu_trainer(pytestconfig)


def training(dataset: Path, run: Path, *options: str) -> list[str]:
    """A command that gives the session a parameter of each type as well."""
    overflow = {"enable_dump_debug": True, "dump_path": str(run.parent), "dump_debug_mode": "all", "op_debug_level": 0}
    parameters = ("--npu_parameters", json.dumps({"graph_memory_max_size": "8 * 1024 * 1024 * 1024", **overflow}))
    folders = ["--data_dir", str(dataset), "--run_dir", str(run), "--cache_dir", str(run.parent / "cache")]
    frequencies = ("--save_freq", "3", "--sample_images", "1")
    return ["train", *folders, *SMALL, "--device", "npu", *frequencies, *parameters, *options]


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


def test_a_card_is_left_and_nothing_is_compiled_into_the_current_folder(
    pytestconfig: pytest.Config, dataset: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = whole.with_name("desk")
    desk.mkdir()
    monkeypatch.chdir(desk)
    closed = whole.with_name("closed")
    npu = npu_trainer(pytestconfig, NPU_BRIDGE_DOUBLE_CLOSED=str(closed), TMPDIR=str(whole.parent))
    trained(npu, dataset, whole.with_name("elsewhere"), "--max_steps", "1")
    assert closed.is_file() and not list(desk.iterdir())
    assert list(whole.parent.glob("dualgan-ascend-*/kernel_meta"))


@pytest.mark.parametrize("kind", [Trainer, pytest.param(WithResources, marks=pytest.mark.system)])
def test_a_run_goes_on_from_its_checkpoint_to_the_same_bits(
    npu: Trainer, dataset: Path, whole: Path, kind: type[Trainer]
) -> None:
    npu = kind(npu.python, npu.environment)
    run = Path(shutil.copytree(whole, whole.with_name(f"lost-{kind.__name__}")))
    shutil.rmtree(RunFolder(run).checkpoints / f"step-{STEPS:06d}")
    RunFolder(run).summary.unlink()
    trained(npu, dataset, run, "--max_steps", str(STEPS))
    assert "resumed" in event_types(run)
    assert losses_of(run) == losses_of(whole)
    assert checkpoint_bytes(run, STEPS) == checkpoint_bytes(whole, STEPS)


@pytest.mark.system
def test_both_kinds_of_variables_are_traced_and_replayed_alike(npu: Trainer, whole: Path, tmp_path: Path) -> None:
    resources = WithResources(npu.python, npu.environment)
    for recorder, replayer in ((npu, resources), (resources, npu)):
        trace, replay = tmp_path / "trace.npz", tmp_path / "replay.json"
        for trainer, command in (
            (recorder, ("trace", "--run_dir", str(whole), "--steps", "2", "--output", str(trace))),
            (replayer, ("replay", str(trace), "--device", "npu", "--output", str(replay))),
        ):
            answer = trainer(*command)
            assert answer.returncode == 0, answer.stdout + answer.stderr
        (first, *_) = read_json(replay)["probes"]
        assert len(first["layers"]) > 20 and max(item["relative_l2"] for item in first["layers"]) < 1e-5


@pytest.mark.system
@pytest.mark.parametrize(
    ("cann", "chip", "expected"),
    [
        ("6.3", "910A", ("Ascend 910A", "910", "force_fp32", "float16")),
        ("8.0", "910B3", ("Ascend 910B3", "A2", "must_keep_origin_dtype", "float32")),
        ("9.0", "A3", ("Ascend 910", "A3", "must_keep_origin_dtype", "float32")),
    ],
)
@pytest.mark.parametrize("adapter", ["npu_bridge", "npu_device"])
def test_newer_adapters_and_chips_train(
    pytestconfig: pytest.Config, dataset: Path, tmp_path: Path, cann: str, chip: str, expected: tuple[str], adapter: str
) -> None:
    trainer = npu_trainer(pytestconfig, cann, chip)
    if adapter == "npu_device":
        environment = double_environment(cann, chip, DOUBLE / "tensorflow2")
        trainer = Trainer(python_of("tf2"), trainer_environment(environment))
    run = trained(trainer, dataset, tmp_path / "run", "--max_steps", "3")
    environment_of_run = read_json(RunFolder(run).options)["environment"]
    device = environment_of_run["device"]
    assert tuple(device[key] for key in ("name", "generation", "precision_mode", "products")) == expected
    assert device["cann"].startswith(cann) and device["adapter"] == adapter
    assert environment_of_run["variables"].get("ENABLE_HF32_EXECUTION") == (None if chip == "910A" else "0")


@pytest.mark.system
@pytest.mark.parametrize(("cann", "scale"), [("5.0.4", "dynamic"), ("9.0", "1024")])
def test_scaling_losses_by_powers_of_two_changes_no_bit(
    pytestconfig: pytest.Config, dataset: Path, tmp_path: Path, cann: str, scale: str
) -> None:
    """On an adapter that leaves tf.Session as it is, and on one that changes it."""
    npu = npu_trainer(pytestconfig, cann)
    trainer = WithoutGrappler(npu.python, npu.environment)
    plain = trained(trainer, dataset, tmp_path / "plain", "--max_steps", str(STEPS))
    scaled = ("--loss_scale", scale, "--precision_mode", "allow_mix_precision")
    run = trained(trainer, dataset, tmp_path / "scaled", "--max_steps", str(STEPS), *scaled)
    assert losses_of(run) == losses_of(plain)
    device = read_json(RunFolder(run).options)["environment"]["device"]
    assert (device["precision_mode"], device["loss_scale"]) == ("allow_mix_precision", scale)


@pytest.mark.system
def test_a_trained_run_is_sampled_and_exported(npu: Trainer, whole: Path, tmp_path: Path) -> None:
    for command in ("sample", "export"):
        answer = npu(command, "--run_dir", str(whole), "--output", str(tmp_path / command))
        assert answer.returncode == 0, answer.stderr
    assert len(list((tmp_path / "sample").glob("*-A2B.png"))) == 2
    assert (tmp_path / "export" / "A2B.pb").is_file()
