"""Where the images of a source belong: which of its names are images of which split and domain."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dualgan.dataset_folder import DOMAINS, IMAGE_ENDINGS, SPLITS
from dualgan.errors import BadInput

# A dataset may lie in a folder of its name, and that in another one.
DEEPEST_ROOT = 2
PAIRED = "A|B"
NEEDED = "a dataset holds images in train/A and train/B"


class Spot(NamedTuple):
    """``domain`` is one of DOMAINS, or PAIRED for an image that holds both side by side."""

    split: str
    domain: str
    name: str


class Layout(NamedTuple):
    """``root`` is the folder of the source that holds "train", with a "/" at its end, "" for the source itself;
    ``spots`` says where each image below it belongs, by its name.
    """

    root: str
    spots: dict[str, Spot]


def find_layout(names: Iterable[str], shown: str) -> Layout:
    """The dataset among ``names``: paths with "/" between folders, and at the end of a folder's own.

    It is ``{train,val}/{A,B}/{image}``, or, as pix2pix has it, ``{train,val,test}/{image}`` with A and B side by
    side (then ``test`` serves where there is no ``val``); either may lie one or two folders down. Raises BadInput,
    naming the first thing that is missing, where there is none; ``shown`` is how messages name the source.
    """
    paths = [path for path in (tuple(name.split("/")) for name in names) if not _is_hidden(path)]
    root = _find_root(paths, shown)
    below = [path[len(root) :] for path in paths if path[: len(root)] == root and len(path) > len(root)]
    prefix = "".join(f"{part}/" for part in root)
    folders = {path[:2] for path in below if len(path) > 2}
    images = [path for path in below if path[-1].lower().endswith(IMAGE_ENDINGS)]
    in_domains = [path for path in images if len(path) == 3 and path[0] in SPLITS and path[1] in DOMAINS]
    side_by_side = [path for path in images if len(path) == 2]
    if not any(("train", domain) in folders for domain in DOMAINS) and any(p[0] == "train" for p in side_by_side):
        splits = {path[0] for path in side_by_side}
        source_of = {"train": "train", "val": "val"} if "val" in splits else {"train": "train", "test": "val"}
        chosen: dict[tuple[str, ...], Spot] = {
            path: Spot(source_of[path[0]], PAIRED, path[1]) for path in side_by_side if path[0] in source_of
        }
    else:
        _require_domains(folders, in_domains, shown)
        chosen = {path: Spot(*path) for path in in_domains}
    return Layout(prefix, {prefix + "/".join(path): spot for path, spot in chosen.items()})


def is_image_name(name: str) -> bool:
    """Whether a file called ``name`` may be an image of a dataset; what macOS adds to archives is not."""
    return name.lower().endswith(IMAGE_ENDINGS) and not _is_hidden(name.split("/"))


def _is_hidden(path: Sequence[str]) -> bool:
    return path[-1].startswith(".") or "__MACOSX" in path


def _find_root(paths: Iterable[tuple[str, ...]], shown: str) -> tuple[str, ...]:
    roots = set()
    for path in paths:
        folders = path[:-1][: DEEPEST_ROOT + 1]
        if "train" in folders:
            root = folders[: folders.index("train")]
            if not any(part.startswith((".", "_")) for part in root):
                roots.add(root)
    if not roots:
        raise BadInput(f"{shown}: no folder train/A; {NEEDED}")
    least = min(len(root) for root in roots)
    nearest = sorted(root for root in roots if len(root) == least)
    if len(nearest) > 1:
        named = ", ".join("/".join(root) for root in nearest)
        raise BadInput(f"{shown}: holds more than one dataset ({named}); give one of them")
    return nearest[0]


def _require_domains(folders: set[tuple[str, ...]], images: Sequence[tuple[str, ...]], shown: str) -> None:
    for domain in DOMAINS:
        if ("train", domain) not in folders:
            raise BadInput(f"{shown}: no folder train/{domain}; {NEEDED}")
        if not any(path[:2] == ("train", domain) for path in images):
            raise BadInput(f"{shown}: no image in train/{domain} ({', '.join(IMAGE_ENDINGS)})")
