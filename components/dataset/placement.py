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

from components.common.console import Progress
from components.dataset.collection import CollectedImage, ImageCollection
from components.dataset.images import open_image
from components.dataset.layout import ALL_ENDINGS, CONVERTED_ENDINGS, PAIRED, Layout, Slot
from dualgan import dataset_folder
from dualgan.dataset_folder import DOMAINS, SPLITS
from dualgan.errors import BadInput

QUARANTINE = "quarantine"
MAX_NAMED = 10
MAX_NAME_BYTES = 255

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
    problems = collection.problems()
    found = [(name, slot, image) for name, slot in layout.slots.items() for image in collection.images.get(name, ())]
    stems = Counter((slot.split, slot.domain, PurePosixPath(slot.name).stem) for _, slot, _ in found)
    good: dict[Slot, tuple[str, CollectedImage]] = {}
    everything: dict[Slot, str] = {}
    bad: list[BadImage] = []
    for name, slot, image in found:
        reason = _bad_name(slot.name)
        if not reason:
            everything.setdefault(slot, image.sha256)
            reason = problems.get(str(image.file), "") or ("there is another image of this name" * (slot in good))
        if reason:
            bad.append(BadImage(name.removeprefix(layout.root), reason, image.file))
        else:
            good[slot] = name, image
    digest_of_all = digest_of({slot: sha256 for slot, sha256 in everything.items() if not _is_rewritten(slot)})
    for split in {slot.split for slot in layout.slots.values()}:
        for domain in DOMAINS:
            (folder / split / domain).mkdir(parents=True, exist_ok=True)
    placed = {slot: image.sha256 for slot, (_, image) in good.items() if not _is_rewritten(slot)}
    for slot in placed:
        good[slot][1].file.rename(folder / str(slot))
    others = {slot: image.file for slot, (_, image) in good.items() if _is_rewritten(slot)}
    for slot, written in _rewrite(others, stems, folder):
        placed |= written
        if not written:
            reason = "not two images side by side: its width must be even and larger than its height"
            bad.append(BadImage(good[slot][0].removeprefix(layout.root), reason, others[slot]))
    if bad:
        _report(bad, len(found), folder, label, quarantine)
    counted = Counter(f"{slot.split}/{slot.domain}" for slot in placed)
    for domain in DOMAINS:
        if not counted[f"train/{domain}"]:
            raise BadInput(f"{label}: no usable image in train/{domain} ({', '.join(ALL_ENDINGS)})")
    aside = f"set {len(bad)} aside in {QUARANTINE}, " if bad else ""
    log.info("took %d images, %sleft out %s", len(found) - len(bad), aside, layout.left_out or "nothing")
    counts = {f"{split}/{domain}": counted[f"{split}/{domain}"] for split in SPLITS for domain in DOMAINS}
    return PlacedImages(counts, digest_of(placed), digest_of_all)


def _is_rewritten(slot: Slot) -> bool:
    return slot.domain == PAIRED or slot.name.lower().endswith(CONVERTED_ENDINGS)


def _rewrite(
    files: Mapping[Slot, Path], stems: Counter[tuple[str, str, str]], folder: Path
) -> Iterator[tuple[Slot, dict[Slot, str]]]:
    """Write images as files that every trainer reads: halves of pairs, conversions; {} for what is no pair."""
    if not files:
        return

    def write(slot: Slot) -> dict[Slot, str]:
        stem = PurePosixPath(slot.name).stem
        is_shared = stems[slot.split, slot.domain, stem] > 1
        return _write_images(files[slot], slot, slot.name if is_shared else stem, folder)

    with (
        ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool,
        Progress("converting", len(files), "images") as progress,
    ):
        for slot, written in zip(files, pool.map(write, files), strict=True):
            progress.advance(1)
            yield slot, written


def _write_images(file: Path, source: Slot, stem: str, folder: Path) -> dict[Slot, str]:
    checksums = {}
    with file.open("rb") as content:
        image = open_image(content, any_format=True)
        assert image is not None
        width, height = image.size
        halves = {"A": (0, 0, width // 2, height), "B": (width // 2, 0, width, height)}
        if source.domain == PAIRED and (width % 2 or width <= height):
            return {}
        picture = image.convert("RGB")
    for domain, box in halves.items() if source.domain == PAIRED else [(source.domain, (0, 0, width, height))]:
        part = picture.crop(box)
        # Colour profiles and the like belong to the file that they came in.
        part.info.clear()
        slot = Slot(source.split, domain, f"{stem}.png")
        # Stored, not deflated: builds of zlib compress differently, and the digest must not tell them apart.
        with (folder / str(slot)).open("xb") as target:
            part.save(target, format="PNG", compress_level=0)
        checksums[slot] = hashlib.sha256((folder / str(slot)).read_bytes()).hexdigest()
    return checksums


def _bad_name(name: str) -> str:
    try:
        return "its name is too long" if len(name.encode()) > MAX_NAME_BYTES else ""
    except UnicodeEncodeError:
        return "its name is not UTF-8"


def listed(images: list[tuple[str, str]]) -> str:
    """Log each of ``images`` by name and reason, and return the first ones in a line."""
    lines = [f"{_printable(name)} ({reason})" for name, reason in images]
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
        target = aside / _printable(image.name)
        if target.exists() or len(target.name.encode()) > MAX_NAME_BYTES:
            target = target.with_name(f"{number}-{target.name[-50:]}")
        target.parent.mkdir(parents=True, exist_ok=True)
        image.file.rename(target)
        reasons.append({"file": str(target.relative_to(aside)), "reason": image.reason})
    (aside / "reasons.json").write_text(json.dumps(reasons, indent=2) + "\n", encoding="utf-8")


def _printable(name: str) -> str:
    """``name`` on one line and in UTF-8, whatever is in it."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in name)
