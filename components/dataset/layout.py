"""Where the images of a source belong: which of its names are images of which split and domain."""

import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dualgan.dataset_folder import DESCRIPTION, DOMAINS, IMAGE_ENDINGS, SPLIT_NAMES, is_image_name, left_out_reasons
from dualgan.errors import BadInput

# A dataset may lie in a folder of its name, and that in another one.
MAX_ROOT_DEPTH = 2
PAIRED = "A|B"
# Of {split}/{domain}/{image}.
DEPTH = 3
NEEDED = "a dataset holds images in train/A and train/B"

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
    paths = [path for path in (tuple(name.split("/")) for name in names) if not _is_hidden(path)]
    root = _find_root(paths, label)
    prefix = "".join(f"{part}/" for part in root)
    below = [path[len(root) :] for path in paths if path[: len(root)] == root and len(path) > len(root)]
    slots = {path: slot for path in below if is_image_name(path[-1]) and (slot := _slot(path))}
    has_domains = any(slot.split == "train" and slot.domain != PAIRED for slot in slots.values())
    has_pairs = any(slot.split == "train" and slot.domain == PAIRED for slot in slots.values())
    if has_domains or not has_pairs:
        _require_domains(below, set(slots.values()), label)
    # As for the trainer, train/A comes before trainA.
    nested = {(slot.split, slot.domain) for path, slot in slots.items() if len(path) == DEPTH}
    chosen = {
        path: slot
        for path, slot in slots.items()
        if (slot.domain == PAIRED) != has_domains and (len(path) == DEPTH or (slot.split, slot.domain) not in nested)
    }
    splits = {slot.split for slot in chosen.values()}
    split_of = dict.fromkeys(SPLIT_NAMES["train"], "train")
    split_of |= dict.fromkeys([name for name in SPLIT_NAMES["val"] if name in splits][:1], "val")
    taken = {
        prefix + "/".join(path): slot._replace(split=split_of[slot.split], name=unicodedata.normalize("NFC", slot.name))
        for path, slot in chosen.items()
        if slot.split in split_of
    }
    rest = [path for path in below if path[-1] and path != (DESCRIPTION,) and prefix + "/".join(path) not in taken]
    return Layout(prefix, taken, left_out_reasons(rest))


def _slot(path: Parts) -> Slot | None:
    """The slot of a path below the root, its split by the name that it has there."""
    names = [name for names in SPLIT_NAMES.values() for name in names]
    if len(path) == DEPTH and path[0] in names and path[1] in DOMAINS:
        return Slot(*path)
    if len(path) == 2 and path[0] in names:
        return Slot(path[0], PAIRED, path[1])
    if len(path) == 2 and path[0][:-1] in names and path[0][-1] in DOMAINS:
        return Slot(path[0][:-1], path[0][-1], path[1])
    return None


def _is_hidden(path: Sequence[str]) -> bool:
    return path[-1].startswith(".") or "__MACOSX" in path


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


def _require_domains(below: Sequence[Parts], slots: set[Slot], label: str) -> None:
    folders = {"/".join(path[:2]) for path in below if len(path) > 2} | {path[0] for path in below if len(path) > 1}
    for domain in DOMAINS:
        if not folders & {f"train/{domain}", f"train{domain}"}:
            raise BadInput(f"{label}: no folder train/{domain}; {NEEDED}")
        if not any(slot.split == "train" and slot.domain == domain for slot in slots):
            raise BadInput(f"{label}: no image in train/{domain} ({', '.join(IMAGE_ENDINGS)})")
