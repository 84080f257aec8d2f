"""A contract double of npu_bridge, Huawei's adapter between TensorFlow 1.15 and Ascend NPUs.

It has the names, signatures and side effects of what a training calls, computes the graph on the CPU, and refuses what
the adapter ignores or what only fails on the hardware: ``npu_double`` says what. It shows that a program calls the
adapter as its contract asks; of an NPU's arithmetic, speed and limits it shows nothing.

    PYTHONPATH=tests/npu_bridge_double     makes it importable; .../tensorflow2 the one of TensorFlow 2
    NPU_BRIDGE_DOUBLE_CANN=5.0.4           the CANN whose adapter it stands for: 5.0.4 (default), 6.3, 8.0 or 9.0
    NPU_BRIDGE_DOUBLE_CHIP=910A            the chip: 910A (default), 910B3 or A3
    NPU_BRIDGE_DOUBLE_BROKEN=TEXT          its library does not load, and the loader says TEXT
    NPU_BRIDGE_DOUBLE_CLOSED=FILE          made when the process leaves the card
"""

import atexit

import tensorflow
from npu_double.sessions import npu_close

from npu_bridge.helper import npu_bridge_handle

if not tensorflow.__version__.startswith("1.15"):
    raise ImportError("npu_bridge is built for TensorFlow 1.15, this is {}".format(tensorflow.__version__))

atexit.register(npu_close)
__all__ = ["npu_bridge_handle"]
