"""python -m dualgan doctor: what a machine offers, for people, for scripts and for a container's health check."""

import json

import pytest

from components.train.runtimes import python_of, trainer_environment
from tests.components.dualgan.devices.double import npu_trainer
from tests.components.dualgan.trainer import Trainer


def test_it_says_which_libraries_and_devices_there_are() -> None:
    answer = Trainer(python_of("tf2"), trainer_environment({}))("doctor", "--json")
    assert answer.returncode == 0, answer.stderr
    content = json.loads(answer.stdout)
    assert content["usable"] and content["devices"]["cpu"]["usable"]
    assert set(content["versions"]) == {"python", "tensorflow", "numpy", "pillow"}
    npu = content["devices"]["npu"]
    assert not npu["usable"] and "no npu_bridge in this Python" in npu["reason"]


def test_a_device_that_is_asked_for_and_not_there_is_a_failure(pytestconfig: pytest.Config) -> None:
    """npu_bridge without a card: the double is importable, but npu-smi is not on PATH."""
    bare = npu_trainer(pytestconfig, PATH="/no/such/folder")
    answer = bare("doctor", "--device", "npu")
    assert answer.returncode == 1
    assert answer.stdout.splitlines()[-1] == "device npu: not usable"
    assert "npu_bridge is here but no card" in answer.stdout


@pytest.mark.system
def test_an_ascend_machine_is_described(pytestconfig: pytest.Config) -> None:
    answer = npu_trainer(pytestconfig)("doctor", "--device", "npu")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    (line,) = [line for line in answer.stdout.splitlines() if line.startswith("npu ")]
    assert "usable: Ascend 910A" in line and "driver 21.0.2" in line and "cann 5.0.4.alpha005" in line
