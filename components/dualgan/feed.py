"""What a training step is fed: which images, how flipped, and the random numbers that go with them."""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Type

import numpy as np

from dualgan import networks
from dualgan.errors import BadInput
from dualgan.image_cache import decoded_images
from dualgan.options import TrainOptions
from dualgan.randomness import stream


class Batch(NamedTuple):
    """Values for dualgan.graph.Feeds. A, B: uint8 [N, S, S, C]; epsilon: float32 [N, 1, 1, 1]; dropout: uint8."""

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
        """images_A, images_B: uint8 [N, S, S, C]. Raises BadInput where they do not fill one batch."""
        self._images = {"A": images_A, "B": images_B}
        self._options = options
        self.steps_per_epoch = min(len(images_A), len(images_B)) // options.batch_size
        if not self.steps_per_epoch:
            raise BadInput(
                f"--batch_size {options.batch_size}: more than the dataset has ({len(images_A)} images of A, {len(images_B)} of B)"
            )
        self._orders: Dict[str, Tuple[int, Any]] = {}

    def epoch_of(self, step: int) -> int:
        """The epoch, from 0, of training step ``step``, from 1."""
        return (step - 1) // self.steps_per_epoch

    def _order(self, domain: str, epoch: int) -> Any:
        known = self._orders.get(domain)
        if known is None or known[0] != epoch:
            order = stream(self._options.seed, "order", domain, epoch).permutation(len(self._images[domain]))
            known = self._orders[domain] = (epoch, order)
        return known[1]

    def _pick(self, domain: str, step: int) -> Any:
        size = self._options.batch_size
        start = (step - 1) % self.steps_per_epoch * size
        chosen = self._order(domain, self.epoch_of(step))[start : start + size]
        images = self._images[domain][chosen]
        if self._options.flip:
            flipped = stream(self._options.seed, "flip", domain, step).randint(0, 2, size).astype(bool)
            images[flipped] = images[flipped, :, ::-1]
        return images

    def batch(self, step: int) -> Batch:
        options = self._options
        shape = (options.batch_size, 1, 1, 1)
        epsilon = stream(options.seed, "epsilon", step).random_sample((2,) + shape).astype(np.float32)
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
        self._next: Optional["Future[Batch]"] = None
        self._next_step = 0

    def __enter__(self) -> "Prefetch":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._pool.shutdown()

    def batch(self, step: int) -> Batch:
        if self._next is None or self._next_step != step:
            self._next = self._pool.submit(self._data.batch, step)
        present, self._next_step = self._next, step + 1
        self._next = self._pool.submit(self._data.batch, step + 1)
        return present.result()


def training_data(options: TrainOptions, digest: str, cache: Path) -> TrainingData:
    """The training images of ``options.data_dir``, decoded once into ``cache``."""
    A, B = (
        decoded_images(Path(options.data_dir), "train", domain, options.image_size, channels, digest, cache)[0]
        for domain, channels in (("A", options.A_channels), ("B", options.B_channels))
    )
    return TrainingData(A, B, options)
