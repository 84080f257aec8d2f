"""The double of npu_bridge keeps to the adapter's published contract, and is stricter where the adapter is silent.

Signatures: interface_spec/api_*.pyh and npu_init.py of Ascend/tensorflow (TF Adapter), branches r1.7.0 to master.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.components.dualgan.devices.double import npu_trainer

PROBE = Path(__file__).with_name("contract_probe.py")
NONE, FALSE, TRUE, REQUIRED = "None", "False", "True", ""
SIGNATURES = {
    "npu_config_proto": [("config_proto", NONE)],
    "npu_tf_optimizer": [("opt", REQUIRED)],
    "npu_graph_options": [("graph_options", NONE)],
    "npu_optimizer_options": [("optimizer_options", NONE)],
    "init_resource": [("config", NONE)],
    "shutdown_resource": [("sess", REQUIRED), ("npu_shutdown", REQUIRED)],
    "close_session": [("sess", REQUIRED)],
    "initialize_system": [("name", NONE)],
    "shutdown_system": [("name", NONE)],
    "dropout": [
        *[("x", REQUIRED), ("keep_prob", REQUIRED), ("noise_shape", NONE), ("seed", NONE), ("name", NONE)],
    ],
    "allreduce": [
        *[("tensor", REQUIRED), ("reduction", REQUIRED), ("fusion", "1"), ("fusion_id", "-1")],
        ("group", "'hccl_world_group'"),
    ],
    "set_iteration_per_loop": [("sess", REQUIRED), ("train_op", REQUIRED), ("iterations_per_loop", "1")],
    "NPUDistributedOptimizer": [("optimizer", REQUIRED), ("is_weight_update_sharding", FALSE), ("name", NONE)],
    "NPUOptimizer": [
        *[("opt", REQUIRED), ("loss_scale_manager", NONE), ("is_distributed", FALSE), ("is_loss_scale", FALSE)],
        *[("is_tailing_optimization", FALSE), ("name", NONE)],
    ],
    "NPULossScaleOptimizer": [("opt", REQUIRED), ("loss_scale_manager", REQUIRED), ("is_distributed", FALSE)],
    "FixedLossScaleManager": [("loss_scale", REQUIRED), ("enable_overflow_check", TRUE)],
    "ExponentialUpdateLossScaleManager": [
        *[("init_loss_scale", REQUIRED), ("incr_every_n_steps", REQUIRED), ("decr_every_n_nan_or_inf", "2")],
        *[("incr_ratio", "2"), ("decr_ratio", "0.8")],
    ],
    "DumpConfig": [
        *[("enable_dump", FALSE), ("dump_path", NONE), ("dump_step", NONE), ("dump_mode", "'output'")],
        *[("enable_dump_debug", FALSE), ("dump_debug_mode", "'all'"), ("dump_data", "'tensor'"), ("dump_layer", NONE)],
    ],
    "ProfilingConfig": [("enable_profiling", FALSE), ("profiling_options", NONE)],
}
REFUSED = {
    "a_session_without_a_configuration": ("0 NpuOptimizers", "memory_optimization is not NO_MEM_OPT"),
    "an_unknown_key": ("over_dump: ignored",) * 2,
    "a_string_in_the_field_of_numbers": ("set as .i, read as .s",) * 2,
    "an_unknown_precision_mode": ("allow_mixed_precision is unknown",) * 2,
    "no_precision_mode": ("precision_mode is not set",) * 2,
    "a_newer_precision_mode": ("cube_fp16in_fp32out is unknown", None),
    "float32_convolutions": ("aborts on a 910A",) * 2,
    "deterministic": ("deterministic: ignored", None),
    "dump_of_tensors_and_of_overflows": ("exclude each other",) * 2,
    "a_dump_into_no_folder": ("must be a folder that exists",) * 2,
    "a_loop_without_a_dataset": ("needs enable_data_pre_proc",) * 2,
    "remapping": ("remapping is on",) * 2,
    "memory_optimization_as_the_vendor_writes_it": ("memory_optimization is not NO_MEM_OPT",) * 2,
    "two_optimizers": ("2 NpuOptimizers",) * 2,
    "no_rank_size": ("RANK_SIZE is not set",) * 2,
    "a_table_of_ranks": ("RANK_TABLE_FILE is set",) * 2,
    "an_unknown_shape": ("is not static",) * 2,
    "python_in_the_graph": ("PyFunc cannot run on the NPU",) * 2,
    "float64": ("the NPU has no float64",) * 2,
    "a_loop_over_a_tensor": ("ValueError",) * 2,
    "a_loop_of_no_steps": ("ValueError",) * 2,
    "a_second_loop": ("a second IterationOp",) * 2,
    "a_wrapper_of_no_optimizer": ("TypeError",) * 2,
    "a_manager_inside_control_dependencies": ("must not be made inside",) * 2,
    "a_scaled_optimizer_for_gradients_of_the_plain_loss": ("gradients of an unscaled loss",) * 2,
    "keep_probability_zero": ("ValueError",) * 2,
}
ACCEPTED = ("a_careful_session", "a_graph_of_float32", "one_loop")


def probed(config: pytest.Config, cann: str) -> dict[str, Any]:
    trainer = npu_trainer(config, NPU_BRIDGE_DOUBLE_CANN=cann)
    command = [str(trainer.python), str(PROBE)]
    answer = subprocess.run(command, env=trainer.environment, capture_output=True, text=True, timeout=120, check=False)
    assert answer.returncode == 0, answer.stderr
    content: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return content


@pytest.fixture(scope="module")
def old(pytestconfig: pytest.Config) -> dict[str, Any]:
    """The adapter of CANN 5.0.4."""
    return probed(pytestconfig, "5.0.4")


@pytest.fixture(scope="module")
def new(pytestconfig: pytest.Config) -> dict[str, Any]:
    """The adapter of CANN 7.0.0."""
    return probed(pytestconfig, "7.0.0")


def test_signatures_are_the_published_ones(old: dict[str, Any]) -> None:
    found = {name: [tuple(pair) for pair in parameters] for name, parameters in old["signatures"].items()}
    assert found == SIGNATURES


def test_only_newer_adapters_change_sessions_when_they_are_imported(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert not old["patches_session"] and new["patches_session"]


def test_what_the_adapter_would_ignore_or_fail_at_later_is_refused(old: dict[str, Any], new: dict[str, Any]) -> None:
    for position, content in enumerate((old, new)):
        for name, said in content["answers"].items():
            expected = None if name in ACCEPTED else REFUSED[name][position]
            assert said == "accepted" if expected is None else expected in said, f"{name}: {said}"
    assert set(old["answers"]) == {*REFUSED, *ACCEPTED}
