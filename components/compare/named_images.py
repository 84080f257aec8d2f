"""The pictures that a ModelZoo README shows, under its names: gpu_realA.jpg, npu_A2B.jpg, ..."""

from collections.abc import Sequence
from pathlib import Path

from components.compare.leg import LegRun
from components.look.picture import read_picture
from dualgan.run_folder import SAMPLE_KINDS

QUALITY = 95


def write_named_images(legs: Sequence[LegRun], folder: Path) -> None:
    """Write each leg's pictures of its first validation image into ``folder``, less the kinds it lacks."""
    for leg in legs:
        for kind, path in first_pictures(leg).items():
            read_picture(path).save(folder / image_name(leg.name, kind), "JPEG", quality=QUALITY)


def image_name(leg: str, kind: str) -> str:
    return f"{leg}_{kind.replace('_', '')}.jpg"


def first_pictures(leg: LegRun) -> dict[str, Path]:
    """By kind, the picture of the first validation image that has this kind."""
    found: dict[str, Path] = {}
    for pictures in leg.samples.values():
        found = {**pictures, **found}
    return {kind: found[kind] for kind in SAMPLE_KINDS if kind in found}
