"""What a user is told of an adapter that is missing or does not load, and that nothing it prints gets in the way."""

import json
import os

import pytest

from components.train.runtimes import python_of, trainer_environment
from dualgan.devices import npu, open_device
from dualgan.errors import BadInput
from tests.components.dualgan.devices.double import DOUBLE, double_environment, npu_trainer
from tests.components.dualgan.trainer import Trainer

LOADER = "libge_runner.so: cannot open shared object file: No such file or directory"


def test_without_an_adapter_the_environment_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    changed: list[object] = []
    monkeypatch.setattr("dualgan.devices.npu_machine.prepare_single_card", changed.append)
    with pytest.raises(BadInput, match=r"no npu_bridge in this Python .No module named 'npu_bridge'."):
        open_device("npu")
    assert not changed


def test_what_is_printed_meanwhile_is_caught(capfd: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []
    with npu.standard_output_caught(lines):
        os.write(1, b"from a library\n\n")
    os.write(1, b"afterwards\n")
    assert lines == ["from a library"] and capfd.readouterr().out == "afterwards\n"


def test_the_loader_s_words_are_the_reason_and_json_stays_json(pytestconfig: pytest.Config) -> None:
    answer = npu_trainer(pytestconfig, NPU_BRIDGE_DOUBLE_BROKEN=LOADER)("doctor", "--device", "npu", "--json")
    assert answer.returncode == 1
    reason = json.loads(answer.stdout)["devices"]["npu"]["reason"]
    assert f"npu_bridge is in this Python but does not load ({LOADER})" in reason


def test_the_adapter_for_tensorflow_2_says_it_alike() -> None:
    broken = {**double_environment("8.0", "910B3", DOUBLE / "tensorflow2"), "NPU_BRIDGE_DOUBLE_BROKEN": LOADER}
    answer = Trainer(python_of("tf2"), trainer_environment(broken))("doctor", "--device", "npu", "--json")
    assert f"npu_device is in this Python but does not load ({LOADER})" in answer.stdout
