"""What ran: the record that options.json holds of a run's surroundings."""

import os
import platform
from typing import Any, Dict

import numpy
import PIL

from dualgan import __version__
from dualgan.dataset_folder import Description
from dualgan.devices import Device
from dualgan.options import TrainOptions
from dualgan.tensorflow_v1 import tf

# Variables that change what is computed or how fast.
RECORDED_PREFIXES = (
    "TF_",
    "CUDA_",
    "NVIDIA_TF32",
    "OMP_",
    "MKL_",
    "XLA_",
    "ASCEND_",
    "RANK_",
    "DEVICE_ID",
    "ENABLE_HF32",
)


def record(options: TrainOptions, device: Device, dataset: Description) -> Dict[str, Any]:
    """The content of options.json."""
    variables = {name: value for name, value in sorted(os.environ.items()) if name.startswith(RECORDED_PREFIXES)}
    return {
        "options": dict(options.as_dict(), dataset_name=options.dataset_name or dataset.name),
        "dataset": dict(dataset._asdict()),
        "environment": {
            "device": device.describe(),
            "dualgan": __version__,
            "tensorflow": tf.version.VERSION,
            "python": platform.python_version(),
            "numpy": numpy.__version__,
            "pillow": PIL.__version__,
            "platform": platform.platform(),
            "git_commit": options.git_commit or None,
            "variables": variables,
        },
    }
