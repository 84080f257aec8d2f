"""Devices: how a session is set up on each, and what it says of itself.

A device that is asked for and not there is an error, never a silent fall-back to the CPU.
"""

from dualgan.devices.device import Device
from dualgan.errors import BadInput
from dualgan.options import DEVICES

__all__ = ["DEVICES", "Device", "open_device"]


def open_device(name: str, threads: int = 0) -> Device:
    """The device ``name`` (one of DEVICES). Raises BadInput, saying what was looked for, where it is not there."""
    if name == "cpu":
        from dualgan.devices.cpu import Cpu

        return Cpu(threads)
    if name == "gpu":
        from dualgan.devices.gpu import Gpu

        return Gpu(threads)
    if name == "npu":
        from dualgan.devices.npu import Npu

        return Npu(threads)
    raise BadInput("device {}: must be one of {}".format(name, ", ".join(DEVICES)))
