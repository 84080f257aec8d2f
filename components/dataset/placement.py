"""From collected images to a dataset folder: only those that can be used, each in its place.

The digest is ``dualgan.dataset_folder.content_digest``: SHA-256 over one line an image, its place
``{split}/{domain}/{name}`` (the name in Unicode's normal form C), a NUL and the SHA-256 of its bytes, splits and
domains in the order of SPLITS and DOMAINS, names by their UTF-8 bytes. So it covers content and names, but neither
source, archive form, order, times, permissions, machine nor anything else that lies in the folder. What is made of the
bytes (orientation, transparency, colour profile, depth) is ``dualgan.pictures.DECODER``'s to say; halves of pairs are
written as it shows them, so another decoder gives them another digest.
"""

import hashlib
import json
import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from components.common.console import Progress, print_status
from components.dataset.collection import Collected, CollectedImage
from components.dataset.images import check_images
from components.dataset.layout import PAIRED, Slot
from components.dataset.options import FetchOptions, Limits
from dualgan import dataset_folder
from dualgan.dataset_folder import DOMAINS, IMAGE_ENDINGS, MAX_EXAMPLES, QUARANTINE, SPLITS, picture_names
from dualgan.errors import BadInput, printable
from dualgan.names import MAX_FILE_NAME_BYTES, shortened
from dualgan.pictures import BadPicture, open_picture

MAX_NAMED = 10
SAME_NAME = "there is another image of this name"

log = logging.getLogger(__name__)


class BadImage(NamedTuple):
    """A file that cannot be used: its name as the source has it, and why."""

    name: str
    reason: str
    file: Path


class PlacedImages(NamedTuple):
    """``counts`` and ``digest`` are of the images in the folder, ``digest_of_all`` is of those of the source.

    The two digests differ if some images are set aside.
    """

    counts: dict[str, int]
    digest: str
    digest_of_all: str


def digest_of(checksums: Mapping[Slot, str]) -> str:
    """Return the digest (hex) of images with these SHA-256 (hex), without reading them again."""

    def order(slot: Slot) -> tuple[int, int, bytes]:
        return SPLITS.index(slot.split), DOMAINS.index(slot.domain), slot.name.encode()

    ordered = sorted(checksums, key=order)
    return dataset_folder.digest_of((str(slot), checksums[slot]) for slot in ordered)


class _Sorted(NamedTuple):
    """The images of a source: those that can be used by their slots, and those that cannot.

    ``digest`` is that of all whose names are names, ``deep`` are those whose values have more than 8 bits.
    """

    good: dict[Slot, CollectedImage]
    bad: list[BadImage]
    digest: str
    deep: list[str]


def place_images(collected: Collected, folder: Path, label: str, options: FetchOptions) -> PlacedImages:
    """Check images and move them to their places in ``folder``; paired images are cut into PNG files.

    Images that cannot be used are logged, each by name with the reason; then BadInput is raised, or they are moved to
    ``folder``/quarantine, with the reasons in reasons.json, if that is an option. ``label`` is how messages name the
    source.
    """
    layout = collected.layout
    good, bad, digest_of_all, deep = _sorted_out(collected, options.limits)
    total = len(good) + len(bad)
    for split in {slot.split for slot in layout.slots.values()}:
        for domain in DOMAINS:
            (folder / split / domain).mkdir(parents=True, exist_ok=True)
    placed = {slot: image.sha256 for slot, image in good.items() if slot.domain != PAIRED}
    for slot in placed:
        good[slot].file.rename(folder / str(slot))
    pairs = {slot: image.file for slot, image in good.items() if slot.domain == PAIRED}
    for slot, halves in _cut_all(pairs, folder, options.limits.pixels):
        if isinstance(halves, str):
            bad.append(BadImage(f"{slot.split}/{slot.name}", halves, pairs[slot]))
        else:
            placed |= halves
    if bad:
        _report(bad, total, folder, label, options.quarantine)
    counted = Counter(f"{slot.split}/{slot.domain}" for slot in placed)
    for domain in DOMAINS:
        if not counted[f"train/{domain}"]:
            raise BadInput(f"{label}: no usable image in train/{domain} ({', '.join(IMAGE_ENDINGS)})")
    if deep:
        print_status(f"more than 8 bits a value, scaled to 8 by the format's range: {_examples(deep)}")
    reasons = "; ".join(f"{count} {reason}" for reason, count in Counter(image.reason for image in bad).most_common())
    aside = f"{len(bad)} in {QUARANTINE} ({reasons})" if bad else "none"
    print_status(f"taken: {total - len(bad)} images; set aside: {aside}; ignored: {layout.ignored or 'none'}")
    counts = {f"{split}/{domain}": counted[f"{split}/{domain}"] for split in SPLITS for domain in DOMAINS}
    return PlacedImages(counts, digest_of(placed), digest_of_all)


