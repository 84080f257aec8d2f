"""Golden files: what single steps of the original implementation came to, each from a state that integers define.

A file has three cases: the initial state, and two that are drawn (dualgan.weights) from 1000 * seed + case. As it says
what each case starts from, it holds results only (dualgan.files, schema version 2):

    meta                       JSON: the options and the seed
    output/{A2B,...}           [cases, batch, 8, 8, 3] before the step, every 32nd pixel
    loss/{Ad_fake,...}         [cases]: the critics' before their update, the generators' before their last one
    gradient/{variable}        [cases, n]: of d_loss, and of g_loss with the updated critics (dualgan.subsample)
    update/{variable}          [cases, n]: what the whole step added
    gradient_norm/{variable}, update_norm/{variable}     [cases]: of all elements
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Sequence, Tuple

import numpy as np

from dualgan import files
from dualgan.devices import Device
from dualgan.errors import OF_CONTENT, BadInput, first_line
from dualgan.feed import Batch
from dualgan.networks import all_variables, network_shape
from dualgan.options import TrainOptions, check_loss_scale, from_dict
from dualgan.replay import print_checks, probe_errors
from dualgan.sampling import TRANSLATED, Pairs, Pictures, SampleInput
from dualgan.step import RMSPROP_EPSILON, StepGraph, step_options
from dualgan.subsample import Subsample, subsample
from dualgan.taps import Probe, Prober, State
from dualgan.tensorflow_v1 import tf
from dualgan.weights import CHANNELS, SIDE, drawn_epsilon, drawn_images, drawn_weights, late_state

SCHEMA_VERSION = 2
CASES = 3
ELEMENTS = 16
PIXEL_STRIDE = 32
FILTERS = 2
MAX_BYTES = 32 << 20
# The run folder's names of the losses that a file calls otherwise.
TERMS = {"Ad": "Ad_loss", "Bd": "Bd_loss", "Ag": "Ag_loss", "Bg": "Bg_loss"}
_SAME_NAMES = ("Ad_fake", "Ad_real", "Bd_fake", "Bd_real", "d_loss", "A_loss", "B_loss", "g_loss")
TERMS.update({name: name for name in _SAME_NAMES})
_OPTIONS = (
    *("GAN_type", "disc_type", "loss_metric", "batch_size", "n_critic", "lambda_A", "lambda_B", "clip_value"),
    *("lr", "image_size", "gcn", "dcn", "rmsprop_decay"),
)
_FIXED = {"image_size": SIDE, "gcn": FILTERS, "dcn": FILTERS, "rmsprop_epsilon": RMSPROP_EPSILON, "cases": CASES}


class Golden(NamedTuple):
    """A golden file in memory."""

    options: TrainOptions
    seed: int
    arrays: Dict[str, Any]

    def case(self, number: int) -> Tuple[Batch, State, Probe]:
        """Return what case ``number`` (0: the initial state; 1, 2: drawn) starts from, and what it should come to."""
        seed, size = 1000 * self.seed + number, self.options.batch_size
        specs = all_variables(network_shape(self.options))
        state = late_state(specs, seed) if number else drawn_weights(specs, seed, biases=False)
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
        return Batch(A, B, epsilon_A, epsilon_B, None), state, expected

    def _tensors(self, kind: str, number: int) -> Dict[str, Subsample]:
        return {
            spec.name: Subsample(
                self.arrays[f"{kind}/{spec.name}"][number], float(self.arrays[f"{kind}_norm/{spec.name}"][number])
            )
            for spec in all_variables(network_shape(self.options))
        }


def load_golden(path: Path) -> Golden:
    """Raises BadInput, in a line, for a file that is missing, damaged or no golden file of this version."""
    meta, arrays = files.read_arrays(path, "golden file", SCHEMA_VERSION, MAX_BYTES)
    try:
        for name, value in _FIXED.items():
            if meta[name] != value:
                raise ValueError(f"{name} is {meta[name]}, must be {value}")
        options = from_dict({name: meta[name] for name in _OPTIONS})
        golden = Golden(options, int(meta["seed"]), arrays)
        _check_shapes(golden)
    except (*OF_CONTENT, BadInput) as error:
        raise BadInput(f"{path}: a damaged golden file ({first_line(error)})") from None
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


ADVICE = """
Where to look: pictures wrong means weights, layout or the forward pass; pictures right and a loss wrong, the losses;
losses right and a gradient wrong, that gradient; gradients right and an update wrong, the optimiser."""


def verify(paths: Sequence[Path], device: Device, modes: Sequence[str], say: Callable[[str], None]) -> int:
    """Do every case of ``paths`` (folders: of their .npz files) in each of ``modes``.

    Returns:
        0 if all bounds hold, else 1.

    Raises:
        BadInput: a file is no golden file, before any step is done.
    """
    check_loss_scale(device.options.loss_scale, "one-run" in modes)
    recorded = {file: load_golden(file) for file in _golden_files(paths)}
    described = dict({"products": device.matmul_input_dtype}, **device.describe())
    on = "{kind} ({name}), factors of products in {products}".format(**described)
    say(f"TensorFlow {tf.version.VERSION} on {on}")
    failed = 0
    graphs = _built_ahead([(content, mode) for content in recorded.values() for mode in modes], device)
    for file, content in recorded.items():
        kind = "{GAN_type}, {disc_type}, {loss_metric}, batch {batch_size}".format(**content.options.as_dict())
        say(f"\n{file}: {kind}")
        probes = [probe for _ in modes for probe in _probes(content, device, *next(graphs))]
        report = {"options": content.options.as_dict(), "candidate": {"device": described}, "probes": probes}
        failed += bool(print_checks(report, say))
    if failed:
        say(ADVICE)
    say(f"\n{len(recorded) - failed} of {len(recorded)} files hold ({' and '.join(modes)})")
    return 1 if failed else 0


def _golden_files(given: Sequence[Path]) -> List[Path]:
    found: List[Path] = []
    for path in given:
        inside = sorted(path.glob("*.npz")) if path.is_dir() else [path]
        if not inside:
            raise BadInput(f"{path}: a folder without a golden file (.npz)")
        found += inside
    return found


def _built_ahead(steps: Sequence[Tuple[Golden, str]], device: Device) -> Iterator[Tuple[Any, Prober]]:
    """Yield the graph of each file and step mode. While one is computed, the next is built: that takes as long."""
    with ThreadPoolExecutor(1) as pool:
        built = [pool.submit(_build, *step, device) for step in steps[:1]]
        for number in range(len(steps)):
            graph = built.pop().result()
            built = [pool.submit(_build, *step, device) for step in steps[number + 1 : number + 2]]
            yield graph


def _build(recorded: Golden, mode: str, device: Device) -> Tuple[Any, Prober]:
    options = replace(recorded.options, step_mode=mode)
    with tf.Graph().as_default() as tensorflow_graph:
        graph = StepGraph(step_options(options, device), device)
        prober = Prober(graph, _drawing(graph))
        tensorflow_graph.finalize()
    return tensorflow_graph, prober


def _probes(recorded: Golden, device: Device, graph: Any, prober: Prober) -> List[Dict[str, Any]]:
    """The errors of each case."""
    with graph.as_default(), device.open_session() as session:
        return [_errors(recorded, number, prober, session) for number in range(CASES)]


def _errors(recorded: Golden, number: int, prober: Prober, session: Any) -> Dict[str, Any]:
    batch, state, expected = recorded.case(number)
    pairs = [SampleInput(str(index), *pair) for index, pair in enumerate(zip(batch.A, batch.B))]
    probe = prober.probe(session, expected.step, batch, state, pairs, ELEMENTS, layers_too=False)
    return probe_errors(probe, expected, network_shape(recorded.options), drawn=number > 0)


def _drawing(graph: StepGraph) -> Callable[[Any, Mapping[str, Any], Pairs], Pictures]:
    """Return a function that draws a batch as `sample` does, one pair after the other; of that, the recorded pixels."""

    def drawn(session: Any, _: Mapping[str, Any], pairs: Pairs) -> Pictures:
        sample = graph.sample_callable(session)
        images = [sample(pair.A[np.newaxis], pair.B[np.newaxis]) for pair in pairs]
        whole = {kind: np.concatenate([getattr(found, kind) for found in images]) for kind in TRANSLATED}
        return {kind: pictures[:, ::PIXEL_STRIDE, ::PIXEL_STRIDE] for kind, pictures in whole.items()}

    return drawn
