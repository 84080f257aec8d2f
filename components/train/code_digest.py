"""Which code trains: a checksum of the trainer's sources, the same in an image and in a checkout."""

import hashlib
from pathlib import Path

from components.train.runtimes import WORKING_TREE

TRAINER = WORKING_TREE / "components" / "dualgan"


def code_digest(folder: Path = TRAINER) -> str:
    """SHA-256 (hex) over the names and contents of the Python files below ``folder``, in the order of their names."""
    whole = hashlib.sha256()
    for file in sorted(folder.rglob("*.py"), key=lambda file: file.relative_to(folder).as_posix()):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        whole.update(f"{file.relative_to(folder).as_posix()}\0{content}\n".encode())
    return whole.hexdigest()
