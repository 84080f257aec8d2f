"""A contract double of npu_device, the adapter for TensorFlow 2.6.5, as far as a training in graph mode calls it."""

import atexit
import sys
from pathlib import Path

# What both doubles share lies beside npu_bridge, which must not be found before this one is looked for.
sys.path.append(str(Path(__file__).resolve().parents[2]))

import tensorflow
from npu_double.contract import load_library
from npu_double.sessions import npu_close

from npu_device import compat

if tensorflow.__version__.startswith("1."):
    raise ImportError("npu_device is built for TensorFlow 2.6.5, this is {}".format(tensorflow.__version__))

gen_npu_ops = load_library()
atexit.register(npu_close)
__all__ = ["compat", "gen_npu_ops"]
