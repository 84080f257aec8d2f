"""A contract double of npu_bridge, Huawei's adapter between TensorFlow 1.15 and Ascend NPUs.

It has the adapter's names, signatures and side effects as far as they are published, computes the graph on the CPU, and
refuses what the adapter ignores or what only fails on the hardware: ``contract`` and ``sessions`` say what. It shows
that a program calls the adapter as its contract asks; of an NPU's arithmetic, speed and limits it shows nothing.

    PYTHONPATH=tests/npu_bridge_double     makes it importable
    NPU_BRIDGE_DOUBLE_CANN=5.0.4           the CANN whose adapter it stands for: 5.0.4 (default) or 7.0.0
"""

import tensorflow

if not tensorflow.__version__.startswith("1.15"):
    raise ImportError("npu_bridge is built for TensorFlow 1.15, this is {}".format(tensorflow.__version__))
