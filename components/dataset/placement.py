"""From collected images to a dataset folder: only those that can be used, each in its place.

The digest is ``dualgan.dataset_folder.content_digest``: SHA-256 over one line an image, its place
``{split}/{domain}/{name}`` (the name in Unicode's normal form C), a NUL and the SHA-256 of its bytes, splits and
domains in the order of SPLITS and DOMAINS, names by their UTF-8 bytes. So it covers content and names, but neither
source, archive form, order, times, permissions, machine nor anything else that lies in the folder.
"""

import hashlib
import json
import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from components.common.console import Progress
from components.dataset.collection import CollectedImage, ImageCollection
from components.dataset.layout import ALL_ENDINGS, CONVERTED_ENDINGS, MAX_EXAMPLES, PAIRED, Layout, Slot
from dualgan import dataset_folder
from dualgan.dataset_folder import DOMAINS, SPLITS
from dualgan.errors import BadInput, printable
from dualgan.names import MAX_FILE_NAME_BYTES, shortened
from dualgan.pictures import BadPicture, open_picture

QUARANTINE = "quarantine"
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


def place_images(
    collection: ImageCollection, layout: Layout, folder: Path, label: str, quarantine: bool
) -> PlacedImages:
    """Move the images of ``layout`` to their places in ``folder``.

    Paired images are cut into PNG files, and what no trainer reads becomes one. Images that cannot be used are logged,
    each by name with the reason; then BadInput is raised, or, with ``quarantine``, they are moved to
    ``folder``/quarantine, with the reasons in reasons.json. ``label`` is how messages name the source.
    """
    checked = collection.checks.results()
    found = [(name, slot, image) for name, slot in layout.slots.items() for image in collection.images.get(name, ())]
    stems = Counter((slot.split, slot.domain, PurePosixPath(slot.name).stem) for _, slot, _ in found)
    good: dict[Slot, tuple[str, CollectedImage]] = {}
    everything: dict[Slot, str] = {}
    bad: list[BadImage] = []
    deep: list[str] = []
    for name, slot, image in found:
        shown, reason = name.removeprefix(layout.root), _bad_name(slot.name)
        if not reason:
            everything.setdefault(slot, image.sha256)
            reason = checked[str(image.file)].problem or (SAME_NAME if slot in good else "")
        if reason:
            bad.append(BadImage(shown, reason, image.file))
            continue
        good[slot] = shown, image
        if checked[str(image.file)].bits > 8:
            deep.append(shown)
    digest_of_all = digest_of({slot: sha256 for slot, sha256 in everything.items() if not _is_rewritten(slot)})
    for split in {slot.split for slot in layout.slots.values()}:
        for domain in DOMAINS:
            (folder / split / domain).mkdir(parents=True, exist_ok=True)
    placed = {slot: image.sha256 for slot, (_, image) in good.items() if not _is_rewritten(slot)}
    for slot in placed:
        good[slot][1].file.rename(folder / str(slot))
    others = {slot: image.file for slot, (_, image) in good.items() if _is_rewritten(slot)}
    for slot, written in _rewrite(others, stems, folder, collection.checks.limits.pixels):
        if isinstance(written, str):
            bad.append(BadImage(good[slot][0], written, others[slot]))
        else:
            placed |= written
    if bad:
        _report(bad, len(found), folder, label, quarantine)
    counted = Counter(f"{slot.split}/{slot.domain}" for slot in placed)
    for domain in DOMAINS:
        if not counted[f"train/{domain}"]:
            raise BadInput(f"{label}: no usable image in train/{domain} ({', '.join(ALL_ENDINGS)})")
    if deep:
        log.info("more than 8 bits a value, scaled to 8 by the format's range: %d images (%s)", *_examples(deep))
    reasons = "; ".join(f"{count} {reason}" for reason, count in Counter(image.reason for image in bad).most_common())
    aside = f"{len(bad)} in {QUARANTINE} ({reasons})" if bad else "none"
    log.info("taken: %d images; set aside: %s; ignored: %s", len(found) - len(bad), aside, layout.ignored or "none")
    counts = {f"{split}/{domain}": counted[f"{split}/{domain}"] for split in SPLITS for domain in DOMAINS}
    return PlacedImages(counts, digest_of(placed), digest_of_all)


def _is_rewritten(slot: Slot) -> bool:
    return slot.domain == PAIRED or slot.name.lower().endswith(CONVERTED_ENDINGS)


def _examples(names: list[str]) -> tuple[int, str]:
    more = ", ..." if len(names) > MAX_EXAMPLES else ""
    return len(names), ", ".join(map(_on_one_line, names[:MAX_EXAMPLES])) + more


def _rewrite(
    files: Mapping[Slot, Path], stems: Counter[tuple[str, str, str]], folder: Path, max_pixels: int
) -> Iterator[tuple[Slot, dict[Slot, str] | str]]:
    """Write images as files that every trainer reads, halves of pairs and conversions; why not, of what is none."""
    if not files:
        return

    def write(slot: Slot) -> dict[Slot, str] | str:
        stem = PurePosixPath(slot.name).stem
        is_shared = stems[slot.split, slot.domain, stem] > 1
        name = shortened(slot.name if is_shared else stem, MAX_FILE_NAME_BYTES, ".png")
        try:
            pixels = np.asarray(open_picture(files[slot], max_pixels))
        except BadPicture as error:
            return error.reason
        if slot.domain != PAIRED:
            return _write_images({slot.domain: pixels}, slot.split, name, folder)
        height, width, _ = pixels.shape
        if width % 2 or width <= height:
            return "not two images side by side: its width must be even and larger than its height"
        halves = {"A": pixels[:, : width // 2], "B": pixels[:, width // 2 :]}
        return _write_images(halves, slot.split, name, folder)

    with (
        ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool,
        Progress("converting", len(files), "images") as progress,
    ):
        for slot, written in zip(files, pool.map(write, files), strict=True):
            progress.advance(1)
            yield slot, written


def _write_images(images: Mapping[str, NDArray[np.uint8]], split: str, name: str, folder: Path) -> dict[Slot, str] | str:
    checksums = {}
    for domain, pixels in images.items():
        slot = Slot(split, domain, name)
        try:
            with (folder / str(slot)).open("xb") as target:
                # Stored, not deflated: builds of zlib compress differently, and the digest must not tell them apart.
                Image.fromarray(pixels).save(target, format="PNG", compress_level=0)
        except FileExistsError:
            for other in checksums:
                (folder / str(other)).unlink()
            return SAME_NAME
        checksums[slot] = hashlib.sha256((folder / str(slot)).read_bytes()).hexdigest()
    return checksums


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
