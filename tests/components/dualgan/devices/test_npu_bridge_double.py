"""The double of npu_bridge keeps to the adapter's published contract, and is stricter where the adapter is silent.

Side effects: npu_init.py and npu_config.py of TF Adapter, r1.7.0 to July 2026.
"""

import functools
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.components.dualgan.devices.double import npu_trainer

PROBE = Path(__file__).with_name("contract_probe.py")
CANNS = ("5.0.4", "6.3", "8.0", "9.0")
NEWER = CANNS[1:]
CHIPS = ("910A", "910B3", "A3")
ACCEPTED = ("a_careful_session", "a_graph_of_float32")
# By every adapter, on every chip.
REFUSED = {
    "an_unknown_key": "over_dump: ignored",
    "a_string_in_the_field_of_numbers": "set as .i, read as .s",
    "an_unknown_precision_mode": "allow_mixed_precision is unknown",
    "no_precision_mode": "precision_mode is not set",
    "float16_throughout": "force_fp16 is for online inference",
    "dump_of_tensors_and_of_overflows": "exclude each other",
    "a_dump_into_no_folder": "must be a folder to read and to write",
    "a_step_to_dump_that_is_no_number": "dump_step: one aborts the process",
    "debugging_with_a_compiler_cache": "switches the compiler cache off",
    "a_card_below_the_first": "session_device_id below 0 aborts",
    "a_key_that_no_adapter_reads": "const_input: ignored",
    "remapping": "remapping is on",
    "memory_optimization_as_the_vendor_writes_it": "memory_optimization is not NO_MEM_OPT",
    "two_optimizers": "2 NpuOptimizers",
    "several_cards": "RANK_SIZE=8",
    "a_table_of_ranks": "RANK_TABLE_FILE is set",
    "an_unknown_shape": "is not static",
    "python_in_the_graph": "PyFunc cannot run on the NPU",
    "float64": "the NPU has no float64",
    "a_wrapper_of_no_optimizer": "TypeError",
    "a_manager_inside_control_dependencies": "must not be made inside",
    "a_scaled_optimizer_for_gradients_of_the_plain_loss": "gradients of an unscaled loss",
}
ELSEWHERE = "accepted"
# By some adapters or chips; elsewhere: ELSEWHERE, or the second text.
REFUSED_BY_SOME = {
    "a_session_without_a_configuration": (("5.0.4",), CHIPS, "0 NpuOptimizers", "memory_optimization is not NO_MEM"),
    "a_session_on_a_caller_s_configuration": (NEWER, CHIPS, "changed in place", "left as it was"),
    "a_newer_precision_mode": (("5.0.4",), CHIPS, "cube_fp16in_fp32out is unknown", ELSEWHERE),
    "float32_convolutions": (CANNS, ("910A",), "fails on a 910A", ELSEWHERE),
    "overflows_of_the_cores_alone": (CANNS, ("910B3", "A3"), "dump_debug_mode: must be all", ELSEWHERE),
    "deterministic": (("5.0.4",), CHIPS, "deterministic: ignored", ELSEWHERE),
    "a_key_of_cann_9": (("5.0.4", "6.3", "8.0"), CHIPS, "oo_level: ignored", ELSEWHERE),
    "a_key_that_cann_9_dropped": (("5.0.4", "9.0"), CHIPS, "es_cluster_config: ignored", ELSEWHERE),
}


@functools.cache
def probed(config: pytest.Config, cann: str) -> dict[str, Any]:
    """What the double says for the adapter of ``cann``."""
    trainer = npu_trainer(config, cann)
    command = [str(trainer.python), str(PROBE)]
    answer = subprocess.run(command, env=trainer.environment, capture_output=True, text=True, timeout=120, check=False)
    assert answer.returncode == 0, answer.stderr
    content: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return content


@pytest.mark.parametrize("cann", CANNS)
def test_only_newer_adapters_change_sessions_when_they_are_imported(pytestconfig: pytest.Config, cann: str) -> None:
    assert probed(pytestconfig, cann)["patches_sessions"] == [cann != "5.0.4"] * 2


def test_cann_9_has_twenty_keys_more_and_one_less(pytestconfig: pytest.Config) -> None:
    old, new = (set(probed(pytestconfig, cann)["keys"]) for cann in ("8.0", "9.0"))
    assert len(new - old) == 20 and old - new == {"es_cluster_config"}


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("cann", CANNS)
def test_what_the_adapter_would_ignore_or_fail_at_later_is_refused(
    pytestconfig: pytest.Config, cann: str, chip: str
) -> None:
    answers = probed(pytestconfig, cann)["answers"][chip]
    expected = {**dict.fromkeys(ACCEPTED, "accepted"), **REFUSED}
    for name, (canns, chips, said, elsewhere) in REFUSED_BY_SOME.items():
        expected[name] = said if cann in canns and chip in chips else elsewhere
    assert set(answers) == set(expected)
    for name, said in expected.items():
        assert said in answers[name], f"{name}: {answers[name]}"
