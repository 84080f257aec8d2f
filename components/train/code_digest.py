"""Which code trains: a checksum of the trainer's sources, the same in an image and in a checkout."""

import hashlib
from pathlib import Path

from components.train.runtimes import WORKING_TREE
from dualgan.dataset_folder import digest_of

TRAINER = WORKING_TREE / "components" / "dualgan"


def code_digest(folder: Path = TRAINER) -> str:
    """SHA-256 (hex) over the names and contents of the Python files below ``folder``, in the order of their names."""
    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*.py")}
    return digest_of((name, hashlib.sha256(file.read_bytes()).hexdigest()) for name, file in sorted(files.items()))
