"""The layout of a dataset: which names of a source are images of which split and domain, and bringing them there."""

import hashlib
import json
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from components.common.console import Progress, print_status
from components.dataset.images import check_images, log_bad_images, on_one_line
from components.dataset.options import FetchOptions
from dualgan.dataset_folder import (
    DESCRIPTION,
    DOMAINS,
    IMAGE_ENDINGS,
    MAX_EXAMPLES,
    QUARANTINE,
    SPLIT_NAMES,
    SPLITS,
    digest_of,
    image_counts,
    is_image_name,
    left_out_reasons,
    picture_names,
)
from dualgan.errors import BadInput
from dualgan.names import MAX_FILE_NAME_BYTES, shortened
from dualgan.pictures import BadPicture, open_picture

# A dataset may lie in a folder of its name, and that in another one.
MAX_ROOT_DEPTH = 2
PAIRED = "A|B"
NEEDED = "a dataset holds images in train/A and train/B"
SPLIT = "|".join(name for names in SPLIT_NAMES.values() for name in names)
PLACE = re.compile(rf"({SPLIT})(?:(/?)([AB]))?/[^/]+", re.DOTALL)

Parts = tuple[str, ...]


class Slot(NamedTuple):
    """Where an image belongs: one of SPLITS, one of DOMAINS (PAIRED if it holds both), a name in normal form C."""

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
    Raises BadInput, naming the first thing that is missing, if there is none.
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


class _BadImage(NamedTuple):
    """An image that cannot be used: its name as the source has it, and why."""

    name: str
    reason: str
    file: Path


def place_images(
    images: Sequence[tuple[str, Path]],
    layout: Layout,
    described: str | None,
    folder: Path,
    label: str,
    options: FetchOptions,
) -> None:
    """Check images and move those that can be used to their places in ``folder``; pairs are cut into PNG files.

    Those that cannot be used are logged, each by name with the reason; then BadInput is raised, or they are moved to
    ``folder``/quarantine, with the reasons in reasons.json. BadInput also if the digest of all is not ``described``,
    which is what the source's own dataset.json says.
    """
    root, slots, ignored = layout
    checked = check_images([str(file) for _, file in images], options)
    every: dict[Slot, Path] = {}
    good: dict[Slot, Path] = {}
    bad, deep = [], []
    for name, file in images:
        slot, verdict, shown = slots[name], checked[str(file)], name.removeprefix(root)
        misnamed = _bad_name(slot.name)
        if not misnamed:
            every.setdefault(slot, file)
        if problem := misnamed or verdict.problem or ("there is another image of this name" if slot in good else ""):
            bad.append(_BadImage(shown, problem, file))
            continue
        good[slot] = file
        if verdict.bits > 8:
            deep.append(shown)
    if described and (options.quarantine or not bad):
        _require_described(described, every, label)
    for split in {slot.split for slot in slots.values()}:
        for domain in DOMAINS:
            (folder / split / domain).mkdir(parents=True, exist_ok=True)
    pairs = {slot: file for slot, file in good.items() if slot.domain == PAIRED}
    for slot, file in good.items() - pairs.items():
        file.rename(folder / str(slot))
    if pairs:
        bad += _cut(pairs, folder, options)
    if bad:
        _set_aside(sorted(bad), len(images), folder, label, options.quarantine)
    counts = image_counts(folder)
    if empty := [f"train/{domain}" for domain in DOMAINS if not counts[f"train/{domain}"]]:
        raise BadInput(f"{label}: no usable image in {empty[0]} ({', '.join(IMAGE_ENDINGS)})")
    if deep:
        examples = ", ".join([*map(on_one_line, deep[:MAX_EXAMPLES]), *["..."] * (len(deep) > MAX_EXAMPLES)])
        print_status(f"more than 8 bits a value, scaled to 8 by the format's range: {len(deep)} images ({examples})")
    reasons = "; ".join(f"{count} {reason}" for reason, count in Counter(image.reason for image in bad).most_common())
    aside = f"{len(bad)} in {QUARANTINE} ({reasons})" if bad else "none"
    print_status(f"taken: {len(images) - len(bad)} images; set aside: {aside}; ignored: {ignored or 'none'}")


def _bad_name(name: str) -> str:
    try:
        return "its name is too long" if len(name.encode()) > MAX_FILE_NAME_BYTES else ""
    except UnicodeEncodeError:
        return "its name is not UTF-8"


def _require_described(described: str, images: Mapping[Slot, Path], label: str) -> None:
    unpaired = sorted(slot for slot in images if slot.domain != PAIRED)
    digest = digest_of((str(slot), hashlib.sha256(images[slot].read_bytes()).hexdigest()) for slot in unpaired)
    if digest != described:
        raise BadInput(
            f"{label}: its images are not those that its dataset.json was written for (digest {digest}, it says "
            f"{described}); repair it, or remove its dataset.json"
        )


def _cut(pairs: Mapping[Slot, Path], folder: Path, options: FetchOptions) -> Iterator[_BadImage]:
    """Cut pairs in two, and yield those that are none."""
    names: dict[Slot, str] = {}
    for split in SPLITS:
        slots = sorted(slot for slot in pairs if slot.split == split)
        names.update(zip(slots, picture_names([Path(slot.name) for slot in slots]), strict=True))

    def cut(slot: Slot) -> str:
        try:
            pixels = np.asarray(open_picture(pairs[slot], options.max_pixels))
        except BadPicture as error:
            return error.reason
        height, width, _ = pixels.shape
        if width % 2 or width <= height:
            return "not two images side by side: its width must be even and larger than its height"
        for domain, half in {"A": pixels[:, : width // 2], "B": pixels[:, width // 2 :]}.items():
            # Stored, not deflated: builds of zlib compress differently, and the digest must not tell them apart.
            Image.fromarray(half).save(folder / slot.split / domain / f"{names[slot]}.png", compress_level=0)
        return ""

    pool, progress = ThreadPoolExecutor(len(os.sched_getaffinity(0))), Progress("cutting pairs", len(pairs), "images")
    with pool, progress:
        for slot, reason in zip(pairs, pool.map(cut, pairs), strict=True):
            progress.advance(1)
            if reason:
                yield _BadImage(f"{slot.split}/{slot.name}", reason, pairs[slot])


def _set_aside(bad: list[_BadImage], total: int, folder: Path, label: str, quarantine: bool) -> None:
    named = log_bad_images([(image.name, image.reason) for image in bad])
    if not quarantine:
        raise BadInput(
            f"{label}: {len(bad)} of {total} images cannot be used: {named}; "
            "repair or remove them, or set them aside with --quarantine"
        )
    aside = folder / QUARANTINE
    reasons = []
    for number, image in enumerate(bad):
        parts = [shortened(part, MAX_FILE_NAME_BYTES) for part in on_one_line(image.name).split("/")]
        target = aside.joinpath(*parts)
        if target.exists():
            target = target.with_name(f"{number}-{target.name[-50:]}")
        target.parent.mkdir(parents=True, exist_ok=True)
        image.file.rename(target)
        reasons.append({"file": str(target.relative_to(aside)), "reason": image.reason})
    (aside / "reasons.json").write_text(json.dumps(reasons, indent=2) + "\n", encoding="utf-8")
