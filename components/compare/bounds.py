"""The bounds that a verdict rests on, each with the reason why it is what it is."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from dualgan.errors import BadInput
from dualgan.replay_bounds import FLOAT16_PRODUCTS, FLOAT32

# So many inputs has the pipeline's comparison for the runs of a leg.
MAX_SEEDS = 10


class AxisName(StrEnum):
    FUNCTION = "function"
    ARITHMETIC = "arithmetic"
    TRAINING = "training"
    IMAGES = "images"
    PERFORMANCE = "performance"


FUNCTION, ARITHMETIC, TRAINING, IMAGES, PERFORMANCE = AxisName


def _bound(value: float, reason: str, *axes: AxisName) -> float:
    """Declare a bound: its default, why it is what it is, and the axes that are held against it."""
    return dataclasses.field(default=value, metadata={"reason": reason, "axes": axes})


@dataclass(frozen=True)
class Bounds:
    """Every ratio is candidate / reference; a speed ratio above 1 means that the candidate is faster."""

    max_loss_ratio: float = _bound(
        0.030 / 0.026,
        "min loss 0.030 (NPU) against 0.026 (GPU) was published and accepted for DualGAN in Ascend ModelZoo; "
        "no rule there states a number",
        TRAINING,
    )
    gross_loss_ratio: float = _bound(
        1.5,
        "one run a leg has no spread to judge by: two seeds of one leg were up to 1.21 times apart in min loss (five "
        "seeds, profile local), so only a difference of four standard deviations of that is a failure by itself",
        TRAINING,
        IMAGES,
    )
    significance: float = _bound(
        0.05,
        "the usual level of each of the two one-sided tests; the interval shown is then one of 90%",
        TRAINING,
        IMAGES,
        PERFORMANCE,
    )
    max_reconstruction_ratio: float = _bound(
        0.030 / 0.026,
        "the error of a reconstructed validation image is the same quantity as the reconstruction loss, "
        "so it gets the same room",
        IMAGES,
    )
    min_sharpness_ratio: float = _bound(
        0.25,
        "a Gaussian blur of sigma 1 leaves 2% to 4% of the fine detail, while ten seeds of sound legs were at most "
        "2.7 times apart; four times as much is held to be noise, and fails as well",
        IMAGES,
    )
    max_distance_ratio: float = _bound(
        2.0,
        "the distance from the real pictures was at most 1.5 times as large in one of ten sound runs as in another",
        IMAGES,
    )
    max_input_difference: float = _bound(
        2.0,
        "in levels of 0 to 255, the mean over a picture: decoders differ by a level or two, "
        "swapped colour channels by many more",
        FUNCTION,
        IMAGES,
    )
    max_feed_difference: float = _bound(
        0.1,
        "in levels of 0 to 255: decoders that round differently move a step's signature by 0.02, another image, a "
        "mirrored one or swapped channels by 0.2 to 1",
        FUNCTION,
    )
    max_late_update_ratio: float = _bound(
        1.3,
        "the median size of a network's updates over the last quarter of the steps, over all seeds: equal legs were at "
        "most 1.12 times apart (twenty pairs of three seeds, five datasets); half the learning rate halves it",
        FUNCTION,
    )
    max_late_weight_difference: float = _bound(
        0.1,
        "of a reconstruction loss in its generator's loss, relative, as the last quarter of the steps shows it: equal "
        "legs were at most 0.01 apart",
        FUNCTION,
    )
    max_layer_error: float = _bound(
        FLOAT32.layer,
        "relative (L2), from equal weights: TensorFlow 1.15 and 2.21 on a CPU differ by 2e-5 or less, one layer in "
        "float16 by 3e-4; after the critics' update twenty times as much",
        ARITHMETIC,
    )
    max_gradient_error: float = _bound(
        FLOAT32.gradient,
        "relative (L2), of gradients and of what a step adds to a variable: TensorFlow 1.15 and 2.21 differ by 1e-4 or "
        "less where nothing is next to a rectifier's zero, by up to 4e-2 where rounding turns one over",
        ARITHMETIC,
    )
    max_update_factor: float = _bound(
        FLOAT32.update_size,
        "a network's step from equal weights is as large to 7e-4; another learning rate or decay shows at once",
        ARITHMETIC,
    )
    max_loss_error: float = _bound(
        FLOAT32.term,
        "relative, from equal weights: TensorFlow 1.15 and 2.21 on a CPU differ by 1e-5 or less",
        ARITHMETIC,
    )
    max_layer_error_rounded: float = _bound(
        FLOAT16_PRODUCTS.layer,
        "for a device that rounds factors of products by design and says so (an Ascend 910 in its highest precision, "
        "TensorFloat-32): so emulated on a CPU, layers differ by 6e-3",
        ARITHMETIC,
    )
    max_gradient_error_rounded: float = _bound(
        FLOAT16_PRODUCTS.gradient,
        "as above: gradients of weights differ by up to 0.45, most of them by 0.14 or less",
        ARITHMETIC,
    )
    max_update_factor_rounded: float = _bound(
        FLOAT16_PRODUCTS.update_size, "as above: sizes of updates differ by 1%, a learning rate x1.3 by 30%", ARITHMETIC
    )
    max_loss_error_rounded: float = _bound(FLOAT16_PRODUCTS.term, "as above: losses differ by 8e-3", ARITHMETIC)
    max_replay_loss_error: float = _bound(
        FLOAT32.free_term,
        "relative, reconstruction losses of a dozen steps one after the other: a GAN amplifies rounding, so that equal "
        "legs come to 3e-3",
        ARITHMETIC,
    )
    max_replay_update_factor: float = _bound(
        FLOAT32.free_update,
        "a dozen steps one after the other: equal legs' steps differ by factors up to 6 in size; an update that is "
        "lost, or made where it should not be, by any",
        ARITHMETIC,
    )
    perfect_speed_ratio: float = _bound(
        1.2, "Ascend ModelZoo: PERFECT is at least 1.2 times the GPU's speed", PERFORMANCE
    )
    par_speed_ratio: float = _bound(
        0.9,
        "Ascend ModelZoo calls OK what is about as fast as the GPU, without a number; 10% is our own choice",
        PERFORMANCE,
    )
    min_speed_ratio: float = _bound(
        0.5, "Ascend ModelZoo: POK is at least half the GPU's speed, NOK is below", PERFORMANCE
    )

    def __post_init__(self) -> None:
        values = self.values()
        for name, value in values.items():
            if type(value) not in (int, float) or not 0 < value < math.inf:
                raise BadInput(f"bound {name}: {value!r}: must be a number above zero")
            if "_factor" in name and value <= 1:
                raise BadInput(f"bound {name}: {value}: must be above 1, for 1 means equal")
        for name, holds, rule in (
            ("significance", self.significance < 0.5, "below 0.5, such as 0.05"),
            ("max_loss_ratio", self.max_loss_ratio >= 1, "1 or more, for 1 means equal"),
            ("max_reconstruction_ratio", self.max_reconstruction_ratio >= 1, "1 or more, for 1 means equal"),
            ("max_distance_ratio", self.max_distance_ratio >= 1, "1 or more, for 1 means equal"),
            ("max_late_update_ratio", self.max_late_update_ratio >= 1, "1 or more, for 1 means equal"),
            ("gross_loss_ratio", self.gross_loss_ratio >= self.max_loss_ratio, "no less than max_loss_ratio"),
            ("min_sharpness_ratio", self.min_sharpness_ratio <= 1, "1 or less, for 1 means equal"),
        ):
            if not holds:
                raise BadInput(f"bound {name}: {values[name]}: must be {rule}")

    def values(self) -> dict[str, float]:
        """Return all bounds by name."""
        return dataclasses.asdict(self)

    def of_axis(self, axis: AxisName) -> dict[str, float]:
        """Return the bounds that ``axis`` is held against, by name."""
        own = [field.name for field in dataclasses.fields(self) if axis in field.metadata["axes"]]
        return {name: getattr(self, name) for name in own}


def bounds_from(values: Mapping[str, float]) -> Bounds:
    """Return bounds with ``values`` for defaults. Raises BadInput for an unknown name or a value out of range."""
    known = [field.name for field in dataclasses.fields(Bounds)]
    for name in values:
        if name not in known:
            raise BadInput(f"bound {name!r}: unknown; known are {', '.join(known)}")
    return Bounds(**{name: float(value) if type(value) is int else value for name, value in values.items()})


def reasons(bounds: Bounds) -> dict[str, str]:
    """Say why each bound has its value, by name; of one that is not the default, what that would be."""
    return {
        field.name: field.metadata["reason"]
        if getattr(bounds, field.name) == field.default
        else f"set for this comparison; the default is {field.default:.4g}"
        for field in dataclasses.fields(Bounds)
    }
