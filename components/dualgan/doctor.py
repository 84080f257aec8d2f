"""Report which libraries and devices a training finds in this Python and on this machine, and why not more."""

import json
import platform
import sys
from typing import Any, Callable, Dict, Iterator, Sequence, Tuple

from dualgan.environment import BROKEN_IMPORT, LIBRARIES, library_faults, version_of
from dualgan.errors import BadInput, first_line
from dualgan.options import DEVICES

# The patch release of each minor version whose tarfile has no CVE-2024-6232: headers that take hours to read.
MENDED: Dict[Tuple[int, ...], int] = {(3, 8): 20, (3, 9): 20, (3, 10): 15, (3, 11): 10, (3, 12): 6}


def doctor(asked: str, as_json: bool, say: Callable[[str], None]) -> int:
    """Print what is found; return 0 if the device ``asked`` ("any": at least one) can be used, else 1."""
    versions, faults = {}, list(library_faults())
    try:
        from dualgan.tensorflow_v1 import tf

        versions["tensorflow"] = str(tf.version.VERSION)
    except BROKEN_IMPORT as error:
        versions["tensorflow"] = f"not usable: {first_line(error)}"
        faults.append(first_line(error))
    for name, module, _ in LIBRARIES:
        try:
            versions[name] = version_of(module)
        except BadInput as error:
            versions[name] = f"not usable: {error}"
    versions["python"] = platform.python_version()
    devices = {name: _device(name, faults) for name in DEVICES}
    usable = any(found["usable"] for name, found in devices.items() if asked in ("any", name))
    content = {"asked": asked, "usable": usable, "versions": versions, "devices": devices}
    for line in [json.dumps(content)] if as_json else _lines(content):
        say(line)
    return 0 if usable else 1


def _device(name: str, faults: Sequence[str]) -> Dict[str, Any]:
    """Try to open a device, without computing: its description, or the reason why it cannot be used.

    The first of the libraries' ``faults`` is that reason: a second import of a broken one says something else.
    """
    found: Dict[str, Any] = {"device": name, "usable": False, "description": None, "reason": None}
    if faults:
        return dict(found, reason=faults[0])
    try:
        from dualgan.devices import open_device

        return dict(found, usable=True, description=open_device(name).describe())
    except BROKEN_IMPORT as error:  # an adapter or a driver that is broken raises errors of any kind
        return dict(found, reason=first_line(error))


def known_hole(version: Tuple[int, ...] = sys.version_info[:3]) -> str:
    """Say which known hole a Python of ``version`` (major, minor, patch) has and what to do, "" for none."""
    minor, patch = tuple(version[:2]), version[2]
    if minor > max(MENDED) or patch >= MENDED.get(minor, 1 << 30):
        return ""
    newer = f"Python {minor[0]}.{minor[1]}.{MENDED[minor]}" if minor in MENDED else "Python 3.11"
    return f"has a known hole in tarfile (CVE-2024-6232), which `dataset fetch` guards against; {newer} mends it"


def _lines(content: Dict[str, Any]) -> Iterator[str]:
    for library, version in content["versions"].items():
        yield f"{library:<11} {version}"
    if known_hole():
        yield f"{'python':<11} {known_hole()}"
    for name, found in content["devices"].items():
        state = f"usable: {_details(found['description'])}" if found["usable"] else f"not usable: {found['reason']}"
        yield f"{name:<11} {state}"
    asked = "any device" if content["asked"] == "any" else f"device {content['asked']}"
    yield f"{asked}: {'usable' if content['usable'] else 'not usable'}"


def _details(description: Dict[str, Any]) -> str:
    details = {key: value for key, value in description.items() if key not in ("kind", "name")}
    known = [f"{key} {value}" for key, value in details.items() if value not in (None, {})]
    return ", ".join([str(description["name"]), *known])
