"""Report which libraries and devices a training finds in this Python and on this machine, and why not more."""

import importlib
import json
import platform
from typing import Any, Callable, Dict, Iterator

from dualgan.errors import DualGANError, first_line
from dualgan.interpreter import known_hole
from dualgan.options import DEVICES

LIBRARIES = {"tensorflow": "tensorflow", "numpy": "numpy", "pillow": "PIL"}


def doctor(asked: str, as_json: bool, say: Callable[[str], None]) -> int:
    """Print what is found; return 0 if the device ``asked`` ("any": at least one) can be used, else 1."""
    devices = {name: _device(name) for name in DEVICES}
    versions = {name: _version(module) for name, module in LIBRARIES.items()}
    usable = any(found["usable"] for name, found in devices.items() if asked in ("any", name))
    content = {
        "asked": asked,
        "usable": usable,
        "versions": dict(versions, python=platform.python_version()),
        "devices": devices,
    }
    for line in [json.dumps(content)] if as_json else _lines(content):
        say(line)
    return 0 if usable else 1


def _version(library: str) -> str:
    try:
        return str(importlib.import_module(library).__version__)
    except (ImportError, AttributeError) as error:
        return f"not usable: {first_line(error)}"


def _device(name: str) -> Dict[str, Any]:
    """Try to open a device, without computing: its description, or the reason why it cannot be used."""
    found: Dict[str, Any] = {"device": name, "usable": False, "description": None, "reason": None}
    try:
        from dualgan.devices import open_device

        return dict(found, usable=True, description=open_device(name).describe())
    except (DualGANError, ImportError) as error:
        return dict(found, reason=first_line(error))


def _lines(content: Dict[str, Any]) -> Iterator[str]:
    for library, version in content["versions"].items():
        yield f"{library:<11} {version}"
    hole = known_hole()
    if hole:
        yield f"{'python':<11} {hole}"
    for name, found in content["devices"].items():
        state = f"usable: {_details(found['description'])}" if found["usable"] else f"not usable: {found['reason']}"
        yield f"{name:<11} {state}"
    asked = "any device" if content["asked"] == "any" else f"device {content['asked']}"
    yield f"{asked}: {'usable' if content['usable'] else 'not usable'}"


def _details(description: Dict[str, Any]) -> str:
    details = {key: value for key, value in description.items() if key not in ("kind", "name")}
    known = [f"{key} {value}" for key, value in details.items() if value not in (None, {})]
    return ", ".join([str(description["name"]), *known])
