"""Huawei's adapter between TensorFlow and an NPU: npu_bridge (TensorFlow 1.15) or npu_device (TensorFlow 2.6.5).

Importing it changes TensorFlow for the whole process, so that must happen on an NPU only.
"""

import ctypes
import importlib.util
import os
import sys
import tempfile
from contextlib import contextmanager
from typing import Any, Iterator, List, NamedTuple

from dualgan.errors import BadInput
from dualgan.tensorflow_v1 import tf

PACKAGES = ("npu_bridge", "npu_device")
STANDARD_OUTPUT = 1
# Every version prints the loader's error when its library does not load and goes on; this name is then missing.
LIBRARY_NAMES = ("npu_bridge_handle", "gen_npu_ops")


class Adapter(NamedTuple):
    """package: one of PACKAGES; npu_init: its module of functions for sessions and optimisers."""

    package: str
    npu_init: Any


def find() -> str:
    """The name of the adapter's package in this Python; it is not imported. Raises BadInput if there is none."""
    package = next((name for name in PACKAGES if importlib.util.find_spec(name)), None)
    if package is None:
        raise BadInput(
            "--device npu: no npu_bridge in this Python (No module named 'npu_bridge'); use an Ascend image with "
            "TensorFlow 1.15, or with 2.6.5 and npu_device, and source its set_env.sh"
        )
    return package


def load(package: str) -> Adapter:
    """Import the adapter. Raises BadInput, with the reason, if it does not load."""
    printed: List[str] = []
    try:
        with standard_output_caught(printed):
            npu_init = _import_npu_bridge() if package == "npu_bridge" else _import_npu_device()
    # A library of CANN is missing (OSError, NotFoundError, NameError), or TensorFlow is another (AttributeError).
    except (ImportError, OSError, AttributeError, NameError, tf.errors.OpError) as error:
        raise BadInput(
            f"--device npu: {package} is in this Python but does not load ({_reason(error, printed)}); source CANN's set_env.sh, and see that the "
            "host's driver is mounted and the adapter fits this TensorFlow"
        ) from None
    sys.stderr.writelines(line + "\n" for line in printed)
    return Adapter(package, npu_init)


def _import_npu_bridge() -> Any:
    from npu_bridge import npu_init

    return npu_init


def _import_npu_device() -> Any:
    import npu_device
    from npu_device.compat.v1 import npu_init

    npu_device.compat.enable_v1()
    return npu_init


def _reason(error: Exception, printed: List[str]) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    follows_from_library = any(name in lines[0] for name in LIBRARY_NAMES)
    return printed[-1] if printed and follows_from_library else "; ".join([lines[0]] + printed[-1:])


@contextmanager
def standard_output_caught(lines: List[str]) -> Iterator[None]:
    """Append what this process prints meanwhile to ``lines``, whether Python or a C library prints it."""
    sys.stdout.flush()
    with tempfile.TemporaryFile() as file:
        original = os.dup(STANDARD_OUTPUT)
        os.dup2(file.fileno(), STANDARD_OUTPUT)
        try:
            yield
        finally:
            sys.stdout.flush()
            ctypes.CDLL(None).fflush(None)
            os.dup2(original, STANDARD_OUTPUT)
            os.close(original)
            file.seek(0)
            text = file.read().decode("utf-8", "replace")
            lines.extend(line.strip() for line in text.splitlines() if line.strip())
