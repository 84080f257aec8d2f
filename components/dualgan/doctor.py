"""Report which libraries and devices a training finds in this Python and on this machine, and why not more."""

import json
import platform
from typing import Any, Callable, Dict, Iterator, Sequence, Tuple

from dualgan.environment import BROKEN_IMPORT, LIBRARIES, known_hole, library_faults, version_of
from dualgan.errors import BadInput, first_line
from dualgan.options import DEVICES


def doctor(asked: str, as_json: bool, say: Callable[[str], None]) -> int:
    """Print what is found; return 0 if the device ``asked`` ("any": at least one) can be used, else 1."""
    tensorflow, fault = _tensorflow()
    others = {library.name: _version(library.module) for library in LIBRARIES}
    versions = {"tensorflow": tensorflow, **others, "python": platform.python_version()}
    faults = [*library_faults(), *([fault] if fault else [])]
    devices = {name: _device(name, faults) for name in DEVICES}
    usable = any(found["usable"] for name, found in devices.items() if asked in ("any", name))
    content = {
        "asked": asked,
        "usable": usable,
        "versions": versions,
        "devices": devices,
    }
    for line in [json.dumps(content)] if as_json else _lines(content):
        say(line)
    return 0 if usable else 1


def _tensorflow() -> Tuple[str, str]:
    """Return its version and what is wrong with it, "" if nothing is."""
    try:
        from dualgan.tensorflow_v1 import tf

        return str(tf.version.VERSION), ""
    except BROKEN_IMPORT as error:
        return f"not usable: {first_line(error)}", first_line(error)


def _version(module: str) -> str:
    try:
        return version_of(module)
    except BadInput as error:
        return f"not usable: {error}"


def _device(name: str, faults: Sequence[str]) -> Dict[str, Any]:
    """Try to open a device, without computing: its description, or the reason why it cannot be used.

    faults: of libraries; the first is then the reason, for a second import of a broken one says something else.
    """
    found: Dict[str, Any] = {"device": name, "usable": False, "description": None, "reason": None}
    if faults:
        return dict(found, reason=faults[0])
    try:
        from dualgan.devices import open_device

        return dict(found, usable=True, description=open_device(name).describe())
    except BROKEN_IMPORT as error:  # an adapter or a driver that is broken raises errors of any kind
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
