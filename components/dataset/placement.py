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
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from components.common.console import Progress
from components.dataset.collection import ImageCollection
from components.dataset.images import open_image
from components.dataset.layout import ALL_ENDINGS, CONVERTED_ENDINGS, PAIRED, Layout
from dualgan import dataset_folder
from dualgan.dataset_folder import DOMAINS, SPLITS
from dualgan.errors import BadInput

QUARANTINE = "quarantine"
MAX_NAMED = 10
MAX_NAME_BYTES = 255

log = logging.getLogger(__name__)


class ImageKey(NamedTuple):
    """Where an image belongs in a dataset folder: one of SPLITS, one of DOMAINS, a file name in normal form C.

    The domain of an image that holds both side by side is PAIRED.
    """

    split: str
    domain: str
    name: str

    def __str__(self) -> str:
        return "/".join(self)


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


def image_key(split: str, domain: str, name: str) -> ImageKey:
    """Return the key of an image, its name in normal form C."""
    return ImageKey(split, domain, unicodedata.normalize("NFC", name))


def digest_of(checksums: Mapping[ImageKey, str]) -> str:
    """Return the digest (hex) of images with these SHA-256 (hex), without reading them again."""
    ordered = sorted(checksums, key=lambda key: (SPLITS.index(key.split), DOMAINS.index(key.domain), key.name.encode()))
    return dataset_folder.digest_of((str(key), checksums[key]) for key in ordered)


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
    good: dict[ImageKey, tuple[str, Path]] = {}
    checksums: dict[ImageKey, str] = {}
    bad: list[BadImage] = []
    for name, slot, image in found:
        key = image_key(*slot)
        reason = _bad_name(slot.name)
        if not reason:
            checksums.setdefault(key, image.sha256)
            reason = problems.get(str(image.file), "") or ("there is another image of this name" * (key in good))
        if reason:
            bad.append(BadImage(name.removeprefix(layout.root), reason, image.file))
        else:
            good[key] = name, image.file
    digest_of_all = digest_of({key: sha256 for key, sha256 in checksums.items() if not _is_rewritten(key)})
    for split in {slot.split for slot in layout.slots.values()}:
        for domain in DOMAINS:
            (folder / split / domain).mkdir(parents=True, exist_ok=True)
    placed = {key: checksums[key] for key in good if not _is_rewritten(key)}
    for key in placed:
        good[key][1].rename(folder / str(key))
    for key, written in _rewrite({key: file for key, (_, file) in good.items() if key not in placed}, stems, folder):
        placed |= written
        if not written:
            reason = "not two images side by side: its width must be even and larger than its height"
            bad.append(BadImage(good[key][0].removeprefix(layout.root), reason, good[key][1]))
    if bad:
        _report(bad, len(found), folder, label, quarantine)
    counted = Counter(f"{key.split}/{key.domain}" for key in placed)
    for domain in DOMAINS:
        if not counted[f"train/{domain}"]:
            raise BadInput(f"{label}: no usable image in train/{domain} ({', '.join(ALL_ENDINGS)})")
    aside = f"set {len(bad)} aside in {QUARANTINE}, " if bad else ""
    log.info("took %d images, %sleft out %s", len(found) - len(bad), aside, layout.left_out or "nothing")
    counts = {f"{split}/{domain}": counted[f"{split}/{domain}"] for split in SPLITS for domain in DOMAINS}
    return PlacedImages(counts, digest_of(placed), digest_of_all)


def _is_rewritten(key: ImageKey) -> bool:
    return key.domain == PAIRED or key.name.lower().endswith(CONVERTED_ENDINGS)


def _rewrite(
    files: Mapping[ImageKey, Path], stems: Counter[tuple[str, str, str]], folder: Path
) -> Iterator[tuple[ImageKey, dict[ImageKey, str]]]:
    """Write images as files that every trainer reads: halves of pairs, conversions; {} for what is no pair."""
    if not files:
        return

    def write(key: ImageKey) -> dict[ImageKey, str]:
        stem = PurePosixPath(key.name).stem
        is_shared = stems[key.split, key.domain, stem] > 1
        return _write_images(files[key], key, key.name if is_shared else stem, folder)

    with (
        ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool,
        Progress("converting", len(files), "images") as progress,
    ):
        for key, written in zip(files, pool.map(write, files), strict=True):
            progress.advance(1)
            yield key, written


def _write_images(file: Path, source: ImageKey, stem: str, folder: Path) -> dict[ImageKey, str]:
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
        key = image_key(source.split, domain, f"{stem}.png")
        # Stored, not deflated: builds of zlib compress differently, and the digest must not tell them apart.
        part.save(folder / str(key), format="PNG", compress_level=0)
        checksums[key] = hashlib.sha256((folder / str(key)).read_bytes()).hexdigest()
    return checksums


def _bad_name(name: str) -> str:
    try:
        return "its name is too long" if len(unicodedata.normalize("NFC", name).encode()) > MAX_NAME_BYTES else ""
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
