"""Golden files: what single steps of the original implementation came to, each from a state that integers define.

A file has three cases: the initial state, and two that are drawn (dualgan.drawn) with the case seed 1000 * seed + case.
As it says what each case starts from, it holds results only (dualgan.array_file, schema version 2):

    meta                       JSON: the options and the seed
    output/{A2B,...}           [cases, batch, 8, 8, 3] before the step, every 32nd pixel
    loss/{Ad_fake,...}         [cases]: the critics' before their update, the generators' before their last one
    gradient/{variable}        [cases, n]: of d_loss, and of g_loss with the updated critics (dualgan.subsample)
    update/{variable}          [cases, n]: what the whole step added
    gradient_norm/{variable}, update_norm/{variable}     [cases]: of all elements
"""

from pathlib import Path
from typing import Any, Dict, NamedTuple

import numpy as np

from dualgan import array_file
from dualgan.drawn import CHANNELS, SIDE, drawn_averages, drawn_epsilon, drawn_images, drawn_weights
from dualgan.errors import BadInput
from dualgan.feed import Batch
from dualgan.graph import RMSPROP_EPSILON
from dualgan.inference import TRANSLATED
from dualgan.networks import all_variables
from dualgan.options import TrainOptions, validated
from dualgan.probing import Probe, State
from dualgan.subsample import Subsample, subsample
from dualgan.training import network_shape

SCHEMA_VERSION = 2
CASES = 3
ELEMENTS = 16
PIXEL_STRIDE = 32
FILTERS = 2
MAX_BYTES = 32 << 20

# The run folder's names of the losses that a file calls otherwise.
TERMS = {"Ad": "Ad_loss", "Bd": "Bd_loss", "Ag": "Ag_loss", "Bg": "Bg_loss"}
TERMS.update({name: name for name in ("Ad_fake", "Ad_real", "Bd_fake", "Bd_real", "d_loss")})
TERMS.update({name: name for name in ("A_loss", "B_loss", "g_loss")})

_OPTIONS = (
    *("GAN_type", "disc_type", "loss_metric", "batch_size", "n_critic", "lambda_A", "lambda_B", "clip_value"),
    *("lr", "image_size", "gcn", "dcn", "rmsprop_decay"),
)
_FIXED = {"image_size": SIDE, "gcn": FILTERS, "dcn": FILTERS, "rmsprop_epsilon": RMSPROP_EPSILON, "cases": CASES}


class Case(NamedTuple):
    """A step to do, and what it should come to."""

    batch: Batch
    state: State
    expected: Probe


class Golden(NamedTuple):
    """A golden file in memory."""

    options: TrainOptions
    seed: int
    arrays: Dict[str, Any]

    def case(self, number: int) -> Case:
        """Case ``number``: 0 is the initial state, 1 and 2 are drawn."""
        seed, size = 1000 * self.seed + number, self.options.batch_size
        specs = all_variables(network_shape(self.options))
        state = drawn_weights(specs, seed, biases=number > 0)
        if number:
            state.update(drawn_averages(specs, seed))
        A, B = (drawn_images(domain, seed, size) for domain in "AB")
        epsilon_A, epsilon_B = (drawn_epsilon(domain, seed, size) for domain in "AB")
        expected = Probe(
            number + 1,
            {kind: subsample(self.arrays["output/" + kind][number]) for kind in TRANSLATED},
            {},
            self._tensors("gradient", number),
            {term: float(self.arrays["loss/" + name][number]) for name, term in TERMS.items()},
            self._tensors("update", number),
        )
        return Case(Batch(A, B, epsilon_A, epsilon_B, None), state, expected)

    def _tensors(self, kind: str, number: int) -> Dict[str, Subsample]:
        return {
            spec.name: Subsample(
                self.arrays[f"{kind}/{spec.name}"][number],
                float(self.arrays[f"{kind}_norm/{spec.name}"][number]),
            )
            for spec in all_variables(network_shape(self.options))
        }


def load(path: Path) -> Golden:
    """Raises BadInput, in a line, for a file that is missing, damaged or no golden file of this version."""
    meta, arrays = array_file.read(path, "golden file", SCHEMA_VERSION, MAX_BYTES)
    try:
        for name, value in _FIXED.items():
            if meta[name] != value:
                raise ValueError(f"{name} is {meta[name]}, must be {value}")
        options = validated(TrainOptions(**{name: meta[name] for name in _OPTIONS}))
        golden = Golden(options, int(meta["seed"]), arrays)
        _check_shapes(golden)
    except (KeyError, TypeError, ValueError, BadInput) as error:
        raise BadInput(f"{path}: a damaged golden file ({array_file.first_line(error)})") from None
    return golden


def _check_shapes(golden: Golden) -> None:
    pixels = SIDE // PIXEL_STRIDE
    wanted: Dict[str, Any] = {"loss/" + name: (CASES,) for name in TERMS}
    for kind in TRANSLATED:
        wanted["output/" + kind] = (CASES, golden.options.batch_size, pixels, pixels, CHANNELS)
    for spec in all_variables(network_shape(golden.options)):
        size = min(ELEMENTS, int(np.prod(spec.shape)))
        for kind in ("gradient", "update"):
            wanted[f"{kind}/{spec.name}"] = (CASES, size)
            wanted[f"{kind}_norm/{spec.name}"] = (CASES,)
    for name, shape in wanted.items():
        if golden.arrays[name].shape != shape or golden.arrays[name].dtype.kind != "f":
            raise ValueError(f"{name} has shape {golden.arrays[name].shape}, not {shape}")
