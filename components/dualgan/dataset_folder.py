"""The dataset folder: ``{train,val}/{A,B}/*.{jpg,jpeg,png}`` and ``dataset.json``."""

import hashlib
import unicodedata
from pathlib import Path
from typing import Dict, Iterable, List, NamedTuple, Tuple

from dualgan.errors import BadInput
from dualgan.run_folder import read_json

SPLITS = ("train", "val")
DOMAINS = ("A", "B")
IMAGE_ENDINGS = (".jpg", ".jpeg", ".png")


class Description(NamedTuple):
    """The content of ``dataset.json``. ``counts`` has keys such as "train/A"; ``digest`` is content_digest's."""

    name: str
    source: str
    counts: Dict[str, int]
    digest: str


def sort_key(path: Path) -> Tuple[bytes, ...]:
    """An order of names that no file system, locale or Unicode normal form changes."""
    return tuple(unicodedata.normalize("NFC", part).encode("utf-8") for part in path.parts)


def list_images(folder: Path, split: str, domain: str) -> List[Path]:
    """Return the images of one split and domain in the order of sort_key; [] if there is no such folder."""
    directory = Path(folder) / split / domain
    if not directory.is_dir():
        return []
    images = [path for path in directory.iterdir() if path.suffix.lower() in IMAGE_ENDINGS and path.is_file()]
    return sorted((path for path in images if not path.name.startswith(".")), key=sort_key)


def require_training_images(folder: Path) -> None:
    """Raise BadInput, naming the first thing that is missing, unless ``folder`` can be trained on."""
    if not Path(folder).is_dir():
        raise BadInput(f"{folder}: no such folder; a dataset folder holds train/A and train/B")
    for domain in DOMAINS:
        directory = Path(folder) / "train" / domain
        if not directory.is_dir():
            raise BadInput(f"{folder}: no folder train/{domain}; a dataset holds images in train/A and train/B")
        if not list_images(folder, "train", domain):
            raise BadInput(f"{folder}: no image in train/{domain} ({', '.join(IMAGE_ENDINGS)})")


def digest_of(checksums: Iterable[Tuple[str, str]]) -> str:
    """The digest (hex) of files in order: place, of an image "{split}/{domain}/{name}", and SHA-256 (hex) of each."""
    total = hashlib.sha256()
    for place, checksum in checksums:
        total.update(f"{place}\0{checksum}\n".encode("utf-8"))
    return total.hexdigest()


def content_digest(folder: Path) -> str:
    """SHA-256 (hex) over every image's place and bytes, the same on any machine and file system."""
    return digest_of(
        (f"{split}/{domain}/{unicodedata.normalize('NFC', path.name)}", hashlib.sha256(path.read_bytes()).hexdigest())
        for split in SPLITS
        for domain in DOMAINS
        for path in list_images(folder, split, domain)
    )


def image_counts(folder: Path) -> Dict[str, int]:
    return {f"{split}/{domain}": len(list_images(folder, split, domain)) for split in SPLITS for domain in DOMAINS}


def checked_description(folder: Path) -> Description:
    """Describe ``folder`` by its dataset.json. Raises BadInput if its images have changed since that was written."""
    description, digest = describe(folder), content_digest(folder)
    if description.digest != digest:
        raise BadInput(
            f"{folder}: its images have changed since dataset.json was written (digest {description.digest[:12]} -> "
            f"{digest[:12]}); fetch it anew, or delete dataset.json"
        )
    return description


def describe(folder: Path) -> Description:
    """Describe ``folder`` by its dataset.json, or by its images if there is none.

    Raises BadInput if dataset.json does not fit the contract.
    """
    file = Path(folder) / "dataset.json"
    if not file.is_file():
        return Description(Path(folder).name, str(folder), image_counts(folder), content_digest(folder))
    try:
        content = read_json(file)
        return Description(content["name"], content["source"], dict(content["counts"]), content["digest"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{file}: not a dataset description ({error!r}); fetch the dataset anew") from None
