"""What a training step is fed, and its signature, which takes no notice of how a decoder rounds."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from dualgan.errors import BadInput
from dualgan.feed import FeedSignature, Prefetch, TrainingData
from dualgan.options import TrainOptions
from dualgan.tensorflow_v1 import tf

A = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
B = np.arange(7, dtype=np.uint8)[:, None, None, None] + np.arange(4, dtype=np.uint8)[None, None, :, None] * 10
B = B * np.ones((1, 4, 1, 3), np.uint8)


def data(**options: object) -> TrainingData:
    return TrainingData(A, B, TrainOptions(**options))  # type: ignore[arg-type]


def test_an_epoch_shows_each_image_once_in_an_order_of_its_own() -> None:
    feed = data()
    orders = [[int(feed.batch(5 * epoch + step).A[0, 0, 0, 0]) for step in range(1, 6)] for epoch in range(3)]
    assert all(sorted(order) == [0, 1, 2, 3, 4] for order in orders)
    assert orders[0] != orders[1] != orders[2]


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    straight, jumping = data(seed=3, flip=True, dropout_rate=0.5), data(seed=3, flip=True, dropout_rate=0.5)
    in_order = [straight.batch(step) for step in range(1, 14)]
    again = jumping.batch(13)
    for one, other in zip(in_order[-1], again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(again.epsilon_A, data(seed=4).batch(13).epsilon_A)


def test_flips_mirror_half_of_the_images_and_dropout_drops_its_share() -> None:
    mirrored = [bool(data(flip=True).batch(step).B[0, 0, 0, 0] >= 30) for step in range(1, 201)]
    assert 70 < sum(mirrored) < 130
    assert not any(data().batch(step).B[0, 0, 0, 0] >= 30 for step in range(1, 21))
    kept = data(dropout_rate=0.25, image_size=32).batch(1).dropout
    assert kept is not None and abs(kept.mean() - 0.75) < 0.02


def test_epsilon_lies_in_0_1_and_differs_between_domains_and_steps() -> None:
    batches = [data(batch_size=2).batch(step) for step in (1, 2)]
    values = [value for batch in batches for epsilon in (batch.epsilon_A, batch.epsilon_B) for value in epsilon.flat]
    assert len(set(values)) == 8 and all(0 <= value < 1 for value in values)


def test_prefetching_changes_nothing() -> None:
    feed = data(seed=1)
    with Prefetch(data(seed=1)) as prefetch:
        for step in (1, 2, 3, 9, 4):
            np.testing.assert_array_equal(prefetch.batch(step).A, feed.batch(step).A)


def test_more_images_a_batch_than_there_are_is_an_error() -> None:
    with pytest.raises(BadInput, match="5 images of A, 7 of B"):
        data(batch_size=6)


# compare's bound, components.compare.bounds.Bounds.max_feed_difference.
BOUND = 0.1


class Runs:
    """A graph of two runs a step that do nothing but take images, and the signature of what they are fed."""

    def __init__(self, session: tf.Session, side: int) -> None:
        placeholder = tf.placeholder(tf.uint8, [1, side, side, 3])
        self._signature = FeedSignature(session)
        self._run = self._signature.make_callable(tf.shape(placeholder), feed_list=[placeholder])

    def step(self, *images: NDArray[np.uint8]) -> list[float]:
        """The signature of a step that feeds each of ``images`` in a run of its own."""
        for image in images:
            np.testing.assert_array_equal(self._run(image), image.shape)
        return self._signature.take()


@pytest.fixture(params=[32, 256])
def runs(request: pytest.FixtureRequest) -> Iterator[Runs]:
    with tf.Graph().as_default(), tf.Session() as session:
        yield Runs(session, request.param)


@pytest.fixture
def picture(request: pytest.FixtureRequest) -> NDArray[np.uint8]:
    """A smooth coloured picture of the size that ``runs`` takes."""
    side = request.node.callspec.params["runs"]
    down, across = np.mgrid[0:side, 0:side] / side
    channels = [200 * across, 120 * down + 40, 255 * (1 - across) * down]
    return np.stack(channels, axis=-1)[np.newaxis].astype(np.uint8)


def test_signatures_tell_other_images_from_other_rounding(runs: Runs, picture: NDArray[np.uint8]) -> None:
    honest = runs.step(picture)
    assert honest == runs.step(picture.copy(), picture)
    noise = np.random.default_rng(0).integers(-1, 2, picture.shape)
    rounded = np.clip(picture.astype(int) + noise, 0, 255).astype(np.uint8)
    assert largest_difference(honest, runs.step(rounded)) < BOUND
    assert largest_difference(honest, runs.step(picture[:, :, ::-1])) > BOUND
    assert largest_difference(honest, runs.step(picture[..., ::-1])) > BOUND
    # Critics that are fed otherwise than generators.
    other = runs.step(255 - picture)
    assert runs.step(picture, 255 - picture) == honest[:1] + other[1:]


def largest_difference(one: list[float], other: list[float]) -> float:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))
