"""Images, checked with the decoder that training has, and brought to their places in a dataset folder.

They are opened in processes of their own: anybody may have made them.
"""

import hashlib
import json
import logging
import multiprocessing
import os
import signal
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from components.common.console import Progress, print_status
from components.common.processes import die_with_parent
from components.dataset.checksums import check
from components.dataset.collection import Collected, Manifest
from components.dataset.layout import PAIRED, Slot
from components.dataset.options import FetchOptions
from dualgan.dataset_folder import (
    DOMAINS,
    IMAGE_ENDINGS,
    MAX_EXAMPLES,
    QUARANTINE,
    SPLITS,
    Description,
    digest_of,
    image_counts,
    list_images,
    picture_names,
)
from dualgan.errors import BadInput, DualGANError, printable
from dualgan.names import MAX_FILE_NAME_BYTES, shortened
from dualgan.pictures import BadPicture, check_picture, open_picture

# So few images are checked sooner than a process starts; so many are sent to one at a time.
BATCH = 64
MAX_PROCESSES = 8
MAX_NAMED = 10

log = logging.getLogger(__name__)


class Checked(NamedTuple):
    """Why a file cannot be used, "" if it can, and how many bits a value of the image has."""

    problem: str
    bits: int = 8


class _BadImage(NamedTuple):
    """An image that cannot be used: its name as the source has it, and why."""

    name: str
    reason: str
    file: Path


def verify(folder: Path, options: FetchOptions) -> Description:
    """``check``, and open every image; those that cannot be used are logged, each by name with the reason.

    Raises BadInput if it is no dataset folder, DualGANError if its images are not those described or cannot be used.
    """
    images = [str(image) for split in SPLITS for domain in DOMAINS for image in list_images(folder, split, domain)]
    log.info("checking %d images", len(images))
    bad = [(image, checked.problem) for image, checked in check_images(images, options).items() if checked.problem]
    named = log_bad_images([(str(Path(image).relative_to(folder)), reason) for image, reason in bad])
    description = check(folder)
    if bad:
        raise DualGANError(f"{folder}: {len(bad)} of {len(images)} images cannot be used: {named}")
    return description


def log_bad_images(images: Sequence[tuple[str, str]]) -> str:
    """Log each of ``images`` by name and reason, and return the first ones in a line."""
    lines = [f"{on_one_line(name)} ({reason})" for name, reason in images]
    for line in lines:
        log.info("bad image: %s", line)
    more = f" and {len(lines) - MAX_NAMED} more" if len(lines) > MAX_NAMED else ""
    return ", ".join(lines[:MAX_NAMED]) + more


def on_one_line(name: str) -> str:
    return printable(name).replace("\n", "\\n")


def check_images(paths: Sequence[str], options: FetchOptions) -> dict[str, Checked]:
    """Check image files, and return what is known of each by its path.

    Raises DualGANError if the fault is this machine's: a Pillow without a format, no memory.
    """
    found = {}
    with Progress("checking", len(paths), "images") as progress:
        for path, checked in _check_all(paths, options) if len(paths) <= BATCH else _in_processes(paths, options):
            found[path] = checked
            progress.advance(1)
    return found


def _check_all(paths: Sequence[str], options: FetchOptions) -> list[tuple[str, Checked]]:
    # What Pillow only warns of is no reason to refuse a file.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [(path, _check(path, options)) for path in paths]


def _check(path: str, options: FetchOptions) -> Checked:
    try:
        width, height, bits = check_picture(path, options.max_pixels)
    except BadPicture as error:
        return Checked(error.reason)
    if min(width, height) < options.min_side:
        return Checked(f"{width}x{height} pixels, too small: less than {options.min_side} a side")
    return Checked("", bits)


def _in_processes(paths: Sequence[str], options: FetchOptions) -> Iterator[tuple[str, Checked]]:
    batches = [paths[start : start + BATCH] for start in range(0, len(paths), BATCH)]
    pool = _pool(min(len(os.sched_getaffinity(0)), MAX_PROCESSES))
    try:
        answers = [pool.submit(_check_all, batch, options) for batch in batches]
        for batch, answer in zip(batches, answers, strict=True):
            try:
                yield from answer.result()
            except BrokenProcessPool:
                # A decoder has crashed, perhaps on another batch: of this one each file is tried alone.
                yield from _one_by_one(batch, options)
        pool.shutdown()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.kill()
        raise


def _one_by_one(paths: Sequence[str], options: FetchOptions) -> Iterator[tuple[str, Checked]]:
    pool = _pool(1)
    for path in paths:
        try:
            yield path, pool.submit(_check, path, options).result()
        except BrokenProcessPool:
            yield path, Checked("decoding it ended the decoder")
            pool = _pool(1)
    pool.shutdown()


def _pool(processes: int) -> ProcessPoolExecutor:
    # Not forked: the process that fetches may have threads.
    return ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _begin)


def _begin() -> None:
    """Make a process of the pool quiet, and let it end with the one that fetches: else it would wait forever."""
    die_with_parent()
    parent = multiprocessing.parent_process()
    if parent is None or os.getppid() != parent.pid:
        os._exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def place_images(collected: Collected, folder: Path, label: str, options: FetchOptions) -> None:
    """Check images and move those that can be used to their places in ``folder``; pairs are cut into PNG files.

    Those that cannot be used are logged, each by name with the reason; then BadInput is raised, or they are moved to
    ``folder``/quarantine, with the reasons in reasons.json. BadInput also if the images are not those of the source's
    own dataset.json. ``label`` is how messages name the source.
    """
    images, (root, slots, ignored) = collected.images, collected.layout[:3]
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
    if collected.manifest and (options.quarantine or not bad):
        _require_described(collected.manifest, every, label)
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


def _require_described(manifest: Manifest, images: Mapping[Slot, Path], label: str) -> None:
    unpaired = sorted(slot for slot in images if slot.domain != PAIRED)
    digest = digest_of((str(slot), hashlib.sha256(images[slot].read_bytes()).hexdigest()) for slot in unpaired)
    if manifest.digest != digest:
        raise BadInput(
            f"{label}: its images are not those that its dataset.json was written for (digest {digest}, it says "
            f"{manifest.digest}); repair it, or remove its dataset.json"
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

    pool, progress = ThreadPoolExecutor(MAX_PROCESSES), Progress("cutting pairs", len(pairs), "images")
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
