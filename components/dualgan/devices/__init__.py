"""Devices: how a session is set up on each, and what it says of itself.

A device that is asked for and not there is an error, never a silent fall-back to the CPU.
"""

import importlib
from typing import Any, Optional

from dualgan.devices.base import Device, DeviceOptions
from dualgan.errors import BadInput
from dualgan.options import DEVICES, TrainOptions

__all__ = ["DEVICES", "Device", "DeviceOptions", "device_options", "open_device", "open_recorded_device"]


def device_options(given: Any) -> DeviceOptions:
    """A device's own options among the attributes of ``given``; one that is None or missing is at its default."""
    values = {name: getattr(given, name, None) for name in DeviceOptions._fields}
    return DeviceOptions(**{name: value for name, value in values.items() if value is not None})


def open_device(name: str, threads: int = 0, options: Optional[DeviceOptions] = None) -> Device:
    """Return the device ``name``, one of DEVICES.

    Raises BadInput, saying what was looked for, if it is not there, and for an option that does not fit it.
    """
    if name not in DEVICES:
        raise BadInput(f"device {name}: must be one of {', '.join(DEVICES)}")
    # A module of its own each: one device's libraries are not another's.
    module = importlib.import_module(f"dualgan.devices.{name}")
    device: Device = getattr(module, name.capitalize())(threads, options or DeviceOptions())
    return device


def open_recorded_device(options: TrainOptions, name: Optional[str] = None) -> Device:
    """The device of a run's options as it was set up for it, or the device ``name`` with its own defaults."""
    if name is None or name == options.device:
        return open_device(options.device, options.threads, device_options(options))
    return open_device(name, options.threads)
