"""An Ascend machine: its cards, CANN (Huawei's libraries) and the driver that are installed, and what they need.

`npu-smi info` lists two rows a chip; the first names it and says whether it is well, the second ends with the memory in
use and in all:

    | npu-smi 21.0.2                       Version: 21.0.2          |
    | NPU   Name           | Health        | Power(W)   Temp(C)     |
    | Chip  Device         | Bus-Id        | AICore(%)  ...         |
    | 0     910A           | OK            | 71.9       49          |
    | 0     0              | 0000:C1:00.0  | 88         ...         |
"""

import os
import re
from pathlib import Path
from typing import Dict, List, MutableMapping, NamedTuple, Optional, Tuple

from dualgan.devices.base import output_of
from dualgan.environment import own_temporary_folder
from dualgan.errors import BadInput

VERSION = re.compile(r"npu-smi\s+(\S+)")
BUS_ID = re.compile(r"[0-9A-Fa-f]{4}:[0-9A-Fa-f]{2}:")
MEMORY = re.compile(r"\d+\s*/\s*(\d+)")


class Card(NamedTuple):
    """A chip.

    name: such as "910A"; health: in the tool's words, "OK" or a complaint; memory_mebibytes: all that it has.
    """

    name: str
    health: str
    memory_mebibytes: Optional[int] = None


class Listing(NamedTuple):
    """version: that of the tool, which comes with the driver."""

    version: Optional[str]
    cards: List[Card]


def listing() -> Optional[Listing]:
    """Return what the tool says now; None if it is missing, fails or takes too long."""
    output = output_of(["npu-smi", "info"])
    return None if output is None else parse(output)


def parse(output: str) -> Listing:
    """The listing in the tool's output; rows that are not understood are left out."""
    version = VERSION.search(output)
    cards: List[Card] = []
    for line in output.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        identity = cells[0].split()
        # The second row of a chip has its place on the bus here, 0000:C1:00.0, and other tables have more columns.
        named = len(cells) == 3 and len(identity) == 2 and identity[0].isdecimal()
        if named and cells[1] and ":" not in cells[1] and cells[1] not in ("NA", "N/A", "-"):
            cards.append(Card(identity[1], cells[1]))
        elif len(cells) == 3 and cards and BUS_ID.match(cells[1]) and MEMORY.search(cells[2]):
            cards[-1] = cards[-1]._replace(memory_mebibytes=int(MEMORY.findall(cells[2])[-1]))
    return Listing(version.group(1) if version else None, cards)


FIRST, A2, A3, LATER = "910", "A2", "A3", "950"
# npu-smi calls the first 910 and Atlas A3 alike in some versions; only the latter has 64 GiB.
MIN_A3_MEBIBYTES = 60000
_NAMES = ((r"910B\d", A2), (r"910(C|_\d)", A3), (r"9[2-9]\d", LATER), (r"910", FIRST))
# Factors of convolutions in HF32, float32 with 11 bits behind the point, unless it is "0".
HF32_VARIABLE = "ENABLE_HF32_EXECUTION"


def generation(card: Optional[Card]) -> Optional[str]:
    """The generation that a card's name and memory tell, None if there is no card or none of these.

    910A, 910B, 910ProA, 910ProB and 910PremiumA are first ones; 910B1 to 910B4 are Atlas A2.
    """
    if card is None:
        return None
    name = card.name.replace("Ascend", "")
    if name == "910" and (card.memory_mebibytes or 0) >= MIN_A3_MEBIBYTES:
        return A3
    return next((found for pattern, found in _NAMES if re.match(pattern, name)), None)


def is_newer_than_910(card: Optional[Card]) -> bool:
    """Whether the card's matrix unit has float32 and bfloat16. A card that is not known is not trusted to."""
    return generation(card) in (A2, A3, LATER)


def product_type(precision_mode: str, hf32: bool) -> str:
    """The type that ``precision_mode`` rounds factors of convolutions and matrix products to.

    Args:
        precision_mode: One that the chip has.
        hf32: Whether float32 factors of convolutions become HF32.
    """
    if precision_mode == "must_keep_origin_dtype":
        return "hfloat32" if hf32 else "float32"
    return "bfloat16" if precision_mode.endswith("bf16") else "float16"


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
