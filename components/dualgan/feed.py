"""Feed a training step: which images, how flipped, the random numbers that go with them, and a signature of it all.

Every random number of a run is drawn on the host as a function of the seed and the step: two devices see the same
numbers, and a resumed run goes on with the same sequence. NumPy's RandomState is used because its streams are frozen,
the same in every version.

The signature of what a step's session runs were really fed shows that legs trained on the same. It is one number for
each fed array: the mean of its elements times a fixed pattern of +1 and -1. Decoders that round differently change it
by hundredths of a level, another image or a mirrored one, swapped channels or another place in the batch by tenths and
more. The numbers depend on seed, step and data alone.
"""

import math
import zlib
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from dualgan import networks
from dualgan.dataset_folder import DOMAINS, Description, checked_description, left_out, require_training_images
from dualgan.environment import default_cache_folder
from dualgan.errors import BadInput, warn
from dualgan.image_cache import decoded_images
from dualgan.options import TrainOptions


def stream(seed: int, *purpose: Any) -> "np.random.RandomState":
    """The random numbers of one purpose, such as ("order", "A", 3)."""
    words = [seed] + [item if isinstance(item, int) else zlib.crc32(item.encode("utf-8")) for item in purpose]
    return np.random.RandomState(np.array(words, dtype=np.uint32))


class Batch(NamedTuple):
    """Values of a step, or the graph's placeholders for them.

    A, B: uint8 [N, S, S, C]; epsilon_A, epsilon_B: float32 [N, 1, 1, 1]; dropout: uint8 [4, N, M], what the four
    generator passes keep, or None.
    """

    A: Any
    B: Any
    epsilon_A: Any
    epsilon_B: Any
    dropout: Optional[Any]

    def values(self) -> List[Any]:
        return [value for value in self if value is not None]


class TrainingData:
    """The batches of a run; ``batch(step)`` depends on the seed and the step alone."""

    def __init__(self, images_A: Any, images_B: Any, options: TrainOptions) -> None:
        """images_A, images_B: uint8 [N, S, S, C]. Raises BadInput if they do not fill one batch."""
        self._images = {"A": images_A, "B": images_B}
        self._options = options
        self.steps_per_epoch = min(len(images_A), len(images_B)) // options.batch_size
        if not self.steps_per_epoch:
            raise BadInput(
                f"--batch_size {options.batch_size}: more than the dataset has ({len(images_A)} images of A, "
                f"{len(images_B)} of B)"
            )
        self._order = lru_cache(maxsize=2)(self._drawn_order)

    def epoch_of(self, step: int) -> int:
        """The epoch, from 0, of training step ``step``, from 1."""
        return (step - 1) // self.steps_per_epoch

    def _drawn_order(self, domain: str, epoch: int) -> Any:
        return stream(self._options.seed, "order", domain, epoch).permutation(len(self._images[domain]))

    def _pick(self, domain: str, step: int) -> Any:
        size = self._options.batch_size
        start = (step - 1) % self.steps_per_epoch * size
        images = self._images[domain][self._order(domain, self.epoch_of(step))[start : start + size]]
        if self._options.flip:
            flipped = stream(self._options.seed, "flip", domain, step).randint(0, 2, size).astype(bool)
            images[flipped] = images[flipped, :, ::-1]
        return images

    def batch(self, step: int) -> Batch:
        options = self._options
        shape = (2, options.batch_size, 1, 1, 1)
        epsilon = stream(options.seed, "epsilon", step).random_sample(shape).astype(np.float32)
        dropout = None
        if options.dropout_rate:
            size = networks.dropout_size(options.image_size, options.gcn)
            drawn = stream(options.seed, "dropout", step).random_sample((4, options.batch_size, size))
            dropout = (drawn >= options.dropout_rate).astype(np.uint8)
        return Batch(self._pick("A", step), self._pick("B", step), epsilon[0], epsilon[1], dropout)


class Prefetch:
    """Prepares the next step's batch in a thread while the device works on the present one."""

    def __init__(self, data: TrainingData) -> None:
        self._data = data
        self._pool = ThreadPoolExecutor(1)
        self._prepared: Dict[int, "Future[Batch]"] = {}

    def __enter__(self) -> "Prefetch":
        return self

    def __exit__(self, *_: Any) -> None:
        self._pool.shutdown()

    def batch(self, step: int) -> Batch:
        present = self._prepared.get(step) or self._pool.submit(self._data.batch, step)
        self._prepared = {step + 1: self._pool.submit(self._data.batch, step + 1)}
        return present.result()


def open_dataset(options: TrainOptions) -> Tuple[Description, Path]:
    """Return what dataset.json says of the dataset of ``options``, and the folder for its decoded images.

    What of the folder is not taken is told. Raises BadInput if no dataset is named, if it cannot be trained on, or if
    its images have changed.
    """
    if not options.data_dir:
        raise BadInput("--data_dir: name the dataset folder, which holds train/A and train/B")
    folder = Path(options.data_dir)
    require_training_images(folder)
    rest = left_out(folder)
    if rest:
        warn(f"{folder}: not taken: {rest}")
    return checked_description(folder), Path(options.cache_dir) if options.cache_dir else default_cache_folder()


def training_data(options: TrainOptions, digest: str, cache: Path) -> TrainingData:
    """The training images of ``options.data_dir``, decoded once into ``cache``."""
    A, B = (decoded_images(options, "train", domain, digest, cache)[0] for domain in DOMAINS)
    return TrainingData(A, B, options)


# Of a larger array every n-th element is taken: the mean of so many is precise enough, and takes some 20 microseconds.
MAX_ELEMENTS = 1 << 14
DECIMALS = 3


class FeedSignature:
    """A stand-in for the session that a step's callables are made of; it signs what these are fed."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._runs: List[List[float]] = []
        self._fed: List[Any] = []

    def make_callable(self, fetches: Any, feed_list: Sequence[Any]) -> Callable[..., Any]:
        """As tf.Session.make_callable."""
        run = self._session.make_callable(fetches, feed_list=feed_list)

        def signed(*values: Any) -> Any:
            # A step of two runs feeds both the same.
            is_same = len(values) == len(self._fed) and all(one is other for one, other in zip(values, self._fed))
            known = self._runs[-1:] if is_same else []
            self._runs.append(known[0] if known else [_mean(place, value) for place, value in enumerate(values)])
            self._fed = list(values)
            return run(*values)

        return signed

    def take(self) -> List[float]:
        """The signature since the last call: of the first run's arrays (the critics'), then of the other runs' mean.

        A step of a single run feeds critics and generators alike: its signature stands twice.
        """
        runs, self._runs = self._runs, []
        others = runs[1:] or runs
        means = [math.fsum(numbers) / len(others) for numbers in zip(*others)]
        return [round(number, DECIMALS) for number in runs[0] + means]


def _mean(place: int, value: Any) -> float:
    flat = np.asarray(value).reshape(-1)
    # The smallest stride that leaves MAX_ELEMENTS, and meets every channel and column.
    stride = -(-flat.size // MAX_ELEMENTS)
    while stride > 1 and math.gcd(stride, 6) > 1:
        stride += 1
    chosen = flat[::stride].astype(np.float32)
    return float(np.dot(chosen, _pattern(place, chosen.size))) / chosen.size


@lru_cache(maxsize=None)
def _pattern(place: int, size: int) -> Any:
    signs = stream(place, "feed signature").randint(0, 2, size)
    return (2 * signs - 1).astype(np.float32)
