"""Folders that CANN writes to, where the environment or the current folder offers none."""

import os
import tempfile
from pathlib import Path
from typing import MutableMapping

from dualgan.errors import BadInput

# Where the compiler of operations works, and where it keeps what it made for the next process.
VARIABLES = ("ASCEND_WORK_PATH", "ASCEND_CACHE_PATH")


def prepare(environment: MutableMapping[str, str]) -> None:
    """Name folders for CANN's files where ``environment`` names none, and leave a current folder that is read-only.

    CANN 5.0 knows none of VARIABLES and writes ``kernel_meta`` into the current folder, newer ones some other files.

    Raises:
        BadInput: If a folder that it names cannot be written to, or if there is none to write to.
    """
    for name in VARIABLES:
        folder = environment.get(name)
        if folder and not _is_writable(folder):
            raise BadInput(f"--device npu: {name}={folder}: no folder that this user may write to")
    own = str(_own_folder())
    for name in VARIABLES:
        if not environment.get(name):
            environment[name] = own
    if not _is_writable(os.curdir):
        os.chdir(own)


def _own_folder() -> Path:
    """A folder of this user for temporary files, the same in each process, so that one's kernels serve the next."""
    try:
        folder = Path(tempfile.gettempdir()) / f"dualgan-ascend-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        # Somebody else's folder of that name would decide which kernels run here.
        if folder.is_symlink() or folder.stat().st_uid != os.getuid() or not _is_writable(str(folder)):
            folder = Path(tempfile.mkdtemp(prefix="dualgan-ascend-"))
    except OSError as error:
        raise BadInput(f"--device npu: CANN needs a folder to write to ({error}); set TMPDIR to one") from None
    return folder


def _is_writable(folder: str) -> bool:
    return os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)