def _sorted_out(collected: Collected, limits: Limits) -> _Sorted:
    root, slots, _ = collected.layout
    files = [str(image.file) for name in slots for image in collected.images.get(name, ())]
    checked = check_images(files, limits)
    good: dict[Slot, CollectedImage] = {}
    everything: dict[Slot, str] = {}
    bad, deep = [], []
    for name, slot in slots.items():
        shown, reason = name.removeprefix(root), _bad_name(slot.name)
        for image in collected.images.get(name, ()):
            verdict = checked[str(image.file)]
            if not reason and slot.domain != PAIRED:
                everything.setdefault(slot, image.sha256)
            if problem := reason or verdict.problem or (SAME_NAME if slot in good else ""):
                bad.append(BadImage(shown, problem, image.file))
                continue
            good[slot] = image
            if verdict.bits > 8:
                deep.append(shown)
    return _Sorted(good, bad, digest_of(everything), deep)


def _examples(names: list[str]) -> str:
    more = ", ..." if len(names) > MAX_EXAMPLES else ""
    return f"{len(names)} images ({', '.join(map(_on_one_line, names[:MAX_EXAMPLES]))}{more})"


def _cut_all(pairs: Mapping[Slot, Path], folder: Path, max_pixels: int) -> Iterator[tuple[Slot, dict[Slot, str] | str]]:
    """Cut pairs in two; yields for each the SHA-256 (hex) of its halves, or why it is no pair."""
    if not pairs:
        return
    names: dict[Slot, str] = {}
    for split in SPLITS:
        slots = sorted(slot for slot in pairs if slot.split == split)
        names.update(zip(slots, picture_names([Path(slot.name) for slot in slots]), strict=True))

    def cut(slot: Slot) -> dict[Slot, str] | str:
        try:
            pixels = np.asarray(open_picture(pairs[slot], max_pixels))
        except BadPicture as error:
            return error.reason
        height, width, _ = pixels.shape
        if width % 2 or width <= height:
            return "not two images side by side: its width must be even and larger than its height"
        checksums = {}
        for domain, half in {"A": pixels[:, : width // 2], "B": pixels[:, width // 2 :]}.items():
            place = Slot(slot.split, domain, f"{names[slot]}.png")
            target = folder / str(place)
            # Stored, not deflated: builds of zlib compress differently, and the digest must not tell them apart.
            Image.fromarray(half).save(target, format="PNG", compress_level=0)
            checksums[place] = hashlib.sha256(target.read_bytes()).hexdigest()
        return checksums

    with (
        ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool,
        Progress("cutting pairs", len(pairs), "images") as progress,
    ):
        for slot, halves in zip(pairs, pool.map(cut, pairs), strict=True):
            progress.advance(1)
            yield slot, halves


def _bad_name(name: str) -> str:
    try:
        return "its name is too long" if len(name.encode()) > MAX_FILE_NAME_BYTES else ""
    except UnicodeEncodeError:
        return "its name is not UTF-8"


def listed(images: list[tuple[str, str]]) -> str:
    """Log each of ``images`` by name and reason, and return the first ones in a line."""
    lines = [f"{_on_one_line(name)} ({reason})" for name, reason in images]
    for line in lines:
        log.info("bad image: %s", line)
    more = f" and {len(lines) - MAX_NAMED} more" if len(lines) > MAX_NAMED else ""
    return ", ".join(lines[:MAX_NAMED]) + more


def _report(bad: list[BadImage], total: int, folder: Path, label: str, quarantine: bool) -> None:
    bad.sort()
    named = listed([(image.name, image.reason) for image in bad])
    if not quarantine:
        raise BadInput(
            f"{label}: {len(bad)} of {total} images cannot be used: {named}; "
            "repair or remove them, or set them aside with --quarantine"
        )
    aside = folder / QUARANTINE
    reasons = []
    for number, image in enumerate(bad):
        parts = [shortened(part, MAX_FILE_NAME_BYTES) for part in _on_one_line(image.name).split("/")]
        target = aside.joinpath(*parts)
        if target.exists():
            target = target.with_name(f"{number}-{target.name[-50:]}")
        target.parent.mkdir(parents=True, exist_ok=True)
        image.file.rename(target)
        reasons.append({"file": str(target.relative_to(aside)), "reason": image.reason})
    (aside / "reasons.json").write_text(json.dumps(reasons, indent=2) + "\n", encoding="utf-8")


def _on_one_line(name: str) -> str:
    return printable(name).replace("\n", "\\n")
