"""The environment that CANN and its adapter need: of one Ascend card, with folders that can be written to."""

import os
from typing import MutableMapping

from dualgan.environment import own_temporary_folder
from dualgan.errors import BadInput

# The adapter and the ports of DualGAN read these; any job number will do.
CARD_DEFAULTS = {"RANK_ID": "0", "RANK_SIZE": "1", "JOB_ID": "10087"}
SIZES = ("RANK_SIZE", "CM_WORKER_SIZE")
# They describe a cluster of cards. With them the adapter waits for the others, or refuses to start beside RANK_SIZE.
OF_SEVERAL_CARDS = (
    *("RANK_TABLE_FILE", "CM_CHIEF_IP", "CM_CHIEF_PORT", "CM_CHIEF_DEVICE"),
    *("CM_WORKER_IP", "CM_WORKER_SIZE"),
)


def prepare_single_card(environment: MutableMapping[str, str]) -> None:
    """Make ``environment`` that of one card, before npu_bridge is imported.

    Raises BadInput if it asks for several: gradients would then be averaged with processes that are not there.
    """
    for name in SIZES:
        size = environment.get(name, "1").strip()
        if size != "1":
            raise BadInput(f"--device npu: {name}={size}, but a training uses one card; unset it")
    for name in OF_SEVERAL_CARDS:
        environment.pop(name, None)
    for name, value in CARD_DEFAULTS.items():
        environment.setdefault(name, value)
    # DEVICE_ID is a physical number, which the adapter turns into a logical one unless it is given ASCEND_DEVICE_ID.
    if "DEVICE_ID" not in environment:
        environment.setdefault("ASCEND_DEVICE_ID", "0")


# The folders that the compiler of operations works in, and keeps what it made in for the next process.
FOLDER_VARIABLES = ("ASCEND_WORK_PATH", "ASCEND_CACHE_PATH")


def prepare_folders(environment: MutableMapping[str, str]) -> None:
    """Name folders for CANN's files if ``environment`` names none, and leave a current folder that is read-only.

    CANN 5.0 knows none of FOLDER_VARIABLES and writes ``kernel_meta`` into the current folder, newer ones others.

    Raises:
        BadInput: If a folder that it names cannot be written to, or if there is none to write to.
    """
    for name in FOLDER_VARIABLES:
        folder = environment.get(name)
        if folder and not _is_writable(folder):
            raise BadInput(f"--device npu: {name}={folder}: no folder that this user may write to")
    own = str(own_temporary_folder("dualgan-ascend"))
    for name in FOLDER_VARIABLES:
        if not environment.get(name):
            environment[name] = own
    if not _is_writable(os.curdir):
        os.chdir(own)


def _is_writable(folder: str) -> bool:
    return os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)
