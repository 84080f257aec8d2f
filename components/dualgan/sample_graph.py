"""The graph that draws with both generators: a sixth of the operations that a step's graph has."""

from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from dualgan import networks
from dualgan.layers import Kernels
from dualgan.losses import Translations
from dualgan.networks import Shape, VariableSpec, Weights
from dualgan.tensorflow_v1 import tf

Tensor = Any


def normalised(images: Tensor) -> Tensor:
    """uint8 0..255 to float32 [-1, 1]."""
    return tf.cast(images, tf.float32) / 127.5 - 1.0


def create_variables(specs: Sequence[VariableSpec], use_resource: bool = True) -> Dict[str, Any]:
    """Variables by name, zero until they are loaded or restored."""
    return {
        spec.name: tf.get_variable(spec.name, spec.shape, tf.float32, tf.zeros_initializer(), use_resource=use_resource)
        for spec in specs
    }


def values_of(variables: Sequence[Any], after: Sequence[Any] = ()) -> Weights:
    """The values of ``variables``, by name, once the operations ``after`` have run."""
    with tf.control_dependencies(list(after)):
        return {variable.op.name: variable.read_value() for variable in variables}


def translate(
    real_A: Tensor,
    real_B: Tensor,
    weights: Weights,
    kernels: Kernels,
    masks: Optional[Sequence[Optional[List[Tensor]]]] = None,
    dropout_rate: float = 0.0,
) -> Translations:
    """Both domains there and back. masks: what each of the four passes keeps; None, and no dropout, when drawing."""
    of_A2B, of_B2A, of_A2B2A, of_B2A2B = masks or [None] * 4
    A2B = networks.generator(real_A, weights, "A_g", of_A2B, dropout_rate, kernels)
    B2A = networks.generator(real_B, weights, "B_g", of_B2A, dropout_rate, kernels)
    A2B2A = networks.generator(A2B, weights, "B_g", of_A2B2A, dropout_rate, kernels)
    B2A2B = networks.generator(B2A, weights, "A_g", of_B2A2B, dropout_rate, kernels)
    return Translations(real_A, A2B, A2B2A, real_B, B2A, B2A2B)


class SampleGraph:
    """Placeholders of a pair of images, and what the generators make of it, in the current default graph."""

    def __init__(self, shape: Shape, generators: Sequence[Any], kernels: Kernels) -> None:
        """generators: the variables of both."""
        side = shape.image_size
        self._A = tf.placeholder(tf.uint8, [1, side, side, shape.A_channels], "img_A")
        self._B = tf.placeholder(tf.uint8, [1, side, side, shape.B_channels], "img_B")
        self._samples = translate(normalised(self._A), normalised(self._B), values_of(generators), kernels)

    def sample_callable(self, session: Any) -> Callable[[Any, Any], Translations]:
        """A function of two uint8 images [1, S, S, C] that gives float32 translations, without dropout."""
        fetches: Tuple[Tensor, ...] = tuple(self._samples)
        run = session.make_callable(fetches, feed_list=[self._A, self._B])
        return lambda A, B: Translations(*run(A, B))
