"""An Ascend machine: CANN (Huawei's libraries) and the driver that are installed, and what they need of a process."""

import os
import re
from pathlib import Path
from typing import Dict, MutableMapping, NamedTuple, Optional, Tuple

from dualgan.environment import own_temporary_folder
from dualgan.errors import BadInput

Version = Tuple[int, ...]

# Where CANN lies if not where its installers put it.
ROOT_VARIABLE = "DUALGAN_ASCEND_ROOT"
DEFAULT_ROOT = "/usr/local/Ascend"
DRIVER_INSTALL_INFO = "/etc/ascend_install.info"
# Folders of an installation: toolkit or nnae up to CANN 8, cann from then on; the newest one that is linked first.
INSTALLATIONS = (
    *("ascend-toolkit/latest", "nnae/latest", "cann"),
    *("ascend-toolkit/[0-9]*", "nnae/[0-9]*", "cann-[0-9]*"),
)
INFO_FILES = ("ascend_*_install.info", "*-linux/ascend_*_install.info")


class Cann(NamedTuple):
    """Versions as written, such as "5.0.4.alpha005" and "21.0.2"; None if no file says. looked_in: the folder."""

    version: Optional[str]
    driver: Optional[str]
    looked_in: Path

    @property
    def number(self) -> Optional[Version]:
        return version_number(self.version) if self.version else None


def installed() -> Cann:
    """Return the versions that are installed on this machine, or in this container."""
    override = os.environ.get(ROOT_VARIABLE)
    root = Path(override or DEFAULT_ROOT)
    told = None if override else _entries(Path(DRIVER_INSTALL_INFO)).get("driver_install_path_param")
    driver = _entries(Path(told or root) / "driver" / "version.info").get("version")
    return Cann(_cann_version(root), driver, root)


def version_number(text: str) -> Optional[Version]:
    """(5, 0, 4) of "5.0.4.alpha005", (6, 3) of "6.3.RC2"; None of what does not start with a number."""
    found = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in found.group().split(".")) if found else None


def _cann_version(root: Path) -> Optional[str]:
    found = (path for pattern in INSTALLATIONS for path in sorted(root.glob(pattern), reverse=True))
    for installation in (path for path in found if path.is_dir()):
        for pattern in INFO_FILES:
            for file in sorted(installation.glob(pattern)):
                version = _entries(file).get("version")
                if version:
                    return version
        # A folder may hold nothing but its name: ascend-toolkit/latest -> 5.0.4.alpha005, cann -> cann-8.5.0.
        name = re.sub("^cann-", "", installation.resolve().name)
        if version_number(name):
            return name
    return None


def _entries(file: Path) -> Dict[str, str]:
    """The lines NAME=VALUE of a file, names in lower case; {} if it cannot be read."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


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
