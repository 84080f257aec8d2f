"""The pictures that a ModelZoo README shows, under its names: gpu_realA.jpg, npu_A2B.jpg, ..."""

from collections.abc import Sequence
from pathlib import Path

from components.common.html import read_picture
from components.compare.leg import LegRun
from dualgan.run_folder import SAMPLE_KINDS

QUALITY = 95


def write_named_images(runs: Sequence[LegRun], names: Sequence[str], folder: Path) -> None:
    """Write each run's pictures of its first validation image into ``folder`` under its leg's name."""
    for run, name in zip(runs, names, strict=True):
        for kind, path in first_pictures(run).items():
            read_picture(path).save(folder / image_name(name, kind), "JPEG", quality=QUALITY)


def image_name(leg: str, kind: str) -> str:
    return f"{leg}_{kind.replace('_', '')}.jpg"


def first_pictures(leg: LegRun) -> dict[str, Path]:
    """By kind, the picture of the first validation image that has this kind."""
    found: dict[str, Path] = {}
    for pictures in leg.samples.values():
        found = {**pictures, **found}
    return {kind: found[kind] for kind in SAMPLE_KINDS if kind in found}
