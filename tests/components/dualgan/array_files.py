"""Copies of trace and golden files that are changed, or broken."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Change = Callable[[dict[str, Any], dict[str, Any]], None]


def changed(file: Path, target: Path, change: Change) -> Path:
    """A copy whose arrays and meta ``change`` changed."""
    with np.load(file) as content:
        arrays = dict(content)
    meta = json.loads(str(arrays.pop("meta")))
    change(arrays, meta)
    np.savez(target, meta=np.array(json.dumps(meta)), **arrays)
    return target


def truncated(file: Path, target: Path) -> Path:
    target.write_bytes(file.read_bytes()[:5000])
    return target


def overwritten_header(file: Path, target: Path, member: str, shape: tuple[int, ...]) -> Path:
    """A copy whose array ``member`` claims another shape than it has."""
    with zipfile.ZipFile(file) as whole, zipfile.ZipFile(target, "w") as copy:
        for name in whole.namelist():
            content = whole.read(name)
            if name == member:
                array = np.load(io.BytesIO(content))
                header = io.BytesIO()
                description = np.lib.format.header_data_from_array_1_0(array)
                np.lib.format.write_array_header_1_0(header, {**description, "shape": shape})
                content = header.getvalue() + array.tobytes()
            copy.writestr(name, content)
    return target
