"""The dataset folder: which of its files are images of which split and domain, and its description, ``dataset.json``.

Images lie in ``{split}/{domain}`` or, as CycleGAN has it, in ``{split}{domain}``: ``train/A`` or ``trainA``. The split
"val" has one of the names of SPLIT_NAMES: the first of which there is an image.
"""

import hashlib
import os
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from dualgan.errors import BadInput
from dualgan.names import plain_name, shortened
from dualgan.run_folder import MAX_IMAGE_NAME_BYTES, read_json

SPLITS = ("train", "val")
SPLIT_NAMES = {"train": ("train",), "val": ("val", "valid", "validation", "test")}
DOMAINS = ("A", "B")
DESCRIPTION = "dataset.json"
IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".jfif", ".bmp", ".webp", ".tif", ".tiff")
# Bad images that `fetch` has set aside, of a folder that it has made.
QUARANTINE = "quarantine"
MAX_EXAMPLES = 3


class Description(NamedTuple):
    """The content of ``dataset.json``. ``counts`` has keys such as "train/A"; ``digest`` is content_digest's."""

    name: str
    source: str
    counts: Dict[str, int]
    digest: str


def is_image_name(name: str) -> bool:
    """Return whether a file called ``name`` may be an image; what macOS adds to folders and archives is not."""
    return name.lower().endswith(IMAGE_ENDINGS) and not name.startswith(".")


def images_in(folder: Path) -> List[Path]:
    """Return the images of one folder, in an order that no file system, locale or normal form changes."""
    with os.scandir(str(folder)) as entries:
        names = [entry.name for entry in entries if is_image_name(entry.name) and entry.is_file()]
    normal = [(unicodedata.normalize("NFC", name).encode("utf-8", "surrogateescape"), name) for name in names]
    return [Path(folder) / name for _, name in sorted(normal)]


def image_folder(folder: Path, split: str, domain: str) -> Optional[Path]:
    """Return the folder of one split's and domain's images, None if there is none."""
    for name in SPLIT_NAMES[split]:
        found = {}
        for side in DOMAINS:
            places = (Path(folder) / name / side, Path(folder) / (name + side))
            found[side] = next((place for place in places if place.is_dir()), None)
        if split == "train" or any(place and images_in(place) for place in found.values()):
            return found[domain]
    return None


def list_images(folder: Path, split: str, domain: str) -> List[Path]:
    """Return the images of one split and domain in the order of images_in; [] if there is no such folder."""
    place = image_folder(folder, split, domain)
    return images_in(place) if place else []


def left_out(folder: Path) -> str:
    """Say how many files of a dataset folder are none of its images, and why; "" if all are."""
    used = {image_folder(folder, split, domain) for split in SPLITS for domain in DOMAINS}
    rest: List[Tuple[str, ...]] = []
    for directory, folders, names in os.walk(str(folder)):
        place = Path(directory)
        parts = place.relative_to(folder).parts
        folders[:] = [name for name in folders if not name.startswith(".") and (parts or name != QUARANTINE)]
        known = [name for name in names if name.startswith(".") or (place in used and is_image_name(name))]
        rest += [(*parts, name) for name in set(names).difference(known)]
    return left_out_reasons([path for path in rest if path != (DESCRIPTION,)])


def left_out_reasons(paths: Sequence[Sequence[str]]) -> str:
    """Say in a line how many files are left out and why, with the commonest examples; "" for none.

    paths: of each file, the names of its folders below the dataset's and its own.
    """
    images = [path for path in paths if is_image_name(path[-1])]
    others = [path[-1] for path in paths if not is_image_name(path[-1])]
    parts = [
        f"{len(found)} {reason} ({_examples(found)})"
        for reason, found in (
            ("no images by their endings", [os.path.splitext(name)[1] or name for name in others]),
            ("in folders that are not used", ["/".join(path[:-1]) or "the top folder" for path in images]),
        )
        if found
    ]
    return f"{len(paths)} files: {', '.join(parts)}" if parts else ""


def _examples(found: Sequence[str]) -> str:
    counted = Counter(found)
    # Of those as common by name: the disk's order is another one everywhere.
    named = sorted(counted, key=lambda name: (-counted[name], name))[:MAX_EXAMPLES]
    more = ", ..." if len(counted) > MAX_EXAMPLES else ""
    return ", ".join(name if name.isprintable() else ascii(name)[1:-1] for name in named) + more


def picture_names(paths: Sequence[Path]) -> List[str]:
    """Return a name for what is drawn of each image: its file's, without the ending unless two differ in that alone.

    Names are unique, and short enough for run_folder.sample_path.
    """
    stems = [path.stem for path in paths]
    counts = Counter(stems)
    names: Dict[str, None] = {}
    numbers: Dict[str, int] = {}
    for path, stem in zip(paths, stems):
        wanted = name = stem if counts[stem] == 1 else path.name
        while name in names:
            numbers[wanted] = numbers.get(wanted, 1) + 1
            name = f"{wanted}-{numbers[wanted]}"
        names[name] = None
    return [shortened(name, MAX_IMAGE_NAME_BYTES) for name in names]


def require_training_images(folder: Path) -> None:
    """Raise BadInput, naming the first thing that is missing, unless ``folder`` can be trained on."""
    if not Path(folder).is_dir():
        raise BadInput(f"{folder}: no such folder; a dataset folder holds train/A and train/B")
    for domain in DOMAINS:
        place = image_folder(folder, "train", domain)
        if place is None:
            raise BadInput(f"{folder}: no folder train/{domain}; a dataset holds images in train/A and train/B")
        if not images_in(place):
            raise BadInput(f"{folder}: no image in train/{domain} ({', '.join(IMAGE_ENDINGS)})")


def digest_of(checksums: Iterable[Tuple[str, str]]) -> str:
    """The digest (hex) of files in order: place, of an image "{split}/{domain}/{name}", and SHA-256 (hex) of each."""
    total = hashlib.sha256()
    for place, checksum in checksums:
        total.update(f"{place}\0{checksum}\n".encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def content_digest(folder: Path) -> str:
    """SHA-256 (hex) over every image's place and bytes, the same on any machine and file system.

    Layouts of equal images have equal digests. What is made of the bytes is pictures.DECODER's to say.
    """
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
    description = describe(folder)
    digest = content_digest(folder) if (folder / DESCRIPTION).is_file() else description.digest
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
    file = Path(folder) / DESCRIPTION
    if not file.is_file():
        name = plain_name(Path(folder).resolve().name)
        return Description(name, str(folder), image_counts(folder), content_digest(folder))
    try:
        content = read_json(file)
        found = Description(content["name"], content["source"], dict(content["counts"]), content["digest"])
        texts = (found.name, found.source, found.digest)
        if not all(isinstance(text, str) for text in texts) or not all(type(n) is int for n in found.counts.values()):
            raise ValueError("name, source and digest are texts, counts are whole numbers")
        return found._replace(name=plain_name(found.name))
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{file}: not a dataset description ({error!r}); fetch the dataset anew") from None
