"""Read which CANN (Huawei's libraries for Ascend) and which driver are installed from their own files."""

import os
import re
from pathlib import Path
from typing import Dict, NamedTuple, Optional, Tuple

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
