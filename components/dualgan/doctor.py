"""What this Python, its TensorFlow and this machine offer a training, and why not more."""

import importlib
import json
import platform
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence

from dualgan.errors import DualGANError
from dualgan.options import DEVICES

LIBRARIES = {"tensorflow": "tensorflow", "numpy": "numpy", "pillow": "PIL"}


class Finding(NamedTuple):
    """Whether a device can be trained on. description: what it says of itself; reason: why it cannot be used."""

    device: str
    usable: bool
    description: Optional[Dict[str, Any]]
    reason: Optional[str]


class Report(NamedTuple):
    """versions: of Python and each library, a line on what is wrong with it where it cannot be imported."""

    versions: Dict[str, str]
    devices: List[Finding]


def examine(devices: Sequence[str] = DEVICES) -> Report:
    """Look at the libraries, and try to open each of ``devices``; nothing is computed on them."""
    findings = [_finding(name) for name in devices]
    versions = {name: _version(module) for name, module in LIBRARIES.items()}
    return Report(dict(versions, python=platform.python_version()), findings)


def _version(library: str) -> str:
    try:
        return str(importlib.import_module(library).__version__)
    except (ImportError, AttributeError) as error:
        return f"not usable: {_first_line(error)}"


def _finding(name: str) -> Finding:
    try:
        from dualgan.devices import open_device

        return Finding(name, True, open_device(name).describe(), None)
    except (DualGANError, ImportError) as error:
        return Finding(name, False, None, _first_line(error))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def doctor(asked: str, as_json: bool, say: Callable[[str], None]) -> int:
    """Print what was found; 0 where the device ``asked`` ("any": at least one) can be used, else 1."""
    report = examine()
    usable = is_usable(report, asked)
    for line in [json.dumps(content(report, asked))] if as_json else _lines(report, asked):
        say(line)
    return 0 if usable else 1


def is_usable(report: Report, asked: str) -> bool:
    return any(finding.usable for finding in report.devices if asked in ("any", finding.device))


def content(report: Report, asked: str) -> Dict[str, Any]:
    """The content of ``doctor --json``."""
    return {
        "asked": asked,
        "usable": is_usable(report, asked),
        "versions": report.versions,
        "devices": {finding.device: finding._asdict() for finding in report.devices},
    }


def _lines(report: Report, asked: str) -> Iterator[str]:
    for library, version in report.versions.items():
        yield f"{library:<11} {version}"
    for finding in report.devices:
        if finding.description is None:
            yield f"{finding.device:<11} not usable: {finding.reason}"
        else:
            yield f"{finding.device:<11} usable: {_details(finding.description)}"
    name = "any device" if asked == "any" else "device " + asked
    yield "{}: {}".format(name, "usable" if is_usable(report, asked) else "not usable")


def _details(description: Dict[str, Any]) -> str:
    details = {key: value for key, value in description.items() if key not in ("kind", "name")}
    known = [f"{key} {value}" for key, value in details.items() if value not in (None, {})]
    return ", ".join([str(description["name"])] + known)
