"""Faults of Python itself that somebody who hands in a file can use."""

import sys
from typing import Dict, Tuple

# The patch release of each minor version whose tarfile has no CVE-2024-6232: headers that take hours to read.
MENDED: Dict[Tuple[int, ...], int] = {(3, 8): 20, (3, 9): 20, (3, 10): 15, (3, 11): 10, (3, 12): 6}


def known_hole(version: Tuple[int, ...] = sys.version_info[:3]) -> str:
    """Say which known hole a Python has and what to do, "" for none.

    version: major, minor and patch release.
    """
    minor, patch = tuple(version[:2]), version[2]
    if minor > max(MENDED) or patch >= MENDED.get(minor, 1 << 30):
        return ""
    newer = f"Python {minor[0]}.{minor[1]}.{MENDED[minor]}" if minor in MENDED else "Python 3.11"
    return f"has a known hole in tarfile (CVE-2024-6232), which `dataset fetch` guards against; {newer} mends it"
