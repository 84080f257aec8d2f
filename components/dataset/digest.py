"""The digest of a dataset from the checksums of its images, without reading them again.

It is ``dualgan.dataset_folder.content_digest``: SHA-256 over one line an image, its place ``{split}/{domain}/{name}``
(the name in Unicode's normal form C), a NUL and the SHA-256 of its bytes, splits and domains in the order of SPLITS and
DOMAINS, names by their UTF-8 bytes. So it covers content and names, but neither source, archive form, order, times,
permissions, machine nor anything else that lies in the folder.
"""

import unicodedata
from collections.abc import Mapping
from typing import NamedTuple

from dualgan import dataset_folder
from dualgan.dataset_folder import DOMAINS, SPLITS


class Place(NamedTuple):
    """Where an image belongs in a dataset folder: one of SPLITS, one of DOMAINS, a file name in normal form C."""

    split: str
    domain: str
    name: str

    def __str__(self) -> str:
        return "/".join(self)


def place(split: str, domain: str, name: str) -> Place:
    return Place(split, domain, unicodedata.normalize("NFC", name))


def digest_of(checksums: Mapping[Place, str]) -> str:
    """The digest (hex) of images with these SHA-256 (hex)."""
    return dataset_folder.digest_of((str(image), checksums[image]) for image in sorted(checksums, key=_order))


def counts_of(places: Mapping[Place, str]) -> dict[str, int]:
    """How many images each split and domain has, as in dataset.json."""
    counts = {f"{split}/{domain}": 0 for split in SPLITS for domain in DOMAINS}
    for image in places:
        counts[f"{image.split}/{image.domain}"] += 1
    return counts


def _order(image: Place) -> tuple[int, int, bytes]:
    return SPLITS.index(image.split), DOMAINS.index(image.domain), image.name.encode()
