"""JSON from outside: bounded in size, depth and numbers, so that what is read can be counted with, shown and stored.

Every fault of a content is a DamagedFile, one line that begins with a label such as the file's path.
"""

import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO, Dict, List, Tuple, Union

from dualgan.errors import BadInput, first_line

MAX_BYTES = 64 << 20
MAX_DEPTH = 64
MAX_WHOLE_NUMBER = 2**63 - 1
_MAX_DIGITS = 20


class DamagedFile(BadInput, ValueError):
    """A content that is not what it should be. It is a ValueError as well, for whoever goes on without it."""


def read_json(path: Union[str, Path], max_bytes: int = MAX_BYTES) -> Dict[str, Any]:
    """Read a JSON object from a regular file. Raises DamagedFile for anything else (see parse_json), OSError."""
    return parse_object(read_bounded(path, max_bytes), str(path), max_bytes)


def read_bounded(path: Union[str, Path], max_bytes: int) -> bytes:
    """Read a regular file of at most ``max_bytes``. Raises DamagedFile if it is no such file, OSError as open does."""
    with open_regular(path) as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise DamagedFile(f"{path}: larger than {max_bytes} bytes")
    return content


def open_regular(path: Union[str, Path]) -> BinaryIO:
    """Open a regular file to read its bytes. Raises DamagedFile if it is no such file, OSError as open does."""
    # A pipe that nobody writes to would be waited for.
    handle = os.open(str(path), os.O_RDONLY | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise DamagedFile(f"{path}: not a regular file")
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def parse_object(content: Union[str, bytes], label: str, max_bytes: int = MAX_BYTES) -> Dict[str, Any]:
    """Parse a JSON object. Raises DamagedFile, as parse_json does, for anything else."""
    found = parse_json(content, label, max_bytes)
    if not isinstance(found, dict):
        raise DamagedFile(f"{label}: not a JSON object")
    return found


def parse_json(content: Union[str, bytes], label: str, max_bytes: int = MAX_BYTES) -> Any:
    """Parse JSON in UTF-8: a value at most MAX_DEPTH deep, of whole numbers of 64 bits and strings that can be encoded.

    Floats may be infinite or NaN: see whole_number and finite_number. Raises DamagedFile, whose message begins with
    ``label``, for anything else.
    """
    try:
        raw = content.encode("utf-8") if isinstance(content, str) else content
        if len(raw) > max_bytes:
            raise ValueError(f"larger than {max_bytes} bytes")
        found = json.loads(raw.decode("utf-8"), parse_int=_whole_number_of)
        # Only such contents can be too deep, or hold half a surrogate pair; a run's events are a hundred thousand.
        if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH or b"\\ud" in raw.lower():
            _check(found)
    except RecursionError:
        raise DamagedFile(f"{label}: JSON nested deeper than {MAX_DEPTH}") from None
    except ValueError as error:
        raise DamagedFile(f"{label}: not JSON ({first_line(error)[:200]})") from None
    return found


def _whole_number_of(digits: str) -> int:
    if len(digits) > _MAX_DIGITS or abs(int(digits)) > MAX_WHOLE_NUMBER:
        raise ValueError(f"the number {digits[:_MAX_DIGITS]}... does not fit into 64 bits")
    return int(digits)


def _check(content: Any) -> None:
    """Raise ValueError if ``content`` is too deep, or if a string in it cannot be encoded."""
    waiting: List[Tuple[Any, int]] = [(content, 1)]
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, str):
            value.encode("utf-8")
        elif isinstance(value, (list, dict)):
            if depth > MAX_DEPTH:
                raise ValueError(f"nested deeper than {MAX_DEPTH}")
            inner = [*value, *value.values()] if isinstance(value, dict) else value
            waiting.extend((item, depth + 1) for item in inner)


def whole_number(value: Any, label: str, minimum: int = 0, maximum: int = MAX_WHOLE_NUMBER) -> int:
    """Return ``value``, a whole number in [minimum, maximum]. Raises DamagedFile for anything else, True included."""
    if type(value) is not int or not minimum <= value <= maximum:
        raise DamagedFile(f"{label}: {ascii(value)[:60]} is no whole number from {minimum} to {maximum}")
    return value


def finite_number(value: Any, label: str, minimum: float = -1e300, maximum: float = 1e300) -> float:
    """Return ``value``, a finite number in [minimum, maximum]. Raises DamagedFile for anything else, NaN included."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not minimum <= value <= maximum:
        raise DamagedFile(f"{label}: {ascii(value)[:60]} is no number from {minimum:g} to {maximum:g}")
    return float(value)
