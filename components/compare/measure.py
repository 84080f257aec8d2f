"""The measures that runs are judged by: what each means, and its unit, so that records of them can be held together."""

from collections.abc import Mapping
from dataclasses import dataclass

# A measure's value in each run of a leg, by the measure's name; None where a run did not measure it.
Values = Mapping[str, tuple[float | None, ...]]

LOSS_UNIT = "mean absolute difference of pictures in [-1, 1]"
FINAL = "of training steps, mean over the last tenth of them, 10 at least"


@dataclass(frozen=True)
class Measure:
    """``definition`` and ``unit`` are compared word for word: values of different ones are not held together."""

    definition: str
    unit: str


LOSSES: dict[str, Measure] = {
    "min_loss": Measure("lowest A_loss of a single training step", LOSS_UNIT),
    "final_A_loss": Measure(f"A_loss {FINAL}", LOSS_UNIT),
    "final_B_loss": Measure(f"B_loss {FINAL}", LOSS_UNIT),
}

ERRORS: dict[str, Measure] = {
    "A2B2A_error": Measure("mean |A2B2A - real_A| over the validation images", LOSS_UNIT),
    "B2A2B_error": Measure("mean |B2A2B - real_B| over the validation images", LOSS_UNIT),
}

SHARPNESS: dict[str, Measure] = {
    f"{kind}_sharpness": Measure(
        f"energy of {kind} above a quarter of a cycle a pixel, over that of {target}", "share of the real pictures'"
    )
    for kind, target in (("A2B", "real_B"), ("B2A", "real_A"))
}

DISTANCES: dict[str, Measure] = {
    f"{kind}_distance": Measure(
        f"sliced Wasserstein distance of {kind} from {target}: 7 x 7 patches, three octaves, 64 directions",
        "pictures in [-1, 1]",
    )
    for kind, target in (("A2B", "real_B"), ("B2A", "real_A"))
}

SPEED: dict[str, Measure] = {
    "sec_per_step": Measure("time of one update of critics and generators, median without the first steps", "s")
}

ALL: dict[str, Measure] = {**LOSSES, **ERRORS, **SHARPNESS, **DISTANCES, **SPEED}


def words(name: str) -> str:
    """``final_A_loss`` as "final A_loss", ``A2B_sharpness`` as "A2B sharpness"."""
    return name.replace("_", " ", 1)
