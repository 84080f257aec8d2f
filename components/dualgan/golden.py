"""Golden files: what single steps of the original implementation came to, each from a state that integers define.

A file has three cases: the initial state, and two that are drawn (dualgan.taps) from 1000 * seed + case. As it says
what each case starts from, it holds results only (read as a trace's file is, schema version 2):

    meta                       JSON: the options and the seed
    output/{A2B,...}           [cases, batch, 8, 8, 3] before the step, every 32nd pixel
    loss/{Ad_fake,...}         [cases]: the critics' before their update, the generators' before their last one
    gradient/{variable}        [cases, n]: of d_loss, and of g_loss with the updated critics (dualgan.taps)
    update/{variable}          [cases, n]: what the whole step added
    gradient_norm/{variable}, update_norm/{variable}     [cases]: of all elements
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Sequence, Tuple

import numpy as np

from dualgan.devices import Device
from dualgan.errors import OF_CONTENT, BadInput, first_line
from dualgan.feed import Batch
from dualgan.networks import all_variables
from dualgan.options import TrainOptions, check_loss_scale, from_dict
from dualgan.replay import print_checks, probe_errors
from dualgan.sampling import TRANSLATED, Pairs, Pictures, SampleInput
from dualgan.step import RMSPROP_EPSILON, StepGraph
from dualgan.taps import Probe, Prober, State, Subsample, drawn_integers, drawn_weights, late_state, subsample
from dualgan.tensorflow_v1 import tf
from dualgan.trace import TERMS, check_shapes, read_arrays

SCHEMA_VERSION = 2
CASES = 3
CHANNELS, SIDE = 3, 256
ELEMENTS = 16
PIXEL_STRIDE = 32
FILTERS = 2
MAX_BYTES = 32 << 20
# What a file calls otherwise than a trace does.
LOSS_NAMES = {"Ad_loss": "Ad", "Bd_loss": "Bd", "Ag_loss": "Ag", "Bg_loss": "Bg"}
_OPTIONS = (
    *("GAN_type", "disc_type", "loss_metric", "batch_size", "n_critic", "lambda_A", "lambda_B", "clip_value"),
    *("lr", "image_size", "gcn", "dcn", "rmsprop_decay"),
)
_FIXED = {"image_size": SIDE, "gcn": FILTERS, "dcn": FILTERS, "rmsprop_epsilon": RMSPROP_EPSILON, "cases": CASES}


def drawn_images(domain: str, seed: int, batch: int) -> Any:
    """uint8 [batch, 256, 256, 3] of domain "A" or "B": coarse, middle and fine noise on each other."""
    layers = []
    for name, size in (("coarse/", 8), ("middle/", 32), ("fine/", SIDE)):
        drawn = drawn_integers(name + domain, seed, 0, 256, [batch, size, size, CHANNELS])
        layers.append(drawn.repeat(SIDE // size, 1).repeat(SIDE // size, 2))
    coarse, middle, fine = layers
    return ((4 * coarse + 2 * middle + 2 * fine) // 8).astype(np.uint8)


def drawn_epsilon(domain: str, seed: int, batch: int) -> Any:
    """float32 [batch, 1, 1, 1] between 0 and 1."""
    return ((2 * drawn_integers("epsilon/" + domain, seed, 0, 128, [batch, 1, 1, 1]) + 1) / 256).astype(np.float32)


class Golden(NamedTuple):
    """A golden file in memory."""

    options: TrainOptions
    seed: int
    arrays: Dict[str, Any]

    def case(self, number: int) -> Tuple[Batch, State, Probe]:
        """Return what case ``number`` (0: the initial state; 1, 2: drawn) starts from, and what it should come to."""
        seed, size, arrays = 1000 * self.seed + number, self.options.batch_size, self.arrays
        specs = all_variables(self.options)

        def tensors(kind: str) -> Dict[str, Subsample]:
            norms = {spec.name: float(arrays[f"{kind}_norm/{spec.name}"][number]) for spec in specs}
            return {name: Subsample(arrays[f"{kind}/{name}"][number], norm) for name, norm in norms.items()}

        state = late_state(specs, seed) if number else drawn_weights(specs, seed, biases=False)
        A, B = (drawn_images(domain, seed, size) for domain in "AB")
        epsilon_A, epsilon_B = (drawn_epsilon(domain, seed, size) for domain in "AB")
        expected = Probe(
            step=number + 1,
            pictures={kind: subsample(arrays["output/" + kind][number]) for kind in TRANSLATED},
            layers={},
            gradients=tensors("gradient"),
            terms={name: float(arrays["loss/" + LOSS_NAMES.get(name, name)][number]) for name in TERMS},
            updates=tensors("update"),
        )
        return Batch(A, B, epsilon_A, epsilon_B, None), state, expected


def load_golden(path: Path) -> Golden:
    """Raises BadInput, in a line, for a file that is missing, damaged or no golden file of this version."""
    meta, arrays = read_arrays(path, "golden file", SCHEMA_VERSION, MAX_BYTES)
    try:
        for name, value in _FIXED.items():
            if meta[name] != value:
                raise ValueError(f"{name} is {meta[name]}, must be {value}")
        options = from_dict({name: meta[name] for name in _OPTIONS})
        pixels = SIDE // PIXEL_STRIDE
        wanted: Dict[str, Tuple[int, ...]] = {"loss/" + LOSS_NAMES.get(name, name): (CASES,) for name in TERMS}
        wanted.update({f"output/{k}": (CASES, options.batch_size, pixels, pixels, CHANNELS) for k in TRANSLATED})
        for spec in all_variables(options):
            for kind in ("gradient", "update"):
                wanted[f"{kind}/{spec.name}"] = (CASES, min(ELEMENTS, int(np.prod(spec.shape))))
                wanted[f"{kind}_norm/{spec.name}"] = (CASES,)
        check_shapes(arrays, wanted.items())
        return Golden(options, int(meta["seed"]), arrays)
    except (*OF_CONTENT, BadInput) as error:
        raise BadInput(f"{path}: a damaged golden file ({first_line(error)})") from None


ADVICE = """
Where to look: pictures wrong means weights, layout or the forward pass; pictures right and a loss wrong, the losses;
losses right and a gradient wrong, that gradient; gradients right and an update wrong, the optimiser."""


def verify(paths: Sequence[Path], device: Device, modes: Sequence[str], say: Callable[[str], None]) -> int:
    """Do every case of ``paths`` (folders: of their .npz files) in each of ``modes``; 0 if all bounds hold, else 1.

    Raises BadInput if a file is no golden file, before any step is done.
    """
    check_loss_scale(device.options.loss_scale, "one-run" in modes)
    files: List[Path] = []
    for path in paths:
        inside = sorted(path.glob("*.npz")) if path.is_dir() else [path]
        if not inside:
            raise BadInput(f"{path}: a folder without a golden file (.npz)")
        files += inside
    recorded = [load_golden(file) for file in files]
    described = dict({"products": device.matmul_input_dtype}, **device.describe())
    on = "{kind} ({name}), factors of products in {products}".format(**described)
    say(f"TensorFlow {tf.version.VERSION} on {on}")
    failed = 0
    probers = _probers([replace(content.options, step_mode=mode) for content in recorded for mode in modes], device)
    for file, content in zip(files, recorded):
        options = content.options.as_dict()
        say(f"\n{file}: " + "{GAN_type}, {disc_type}, {loss_metric}, batch {batch_size}".format(**options))
        probes = [errors for _ in modes for errors in _errors(content, device, *next(probers))]
        failed += bool(print_checks({"options": options, "candidate": {"device": described}, "probes": probes}, say))
    if failed:
        say(ADVICE)
    say(f"\n{len(recorded) - failed} of {len(recorded)} files hold ({' and '.join(modes)})")
    return 1 if failed else 0


def _probers(steps: Sequence[TrainOptions], device: Device) -> Iterator[Tuple[Any, Prober]]:
    """Yield the graph of each step. While one is computed, the next is built: that takes as long."""
    with ThreadPoolExecutor(1) as pool:
        built = pool.submit(_build, steps[0], device)
        for following in steps[1:]:
            present, built = built, pool.submit(_build, following, device)
            yield present.result()
        yield built.result()


def _build(options: TrainOptions, device: Device) -> Tuple[Any, Prober]:
    with tf.Graph().as_default() as tensorflow_graph:
        graph = StepGraph(options, device)

        def draw(session: Any, _: Mapping[str, Any], pairs: Pairs) -> Pictures:
            """Draw a batch as `sample` does, one pair after the other; of that, the recorded pixels."""
            sample = graph.drawing.sample_callable(session)
            images = [sample(pair.A[np.newaxis], pair.B[np.newaxis]) for pair in pairs]
            whole = {kind: np.concatenate([getattr(drawn, kind) for drawn in images]) for kind in TRANSLATED}
            return {kind: pictures[:, ::PIXEL_STRIDE, ::PIXEL_STRIDE] for kind, pictures in whole.items()}

        prober = Prober(graph, draw, ELEMENTS, layers_too=False)
        tensorflow_graph.finalize()
    return tensorflow_graph, prober


def _errors(recorded: Golden, device: Device, graph: Any, prober: Prober) -> Iterator[Dict[str, Any]]:
    """Yield the errors of each case."""
    with graph.as_default(), device.open_session() as session:
        for number in range(CASES):
            batch, state, expected = recorded.case(number)
            pairs = [SampleInput(str(index), *pair) for index, pair in enumerate(zip(batch.A, batch.B))]
            probe = prober.probe(session, expected.step, batch, state, pairs)
            yield probe_errors(probe, expected, recorded.options, drawn=number > 0)
