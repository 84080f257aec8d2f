"""Where the images of a source belong: which of its names are images of which split and domain."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dualgan.dataset_folder import DESCRIPTION, DOMAINS, IMAGE_ENDINGS, SPLIT_NAMES, is_image_name, left_out_reasons
from dualgan.errors import BadInput

# A dataset may lie in a folder of its name, and that in another one.
MAX_ROOT_DEPTH = 2
PAIRED = "A|B"
NEEDED = "a dataset holds images in train/A and train/B"
SPLIT = "|".join(name for names in SPLIT_NAMES.values() for name in names)
PLACE = re.compile(rf"({SPLIT})(?:(/?)([AB]))?/[^/]+", re.DOTALL)

Parts = tuple[str, ...]


class Slot(NamedTuple):
    """Where an image belongs in a dataset folder: one of SPLITS, one of DOMAINS, a name in Unicode's normal form C.

    The domain of an image that holds both side by side is PAIRED.
    """

    split: str
    domain: str
    name: str

    def __str__(self) -> str:
        return "/".join(self)


class Layout(NamedTuple):
    """Where the images of a source are.

    ``root`` is the folder of the source that holds "train", with a "/" at its end, "" for the source itself. ``slots``
    says where each image below it belongs, by its name. ``ignored`` says in words what else there is, "" for nothing.
    """

    root: str
    slots: dict[str, Slot]
    ignored: str


def find_layout(names: Iterable[str], label: str) -> Layout:
    """Find the dataset among ``names``: paths with "/" between folders, and at the end of a folder's own.

    It is ``{split}/{domain}/{image}``, or as CycleGAN has it ``{split}{domain}/{image}``, or as pix2pix has it
    ``{split}/{image}`` with A and B side by side; a split has one of SPLIT_NAMES. Each may lie one or two folders down.
    Raises BadInput, naming the first thing that is missing, if there is none; ``label`` is how messages name the
    source.
    """
    paths = [tuple(name.split("/")) for name in names]
    paths = [path for path in paths if not path[-1].startswith(".") and "__MACOSX" not in path]
    root = _find_root(paths, label)
    prefix = "".join(f"{part}/" for part in root)
    below = [path[len(root) :] for path in paths if path[: len(root)] == root and len(path) > len(root)]
    # By split as it is spelled, domain, and whether the domain is a folder of its own.
    found: dict[tuple[str, str, bool], list[str]] = {}
    for path in below:
        name = "/".join(path)
        if is_image_name(path[-1]) and (place := PLACE.fullmatch(name)):
            found.setdefault((place[1], place[3] or PAIRED, bool(place[2])), []).append(name)
    train = {domain for split, domain, _ in found if split == "train"}
    has_pairs = train == {PAIRED}
    if not has_pairs:
        _require_domains(below, train, label)
    found = {place: images for place, images in found.items() if (place[1] == PAIRED) == has_pairs}
    splits = {split for split, _, _ in found}
    split_of = {"train": "train"} | dict.fromkeys([one for one in SPLIT_NAMES["val"] if one in splits][:1], "val")
    slots = {
        prefix + image: Slot(split_of[split], domain, unicodedata.normalize("NFC", image.rpartition("/")[2]))
        for (split, domain, is_nested), images in found.items()
        # As for the trainer, train/A comes before trainA.
        if split in split_of and (is_nested or (split, domain, True) not in found)
        for image in images
    }
    rest = [path for path in below if path[-1] and path != (DESCRIPTION,) and prefix + "/".join(path) not in slots]
    return Layout(prefix, slots, left_out_reasons(rest))


def _find_root(paths: Iterable[Parts], label: str) -> Parts:
    roots = set()
    for path in paths:
        folders = path[:-1][: MAX_ROOT_DEPTH + 1]
        at = [i for i, folder in enumerate(folders) if folder in ("train", "trainA", "trainB")]
        if at and not any(part.startswith((".", "_")) for part in folders[: at[0]]):
            roots.add(folders[: at[0]])
    if not roots:
        raise BadInput(f"{label}: no folder train/A; {NEEDED}")
    depth = min(len(root) for root in roots)
    nearest = sorted(root for root in roots if len(root) == depth)
    if len(nearest) > 1:
        named = ", ".join("/".join(root) for root in nearest)
        raise BadInput(f"{label}: holds more than one dataset ({named}); give one of them")
    return nearest[0]


def _require_domains(below: Sequence[Parts], found: set[str], label: str) -> None:
    folders = {"/".join(path[:2]) for path in below if len(path) > 2} | {path[0] for path in below if len(path) > 1}
    for domain in DOMAINS:
        if not folders & {f"train/{domain}", f"train{domain}"}:
            raise BadInput(f"{label}: no folder train/{domain}; {NEEDED}")
        if domain not in found:
            raise BadInput(f"{label}: no image in train/{domain} ({', '.join(IMAGE_ENDINGS)})")
