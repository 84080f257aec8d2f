"""The NVIDIA GPUs of this machine as nvidia-smi lists them."""

import subprocess
from typing import List, NamedTuple, Optional, Sequence

SECONDS = 10.0
FIELDS = ("index", "uuid", "name", "driver_version", "memory.total")
# Drivers from before 2021 do not know this field and then refuse the whole question.
NEWER_FIELDS = ("compute_cap",)


class Card(NamedTuple):
    """A GPU. number: the one that CUDA_VISIBLE_DEVICES takes; memory_mebibytes: all that it has; None: not known."""

    number: int
    uuid: str
    name: str
    driver: Optional[str]
    memory_mebibytes: Optional[int]
    compute_capability: Optional[str]


def cards() -> Optional[List[Card]]:
    """The GPUs in the driver's order; None where nvidia-smi is missing, fails or takes too long."""
    for fields in (FIELDS + NEWER_FIELDS, FIELDS):
        pipe = subprocess.PIPE
        command = ["nvidia-smi", "--query-gpu=" + ",".join(fields), "--format=csv,noheader,nounits"]
        try:
            answer = subprocess.run(command, stdout=pipe, stderr=pipe, timeout=SECONDS, check=True)
            return parse(answer.stdout.decode("utf-8", "replace"))
        except subprocess.CalledProcessError:
            continue
        except (OSError, subprocess.SubprocessError):
            return None
    return None


def parse(output: str) -> List[Card]:
    """The cards in nvidia-smi's answer to FIELDS, with or without NEWER_FIELDS; lines not understood are left out."""
    found = []
    for line in output.splitlines():
        values = [value.strip() for value in line.split(",")]
        if len(values) not in (len(FIELDS), len(FIELDS) + len(NEWER_FIELDS)) or not values[0].isdecimal():
            continue
        number, uuid, name, driver, memory = values[: len(FIELDS)]
        capability = values[len(FIELDS)] if len(values) > len(FIELDS) else ""
        mebibytes = int(memory) if memory.isdecimal() else None
        found.append(Card(int(number), uuid, name, _known(driver), mebibytes, _known(capability)))
    return found


def _known(value: str) -> Optional[str]:
    """The value; None for what the tool writes in its place, such as "[N/A]" or "[Not Supported]"."""
    return None if not value or value.startswith("[") else value


def first_visible(found: Sequence[Card], visible_devices: Optional[str]) -> Optional[Card]:
    """The card that CUDA shows a program first, given CUDA_VISIBLE_DEVICES (None: unset, all are visible).

    None where it names none of ``found``, as it does for a part of a card (MIG).
    """
    if visible_devices is None:
        return found[0] if found else None
    first = visible_devices.split(",")[0].strip()
    for card in found:
        if first == str(card.number) or (first.startswith("GPU-") and card.uuid.startswith(first)):
            return card
    return None
