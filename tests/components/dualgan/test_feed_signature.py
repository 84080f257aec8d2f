"""The signature of what a step was fed: it tells batches apart, and takes no notice of how a decoder rounds."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from dualgan.feed import FeedSignature
from dualgan.tensorflow_v1 import tf

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


def test_equal_images_have_equal_signatures(runs: Runs, picture: NDArray[np.uint8]) -> None:
    assert runs.step(picture) == runs.step(picture.copy(), picture)


def test_a_decoder_that_rounds_otherwise_is_within_the_bound(runs: Runs, picture: NDArray[np.uint8]) -> None:
    noise = np.random.default_rng(0).integers(-1, 2, picture.shape)
    rounded = np.clip(picture.astype(int) + noise, 0, 255).astype(np.uint8)
    assert largest_difference(runs.step(picture), runs.step(rounded)) < BOUND


def test_mirrored_images_and_swapped_channels_are_outside(runs: Runs, picture: NDArray[np.uint8]) -> None:
    honest = runs.step(picture)
    assert largest_difference(honest, runs.step(picture[:, :, ::-1])) > BOUND
    assert largest_difference(honest, runs.step(picture[..., ::-1])) > BOUND


def test_critics_that_are_fed_otherwise_than_generators_show(runs: Runs, picture: NDArray[np.uint8]) -> None:
    one, other = runs.step(picture), runs.step(255 - picture)
    both = runs.step(picture, 255 - picture)
    assert both == one[:1] + other[1:]


def largest_difference(one: list[float], other: list[float]) -> float:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))
