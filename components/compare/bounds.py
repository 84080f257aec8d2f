"""The bounds that a verdict rests on, each with the reason why it is what it is."""

import dataclasses
from dataclasses import dataclass


def _bound(value: float, reason: str) -> float:
    return dataclasses.field(default=value, metadata={"reason": reason})


@dataclass(frozen=True)
class Bounds:
    """Every ratio is candidate / reference; a speed ratio above 1 means that the candidate is faster."""

    max_loss_ratio: float = _bound(
        0.030 / 0.026,
        "min loss 0.030 (NPU) against 0.026 (GPU) was published and accepted for DualGAN in Ascend ModelZoo; "
        "no rule there states a number",
    )
    max_reconstruction_ratio: float = _bound(
        0.030 / 0.026,
        "the error of a reconstructed validation image is the same quantity as the reconstruction loss, "
        "so it gets the same room",
    )
    min_sharpness_ratio: float = _bound(
        0.7,
        "blurred pictures can have an equal loss; a limit of 30% less gradient energy is our choice",
    )
    max_input_difference: float = _bound(
        2.0,
        "in levels of 0 to 255, the mean over a picture: decoders differ by a level or two, "
        "swapped colour channels by many more",
    )
    perfect_speed_ratio: float = _bound(1.2, "Ascend ModelZoo: PERFECT is at least 1.2 times the GPU's speed")
    par_speed_ratio: float = _bound(
        0.9,
        "Ascend ModelZoo calls OK what is about as fast as the GPU, without a number; 10% is our own choice",
    )
    min_speed_ratio: float = _bound(0.5, "Ascend ModelZoo: POK is at least half the GPU's speed, NOK is below")

    def values(self, *names: str) -> dict[str, float]:
        """The bounds called ``names``, all of them where no name is given."""
        every = dataclasses.asdict(self)
        return {name: every[name] for name in names or every}


def reasons(bounds: Bounds) -> dict[str, str]:
    """Why each bound has its value, by name; of one that is not the default, what that would be."""
    return {
        field.name: field.metadata["reason"]
        if getattr(bounds, field.name) == field.default
        else f"set for this comparison; the default is {field.default:.4g}"
        for field in dataclasses.fields(Bounds)
    }
