"""Files of NumPy arrays by name (.npz, no pickles) and a JSON object called "meta"; what is read may be anything."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any, Dict, Tuple

import numpy as np
from numpy.lib import format as npy

from dualgan.errors import BadInput, first_line
from dualgan.json_files import open_regular, parse_object
from dualgan.run_folder import whole_file

Arrays = Dict[str, Any]
# Arrays may be compressed, but no file of ours is by more.
MAX_RATIO, MIN_LIMIT = 16, 64 << 20
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_arrays(path: Path, kind: str, version: int, max_bytes: int) -> Tuple[Dict[str, Any], Arrays]:
    """The meta and the arrays of ``path``, whose meta has the schema_version ``version``.

    Args:
        kind: what the file should be, for messages, such as "trace".
        max_bytes: how much all arrays together may hold.

    Raises:
        BadInput: the file is missing, damaged, something else, of another version or too large.
    """
    try:
        with open_regular(path) as file:
            with zipfile.ZipFile(file) as archive:
                _check_sizes(archive, min(max_bytes, max(MIN_LIMIT, MAX_RATIO * os.fstat(file.fileno()).st_size)))
            file.seek(0)
            with np.load(file, allow_pickle=False) as content:
                meta = parse_object(str(content["meta"]), "meta")
                found = meta.get("schema_version", 1)
                arrays = {name: content[name] for name in content.files if name != "meta"} if found == version else {}
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file") from None
    except Exception as error:  # NumPy's and zipfile's readers raise errors of any kind
        raise BadInput(f"{path}: not a {kind}, or a damaged one ({first_line(error)})") from None
    if found != version:
        raise BadInput(f"{path}: a {kind} of schema version {found}, this software reads {version}")
    return meta, arrays


def _check_sizes(archive: zipfile.ZipFile, max_bytes: int) -> None:
    """Raise ValueError, before anything is allocated, if an array claims another size than the file has for it."""
    total = 0
    for member in archive.infolist():
        with archive.open(member) as file:
            shape, _, dtype = _HEADERS[npy.read_magic(file)](file)
            size = dtype.itemsize
            for side in shape:
                size *= side
            if dtype.hasobject or size != member.file_size - file.tell():
                raise ValueError(f"{member.filename}: {dtype} of shape {shape} does not fit")
        total += member.file_size
        if total > max_bytes:
            raise ValueError(f"it holds more than {max_bytes} bytes")


def write_arrays(path: Path, meta: Dict[str, Any], arrays: Arrays) -> None:
    """Write a file that ``read`` reads, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        np.savez(file, meta=np.array(json.dumps(meta)), **arrays)
