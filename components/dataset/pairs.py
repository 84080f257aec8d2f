"""Images that hold both domains side by side, A on the left, as pix2pix publishes them."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from pathlib import Path, PurePosixPath

from PIL import Image

from components.dataset.digest import Place, place
from components.dataset.layout import Spot
from components.dataset.progress import Progress
from dualgan.dataset_folder import DOMAINS


def split_pairs(pairs: Mapping[Spot, str], folder: Path) -> tuple[dict[Place, str], dict[Spot, str]]:
    """Write the halves of each image to ``folder``/{split}/{A,B}/{stem}.png: their SHA-256 (hex) by their places, and
    which images are no pairs, with the reason.

    The images must be readable. Where only endings tell two of them apart, the ending stays in the halves' names.
    """
    for part in {spot.split for spot in pairs}:
        for domain in DOMAINS:
            (folder / part / domain).mkdir(parents=True, exist_ok=True)
    stems = Counter((spot.split, PurePosixPath(spot.name).stem) for spot in pairs)
    checksums: dict[Place, str] = {}
    unpaired: dict[Spot, str] = {}

    def split(spot: Spot) -> tuple[Spot, dict[Place, str]]:
        stem = PurePosixPath(spot.name).stem
        name = spot.name if stems[spot.split, stem] > 1 else stem
        return spot, _halves(pairs[spot], spot.split, f"{name}.png", folder)

    with ThreadPoolExecutor(cpu_count() or 1) as pool, Progress("splitting", len(pairs), "images") as progress:
        for spot, halves in pool.map(split, pairs):
            checksums |= halves
            if not halves:
                unpaired[spot] = "not two images side by side: its width must be even and larger than its height"
            progress.advance(1)
    return checksums, unpaired


def _halves(file: str, split: str, name: str, folder: Path) -> dict[Place, str]:
    with Image.open(file, formats=("JPEG", "PNG")) as both:
        width, height = both.size
        if width % 2 or width <= height:
            return {}
        picture = both.convert("RGB")
    checksums = {}
    for domain, left in zip(DOMAINS, (0, width // 2), strict=True):
        half = picture.crop((left, 0, left + width // 2, height))
        # Colour profiles and the like belong to the file that they came in.
        half.info.clear()
        target = place(split, domain, name)
        path = folder / str(target)
        # Stored, not deflated: builds of zlib compress differently, and the digest must not tell them apart.
        half.save(path, format="PNG", compress_level=0)
        with path.open("rb") as written:
            checksums[target] = hashlib.file_digest(written, "sha256").hexdigest()
    return checksums
