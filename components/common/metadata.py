"""Metadata of an artifact: the dozen figures that a reader of KFP's page looks for.

KFP's local runner takes anything. A cluster refuses a task after all its work if its metadata has a null at the top
level (ML Metadata knows none) or a NaN or Infinity at any depth (it is read as JSON in the strict sense). Metadata
travels in the arguments of every pod that reads the artifact, so what is long stays in files.
"""

import math
from collections.abc import Mapping
from typing import Any


def artifact_metadata(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``content`` as a cluster takes it: without what is None or not finite at its top level.

    Deeper down such a value becomes null, so that lists keep their length. Raises TypeError for a value that is not
    text, number, bool, or a list or object of them.
    """
    plain = {name: _plain(name, value) for name, value in content.items()}
    return {name: value for name, value in plain.items() if value is not None}


def _plain(name: str, value: Any) -> Any:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(f"{name}.{key}", inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(name, inner) for inner in value]
    raise TypeError(f"metadata {name}: {type(value).__name__} is not text, number, bool, list or object")
