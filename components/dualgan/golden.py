"""Golden files: recorded runs of the original implementation, replayed on this machine's TensorFlow and device.

A golden file (numpy .npz, no pickles) holds "meta" (JSON: the options), init/{variable}, input/{A,B} uint8
[steps, N, S, S, C], input/{epsilon_A,epsilon_B} (wgan-gp), loss/{term} [steps], and the translations of input/[AB][0]
before the first and after the last step, every fourth pixel.
"""

import json
import zipfile
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional

import numpy as np

from dualgan.errors import BadInput
from dualgan.graph import StepGraph, StepOptions
from dualgan.losses import LossOptions
from dualgan.networks import Shape

PIXEL_STRIDE = 4

# The original's names of the terms that the run folder calls otherwise.
TERM_NAMES = {"Ad": "Ad_loss", "Bd": "Bd_loss", "Ag": "Ag_loss", "Bg": "Bg_loss"}


_META = (
    *("GAN_type", "disc_type", "loss_metric", "batch_size", "lambda_A", "lambda_B", "n_critic", "clip_value"),
    *("image_size", "gcn", "dcn", "lr", "rmsprop_decay"),
)


class Bound(NamedTuple):
    """How far a quantity may be off: relative to the recorded value, or absolute."""

    limit: float
    relative: bool


class Bounds(NamedTuple):
    """Of the groups of quantities."""

    generator_term: Bound
    critic_sum: Bound
    critic_term: Bound
    translation: Bound

    def of(self, term: str) -> Bound:
        if term == "d_loss":
            return self.critic_sum
        return self.generator_term if term in GENERATOR_TERMS else self.critic_term


GENERATOR_TERMS = ("Ag", "Bg", "A_loss", "B_loss", "g_loss")
CRITIC_TERMS = ("Ad_fake", "Ad_real", "Bd_fake", "Bd_real", "Ad", "Bd")
# Ten times and more what TensorFlow 1.15.0 and 2.21.0 differ by on CPUs. Single critic terms are small differences of
# large numbers, and d_loss is their sum with the gradient penalty.
FLOAT32 = Bounds(Bound(1e-5, True), Bound(1e-4, True), Bound(2e-3, True), Bound(2e-3, False))
# Four times and more what the rounding of factors to float16 does on a CPU (tests/npu_bridge_double, cube.py).
ROUNDED_FACTORS = Bounds(Bound(2e-4, True), Bound(0.2, True), Bound(0.2, True), Bound(1e-2, False))
BOUNDS = {"float32": FLOAT32, "tensorfloat32": ROUNDED_FACTORS, "float16": ROUNDED_FACTORS}


class Check(NamedTuple):
    """The worst error of one quantity over the replay. exceeded_at: the first step of it that is out of bounds."""

    quantity: str
    error: float
    bound: Bound
    exceeded_at: Optional[int] = None

    @property
    def holds(self) -> bool:
        return bool(self.error <= self.bound.limit)


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
    missing = [name for name in ("input/A", "input/B", "loss/g_loss") if name not in arrays]
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


def replay(golden: Golden, graph: StepGraph, session: Any, products: str = "float32") -> Iterator[Check]:
    """Run the recorded steps from the recorded weights and yield the worst error of each quantity.

    products: the type of a product's factors on the device (Device.products), which decides the bounds. The variables
    are initialised here; raises BadInput where the file lacks one of them.
    """
    absent = sorted(name for name in graph.variables if "init/" + name not in golden.arrays)
    if absent:
        raise BadInput("{}: no initial weights of {}".format(golden.path, ", ".join(absent[:3])))
    graph.load(session, {name: golden.arrays["init/" + name] for name in graph.variables})
    sample, step = graph.sample_callable(session), graph.step_callable(session)
    bounds = BOUNDS[products]
    for check in _translation_checks(golden, "before", sample, bounds.translation):
        yield check
    history = [step(number, _feed(golden, number)) for number in range(1, golden.steps + 1)]
    for name in ("d_loss",) + GENERATOR_TERMS + CRITIC_TERMS:
        bound = bounds.of(name)
        expected = np.asarray(golden.arrays["loss/" + name], np.float64)
        actual = np.array([terms[TERM_NAMES.get(name, name)] for terms in history])
        errors = np.abs(actual - expected) / np.maximum(np.abs(expected), 1e-12)
        exceeded = np.flatnonzero(~(errors <= bound.limit))
        first = int(exceeded[0]) + 1 if len(exceeded) else None
        yield Check("loss/" + name, _worst(errors), bound, first)
    for check in _translation_checks(golden, "after", sample, bounds.translation):
        yield check


def _feed(golden: Golden, number: int) -> List[Any]:
    A, B = golden.arrays["input/A"][number - 1], golden.arrays["input/B"][number - 1]
    zeros = np.zeros((len(A), 1, 1, 1), np.float32)
    epsilon_A, epsilon_B = (
        golden.arrays[name][number - 1] if name in golden.arrays else zeros
        for name in ("input/epsilon_A", "input/epsilon_B")
    )
    return [A, B, epsilon_A, epsilon_B]


def _translation_checks(
    golden: Golden, moment: str, sample: Callable[[Any, Any], Any], bound: Bound
) -> Iterator[Check]:
    A, B = golden.arrays["input/A"][0], golden.arrays["input/B"][0]
    images = [sample(A[n : n + 1], B[n : n + 1]) for n in range(len(A))]
    for kind in ("A2B", "A2B2A", "B2A", "B2A2B"):
        name = "{}/{}".format(moment, kind)
        if name not in golden.arrays:
            continue
        actual = np.concatenate([getattr(translations, kind) for translations in images])
        difference = np.abs(actual[:, ::PIXEL_STRIDE, ::PIXEL_STRIDE] - golden.arrays[name])
        yield Check(name, _worst(difference), bound)


def _worst(errors: Any) -> float:
    """The largest error; NaN, which is larger than any bound, where one is NaN."""
    return float(np.max(errors)) if np.all(np.isfinite(errors)) else float("nan")
