"""TensorFlow 1.15 with the contract double of npu_bridge, a listing of one card, and CANN's version files."""

import os
from pathlib import Path

import pytest

from components.train.runtimes import is_set_up, python_of, trainer_environment
from tests.components.dualgan.trainer import Trainer

DOUBLE = Path(__file__).resolve().parents[3] / "npu_bridge_double"


def double_environment(cann: str = "5.0.4") -> dict[str, str]:
    """Variables under which ``import npu_bridge`` and ``--device npu`` work; cann: whose adapter the double is."""
    return {
        "PYTHONPATH": os.pathsep.join([trainer_environment({})["PYTHONPATH"], str(DOUBLE)]),
        "PATH": os.pathsep.join([str(DOUBLE / "bin"), os.environ["PATH"]]),
        "DUALGAN_ASCEND_ROOT": str(DOUBLE / "Ascend"),
        "NPU_BRIDGE_DOUBLE_CANN": cann,
    }


def npu_trainer(config: pytest.Config, **variables: str) -> Trainer:
    """``python -m dualgan`` where --device npu is there. Without a Python 3.7 the test is skipped, never in CI."""
    if not is_set_up("tf1"):
        (pytest.fail if config.getoption("--skip-nothing") else pytest.skip)(
            "runtime tf1 is not set up (no Python 3.7 was found)"
        )
    return Trainer(python_of("tf1"), trainer_environment({**double_environment(), **variables}))
