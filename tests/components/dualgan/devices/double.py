"""TensorFlow 1.15 with the contract double of npu_bridge, a listing of one card, and CANN's version files."""

import os
from pathlib import Path

import pytest

from components.train.runtimes import is_set_up, python_of, trainer_environment
from tests.components.dualgan.trainer import Trainer

DOUBLE = Path(__file__).resolve().parents[3] / "npu_bridge_double"


def double_environment(cann: str = "5.0.4", chip: str = "910A", folder: Path = DOUBLE) -> dict[str, str]:
    """Variables under which the adapter can be imported and ``--device npu`` works.

    Args:
        cann: Whose adapter the double is.
        chip: 910A, 910B3 or A3.
        folder: Where the adapter is: DOUBLE has npu_bridge, DOUBLE / "tensorflow2" npu_device.
    """
    return {
        "PYTHONPATH": os.pathsep.join([trainer_environment({})["PYTHONPATH"], str(folder)]),
        "PATH": os.pathsep.join([str(DOUBLE / "bin"), os.environ["PATH"]]),
        "DUALGAN_ASCEND_ROOT": str(DOUBLE / "Ascend" / cann),
        "NPU_BRIDGE_DOUBLE_CANN": cann,
        "NPU_BRIDGE_DOUBLE_CHIP": chip,
    }


def npu_trainer(config: pytest.Config, cann: str = "5.0.4", chip: str = "910A", **variables: str) -> Trainer:
    """``python -m dualgan`` of TensorFlow 1.15 where --device npu is there.

    Without a Python 3.7 the test is skipped, never in CI.
    """
    if not is_set_up("tf1"):
        (pytest.fail if config.getoption("--skip-nothing") else pytest.skip)(
            "runtime tf1 is not set up (no Python 3.7 was found)"
        )
    return Trainer(python_of("tf1"), trainer_environment({**double_environment(cann, chip), **variables}))
