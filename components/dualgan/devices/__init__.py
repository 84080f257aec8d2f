"""Devices: how a session is set up on each, and what it says of itself.

A device that is asked for and not there is an error, never a silent fall-back to the CPU.
"""

import importlib
from typing import Optional

from dualgan.devices.base import Device
from dualgan.errors import BadInput
from dualgan.options import DEVICES, TrainOptions

__all__ = ["DEVICES", "Device", "open_device", "open_recorded_device"]


def open_device(name: str, options: Optional[TrainOptions] = None) -> Device:
    """Return the device ``name``, one of DEVICES, set up as ``options`` say; None: by their defaults.

    Raises BadInput, saying what was looked for, if it is not there, and for an option that does not fit it.
    """
    if name not in DEVICES:
        raise BadInput(f"device {name}: must be one of {', '.join(DEVICES)}")
    # A module of its own each: one device's libraries are not another's.
    module = importlib.import_module(f"dualgan.devices.{name}")
    device: Device = getattr(module, name.capitalize())(options or TrainOptions())
    return device


def open_recorded_device(options: TrainOptions, name: Optional[str] = None) -> Device:
    """The device of a run's options as it was set up for it, or the device ``name`` with its own defaults."""
    if name is None or name == options.device:
        return open_device(options.device, options)
    return open_device(name, TrainOptions(threads=options.threads))
