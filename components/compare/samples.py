"""Whether the sample pictures of two legs are all there and were drawn from the same validation images."""

from components.compare.bounds import Bounds
from components.compare.leg import LegRun
from components.compare.pictures import Picture, mean_difference, read_pixels
from dualgan.run_folder import SAMPLE_KINDS

OUTPUTS = {"real_A": ("A2B", "A2B2A"), "real_B": ("B2A", "B2A2B")}


def picture_problem(leg: LegRun) -> str | None:
    """What a leg's samples lack: a kind that no image has, or an output of an image whose input is there."""
    kinds = {kind for pictures in leg.samples.values() for kind in pictures}
    missing = [kind for kind in SAMPLE_KINDS if kind not in kinds]
    for image, pictures in leg.samples.items():
        for source, outputs in OUTPUTS.items():
            if source in pictures:
                missing += [f"{image}-{kind}.png" for kind in outputs if kind in kinds and kind not in pictures]
    if not missing:
        return None
    more = f" and {len(missing) - len(SAMPLE_KINDS)} more" if len(missing) > len(SAMPLE_KINDS) else ""
    return f"{leg.name} has no sample picture {', '.join(missing[: len(SAMPLE_KINDS)])}{more}"


def input_problem(reference: LegRun, candidate: LegRun, bounds: Bounds) -> str | None:
    """Why the two legs' samples do not start from the same validation images, None where they do."""
    for kind in OUTPUTS:
        one, other = _images_with(reference, kind), _images_with(candidate, kind)
        if not one or not other:
            continue
        if one != other:
            image = min(set(one) ^ set(other))
            leg = reference if image in one else candidate
            return f"{image}-{kind}.png is among the samples of {leg.name} alone"
        for image in one:
            problem = _difference(reference, candidate, image, kind, bounds)
            if problem:
                return problem
    return None


def _difference(reference: LegRun, candidate: LegRun, image: str, kind: str, bounds: Bounds) -> str | None:
    pixels, others = (read_pixels(leg.samples[image][kind]) for leg in (reference, candidate))
    if pixels.shape != others.shape:
        sizes = f"{_size(pixels)} pixels in {reference.name}, {_size(others)} in {candidate.name}"
        return f"{image}-{kind}.png has {sizes}"
    difference = mean_difference(pixels, others)
    if difference <= bounds.max_input_difference:
        return None
    return (
        f"{image}-{kind}.png, an input, is not the same picture in {reference.name} and {candidate.name} "
        f"({difference:.1f} levels of 255 apart on average)"
    )


def _images_with(leg: LegRun, kind: str) -> list[str]:
    return [image for image, pictures in leg.samples.items() if kind in pictures]


def _size(picture: Picture) -> str:
    return f"{picture.shape[1]} x {picture.shape[0]}"
