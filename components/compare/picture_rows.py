"""The legs' pictures side by side, with what differs between them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from components.common.html import picture_tag, read_picture
from components.compare.leg import LegRun, LegRuns

MAX_IMAGES = 8
GAIN = 4


@dataclass(frozen=True)
class Section:
    """One kind of output, beside the input that it was drawn from."""

    title: str
    source: str
    kind: str


SECTIONS = (
    Section("A drawn as B", "real_A", "A2B"),
    Section("and back to A", "real_A", "A2B2A"),
    Section("B drawn as A", "real_B", "B2A"),
    Section("and back to B", "real_B", "B2A2B"),
)


def shown_images(legs: Sequence[LegRuns]) -> list[str]:
    """The validation images that the report shows: the first MAX_IMAGES of any leg."""
    return sorted({image for leg in legs for image in leg.first.samples})[:MAX_IMAGES]


def picture_rows(
    section: Section, legs: Sequence[LegRuns], with_differences: bool
) -> list[tuple[str, list[str | None]]]:
    """(image, tags): the input, each leg's output, each candidate minus the reference; None where missing.

    Pictures are of each leg's first run. ``with_differences``: the first leg is the reference.
    """
    rows = []
    for image in shown_images(legs):
        outputs = [_read(leg.first, image, section.kind) for leg in legs]
        source = next(filter(None, (_read(leg.first, image, section.source) for leg in legs)), None)
        tags = [picture_tag(source, f"{image}: {section.source}") if source else None]
        for leg, output in zip(legs, outputs, strict=True):
            tags.append(picture_tag(output, f"{image}: {section.kind} of {leg.name}") if output else None)
        for leg, output in zip(legs[1:], outputs[1:], strict=True) if with_differences else ():
            tags.append(
                _difference_tag(outputs[0], output, f"{image}: {section.kind} of {leg.name} minus {legs[0].name}")
            )
        if any(tags):
            rows.append((image, tags))
    return rows


def difference(reference: Image.Image, candidate: Image.Image) -> Image.Image:
    """Candidate minus reference, GAIN times enlarged; the middle grey of 128 is no difference."""
    signed = np.asarray(candidate, dtype=np.float64) - np.asarray(reference, dtype=np.float64)
    return Image.fromarray(np.clip(128 + GAIN * signed, 0, 255).round().astype(np.uint8))


def _difference_tag(reference: Image.Image | None, candidate: Image.Image | None, description: str) -> str | None:
    if reference is None or candidate is None or reference.size != candidate.size:
        return None
    return picture_tag(difference(reference, candidate), description)


def _read(leg: LegRun, image: str, kind: str) -> Image.Image | None:
    path = leg.picture(image, kind)
    return read_picture(path) if path else None
