"""Doing the steps of golden files on this TensorFlow and device, and saying how far off they come out."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Sequence

import numpy as np

from dualgan import golden
from dualgan.devices import Device
from dualgan.errors import BadInput
from dualgan.golden import CASES, ELEMENTS, PIXEL_STRIDE, Golden
from dualgan.graph import StepGraph
from dualgan.inference import TRANSLATED, Pairs, Pictures
from dualgan.options import check_loss_scale
from dualgan.probing import Prober
from dualgan.replay import probe_errors
from dualgan.replay_report import print_checks
from dualgan.sampling import SampleInput
from dualgan.tensorflow_v1 import tf
from dualgan.training import network_shape, step_options

ADVICE = """
Where to look: pictures wrong means weights, layout or the forward pass; pictures right and a loss wrong, the losses;
losses right and a gradient wrong, that gradient; gradients right and an update wrong, the optimiser."""


def verify(files: Sequence[Path], device: Device, modes: Sequence[str], say: Callable[[str], None]) -> int:
    """Do every case of ``files`` (folders: of their .npz files) in each of ``modes``.

    Returns:
        0 if all bounds hold, else 1.

    Raises:
        BadInput: a file is no golden file, before any step is done.
    """
    check_loss_scale(device.options.loss_scale, "one-run" in modes)
    recorded = {file: golden.load(file) for file in _golden_files(files)}
    say("TensorFlow {} on {kind} ({name}), factors of products in {products}".format(
        tf.version.VERSION, **dict({"products": device.products}, **device.describe())))  # fmt: skip
    failed = 0
    for file, content in recorded.items():
        kind = "{GAN_type}, {disc_type}, {loss_metric}, batch {batch_size}".format(**content.options.as_dict())
        say(f"\n{file}: {kind}")
        probes = [probe for mode in modes for probe in _probes(content, device, mode)]
        report = {
            "options": content.options.as_dict(),
            "candidate": {"device": {"products": device.products}},
            "probes": probes,
        }
        failed += bool(print_checks(report, say))
    if failed:
        say(ADVICE)
    say("\n{} of {} files hold ({})".format(len(recorded) - failed, len(recorded), " and ".join(modes)))
    return 1 if failed else 0


def _golden_files(given: Sequence[Path]) -> List[Path]:
    found: List[Path] = []
    for path in given:
        inside = sorted(path.glob("*.npz")) if path.is_dir() else [path]
        if not inside:
            raise BadInput(f"{path}: a folder without a golden file (.npz)")
        found += inside
    return found


def _probes(recorded: Golden, device: Device, mode: str) -> List[Dict[str, Any]]:
    """The errors of each case."""
    options = replace(recorded.options, step_mode=mode)
    with tf.Graph().as_default() as tensorflow_graph:
        graph = StepGraph(step_options(options, device), device)
        prober = Prober(graph, _drawing(graph))
        tensorflow_graph.finalize()
        with tf.Session(config=device.session_config()) as session:
            return [_errors(recorded, number, prober, session) for number in range(CASES)]


def _errors(recorded: Golden, number: int, prober: Prober, session: Any) -> Dict[str, Any]:
    case = recorded.case(number)
    pairs = [SampleInput(str(index), *pair) for index, pair in enumerate(zip(case.batch.A, case.batch.B))]
    probe = prober.probe(session, case.expected.step, case.batch, case.state, pairs, ELEMENTS, layers_too=False)
    return probe_errors(probe, case.expected, network_shape(recorded.options), drawn=number > 0)


def _drawing(graph: StepGraph) -> Callable[[Any, Mapping[str, Any], Pairs], Pictures]:
    """A function that draws a batch as `sample` does, one pair after the other; of that, the recorded pixels."""

    def drawn(session: Any, _: Mapping[str, Any], pairs: Pairs) -> Pictures:
        sample = graph.sample_callable(session)
        images = [sample(pair.A[np.newaxis], pair.B[np.newaxis]) for pair in pairs]
        return {
            kind: np.concatenate([getattr(translations, kind) for translations in images])[
                :, ::PIXEL_STRIDE, ::PIXEL_STRIDE
            ]
            for kind in TRANSLATED
        }

    return drawn
