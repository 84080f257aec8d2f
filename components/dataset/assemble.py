"""From collected images to a dataset folder: only those that can be used, each in its place."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from components.dataset.collection import Collected, Collection
from components.dataset.digest import Place, digest_of, place
from components.dataset.layout import PAIRED, Layout, Spot
from dualgan.dataset_folder import DOMAINS, IMAGE_ENDINGS
from dualgan.errors import BadInput

QUARANTINE = "quarantine"
NAMED_AT_MOST = 10

log = logging.getLogger(__name__)


class BadImage(NamedTuple):
    """A file that cannot be used: its name as the source has it, why, and the path of the file."""

    name: str
    reason: str
    file: str


class Assembled(NamedTuple):
    """``checksums`` and ``digest`` are of the images in the folder, ``digest_of_all`` is of those of the source: other
    than ``digest`` where some are set aside.
    """

    checksums: dict[Place, str]
    digest: str
    digest_of_all: str


def assemble(collection: Collection, layout: Layout, folder: Path, shown: str, quarantine: bool) -> Assembled:
    """Move the images of ``layout`` to their places in ``folder``, halves of paired images as PNG files.

    Images that cannot be used are logged, each by name with the reason; then BadInput is raised, or, with
    ``quarantine``, they are moved to ``folder``/quarantine, with the reasons in reasons.json. ``shown`` is how
    messages name the source.
    """
    problems = collection.problems()
    good: dict[Place, Collected] = {}
    pairs: dict[Spot, Collected] = {}
    everything: dict[Place, str] = {}
    bad = []
    for name, spot, image in _images_of(layout, collection):
        wanted = place(spot.split, spot.domain, spot.name)
        reason = _bad_name(spot.name) or problems.get(image.file, "")
        if not reason and wanted in everything:
            reason = "there is another image of this name"
        if not _bad_name(spot.name):
            everything.setdefault(wanted, image.sha256)
        if reason:
            bad.append(BadImage(name.removeprefix(layout.root), reason, image.file))
        elif spot.domain == PAIRED:
            pairs[Spot(*wanted)] = image
        else:
            good[wanted] = image
    halves: dict[Place, str] = {}
    if pairs:
        # Only pairs are decoded here, by a library that takes a while to import.
        from components.dataset.pairs import split_pairs

        halves, unpaired = split_pairs({spot: image.file for spot, image in pairs.items()}, folder)
        bad += [BadImage(f"{spot.split}/{spot.name}", reason, pairs[spot].file) for spot, reason in unpaired.items()]
    if bad:
        _deal_with(bad, len(everything), folder, shown, quarantine)
    _move(good, collection, folder)
    checksums = halves | {wanted: image.sha256 for wanted, image in good.items()}
    for domain in DOMAINS:
        if not any(image.split == "train" and image.domain == domain for image in checksums):
            raise BadInput(f"{shown}: no usable image in train/{domain} ({', '.join(IMAGE_ENDINGS)})")
    digest = digest_of(checksums)
    return Assembled(checksums, digest, digest_of(everything) if len(everything) > len(checksums) else digest)


def _move(good: dict[Place, Collected], collection: Collection, folder: Path) -> None:
    """Bring ``good`` images to their places, all of a folder at once where that is possible."""
    of_folder: dict[tuple[str, str, str], list[tuple[Place, Collected]]] = {}
    for wanted, image in good.items():
        parent = image.file.rpartition("/")[0]
        of_folder.setdefault((parent, wanted.split, wanted.domain), []).append((wanted, image))
    for (parent, split, domain), images in of_folder.items():
        target = folder / split / domain
        target.parent.mkdir(exist_ok=True)
        named = all(image.file.rpartition("/")[2] == wanted.name for wanted, image in images)
        if named and len(images) == collection.sizes[parent] and not target.exists():
            Path(parent).rename(target)
            continue
        target.mkdir(exist_ok=True)
        for wanted, image in images:
            Path(image.file).rename(folder / str(wanted))


def _images_of(layout: Layout, collection: Collection) -> Iterator[tuple[str, Spot, Collected]]:
    for name, spot in layout.spots.items():
        for image in collection.images.get(name, ()):
            yield name, spot, image


def _bad_name(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    return ""


def _deal_with(bad: list[BadImage], total: int, folder: Path, shown: str, quarantine: bool) -> None:
    bad.sort(key=lambda image: image.name)
    listed = [f"{_printable(image.name)} ({image.reason})" for image in bad]
    for line in listed:
        log.info("bad image: %s", line)
    if not quarantine:
        more = f" and {len(bad) - NAMED_AT_MOST} more" if len(bad) > NAMED_AT_MOST else ""
        raise BadInput(
            f"{shown}: {len(bad)} of {total} images cannot be used: {', '.join(listed[:NAMED_AT_MOST])}{more}; "
            "repair or remove them, or set them aside with --quarantine"
        )
    aside = folder / QUARANTINE
    reasons = []
    for number, image in enumerate(bad):
        target = aside / _printable(image.name)
        if target.exists():
            target = target.with_name(f"{number}-{target.name}")
        target.parent.mkdir(parents=True, exist_ok=True)
        Path(image.file).rename(target)
        reasons.append({"file": str(target.relative_to(aside)), "reason": image.reason})
    (aside / "reasons.json").write_text(json.dumps(reasons, indent=2) + "\n", encoding="utf-8")
    log.info("%d of %d images are set aside in %s", len(bad), total, QUARANTINE)


def _printable(name: str) -> str:
    """``name`` on one line and in UTF-8, whatever is in it."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in name)
