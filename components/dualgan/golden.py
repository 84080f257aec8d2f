"""Golden files: recorded runs of the original implementation, to replay on another TensorFlow or device.

A golden file (numpy .npz, no pickles) holds "meta" (JSON: the options), init/{variable}, input/{A,B} uint8
[steps, N, S, S, C], input/{epsilon_A,epsilon_B} (wgan-gp), loss/{term} [steps], and the translations of input/[AB][0]
before the first and after the last step, every fourth pixel.
"""

import json
import zipfile
from pathlib import Path
from typing import Any, Dict, List, NamedTuple

import numpy as np

from dualgan.errors import BadInput
from dualgan.graph import StepOptions
from dualgan.losses import LossOptions
from dualgan.networks import Shape

PIXEL_STRIDE = 4

GENERATOR_TERMS = ("Ag", "Bg", "A_loss", "B_loss", "g_loss")
# Those of the generators' terms that depend on the critics.
ADVERSARIAL_TERMS = ("Ag", "Bg", "g_loss")
CRITIC_TERMS = ("Ad_fake", "Ad_real", "Bd_fake", "Bd_real", "Ad", "Bd")
RECORDED_TERMS = ("d_loss",) + GENERATOR_TERMS + CRITIC_TERMS

_META = (
    *("GAN_type", "disc_type", "loss_metric", "batch_size", "lambda_A", "lambda_B", "n_critic", "clip_value"),
    *("image_size", "gcn", "dcn", "lr", "rmsprop_decay"),
)


class Golden(NamedTuple):
    """A golden file in memory."""

    path: Path
    meta: Dict[str, Any]
    arrays: Dict[str, Any]

    @property
    def steps(self) -> int:
        return len(self.arrays["input/A"])


def load(path: Path) -> Golden:
    """Raises BadInput for a file that is no golden file."""
    try:
        with np.load(str(path), allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
        meta = json.loads(str(arrays.pop("meta")))
    except (OSError, ValueError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise BadInput("{}: not a golden file (.npz with meta, init/, input/, loss/): {}".format(path, error)) from None
    expected = ["input/A", "input/B"] + ["loss/" + name for name in RECORDED_TERMS]
    missing = [name for name in expected if name not in arrays]
    if missing:
        raise BadInput("{}: not a golden file: no {}".format(path, ", ".join(missing)))
    unknown = [name for name in _META if name not in meta]
    if unknown:
        raise BadInput("{}: not a golden file: no {} in its meta".format(path, ", ".join(unknown)))
    return Golden(Path(path), meta, arrays)


def step_options(golden: Golden, one_run: bool) -> StepOptions:
    meta = golden.meta
    shape = Shape(
        meta["image_size"],
        golden.arrays["input/A"].shape[-1],
        golden.arrays["input/B"].shape[-1],
        meta["gcn"],
        meta["dcn"],
        meta["disc_type"],
    )
    return StepOptions(
        shape=shape,
        losses=LossOptions(meta["GAN_type"], meta["loss_metric"], meta["lambda_A"], meta["lambda_B"]),
        batch_size=meta["batch_size"],
        lr=meta["lr"],
        rmsprop_decay=meta["rmsprop_decay"],
        n_critic=meta["n_critic"],
        clip_value=meta["clip_value"],
        dropout_rate=0.0,
        one_run=one_run,
    )


def first_steps(golden: Golden, steps: int) -> Golden:
    """The recording of the first ``steps`` alone; where a step is cut off, without the translations after the last."""
    if golden.steps <= steps:
        return golden
    arrays = {
        name: values[:steps] if name.startswith(("input/", "loss/")) else values
        for name, values in golden.arrays.items()
        if not name.startswith("after/")
    }
    return golden._replace(arrays=arrays)


def feed(golden: Golden, number: int) -> List[Any]:
    """What recorded step ``number`` (1 is the first) was fed: A, B, epsilon_A, epsilon_B."""
    A, B = golden.arrays["input/A"][number - 1], golden.arrays["input/B"][number - 1]
    zeros = np.zeros((len(A), 1, 1, 1), np.float32)
    epsilon_A, epsilon_B = (
        golden.arrays[name][number - 1] if name in golden.arrays else zeros
        for name in ("input/epsilon_A", "input/epsilon_B")
    )
    return [A, B, epsilon_A, epsilon_B]
