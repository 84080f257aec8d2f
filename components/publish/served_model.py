"""The model that MLflow serves: the two generators as a pyfunc model.

MLflow keeps and runs this file; it imports none of ours.

An image is uint8 [N, S, S, C], RGB, 0 to 255, and so is the answer. The parameter ``direction`` is A2B or B2A.
"""

import json
import sys
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
from mlflow.models import set_model

DIRECTIONS = ("A2B", "B2A")
INPUT, OUTPUT = "img:0", "output:0"
SCORING_SERVER = "mlflow.pyfunc.scoring_server"
MAX_DIGITS = 18


class DualGAN(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Draws images of one domain as images of the other."""

    def load_context(self, context: Any) -> None:
        # The server casts what it reads to the signature's type before the model sees it.
        if server := sys.modules.get(SCORING_SERVER):
            vars(server)["_decode_json_input"] = read_request
        self._generators = {direction: _generator(Path(context.artifacts[direction])) for direction in DIRECTIONS}

    # MLflow asks for a type of the input, and looks into no array's: the signature is what is checked.
    def predict(self, context: Any, model_input: np.ndarray, params: dict[str, Any] | None = None) -> Any:
        direction = (params or {}).get("direction", DIRECTIONS[0])
        if direction not in DIRECTIONS:
            raise mlflow.exceptions.MlflowException.invalid_parameter_value(
                f"direction {direction!r}: must be one of {', '.join(DIRECTIONS)}"
            )
        images = np.asarray(model_input).astype(np.float32) / 127.5 - 1
        # The graphs take one image at a time, as they were trained.
        drawn = np.concatenate([self._generators[direction](image[None]) for image in images])
        return np.clip(np.rint((drawn + 1) * 127.5), 0, 255).astype(np.uint8)


def read_request(text: str | bytes) -> dict[str, Any]:
    """Read a request in JSON, in place of MLflow's reader, which fails on deep JSON and lets fractions be cut off.

    Raises:
        MlflowException: It is none, or a number in it is not whole; the server answers 400 with the reason.
    """
    try:
        request = json.loads(text, parse_int=_whole, parse_float=_whole, parse_constant=_whole)
        if isinstance(request, dict):
            return request
        reason = "must be an object with inputs or instances"
    except RecursionError:
        reason = "nested too deeply"
    except ValueError as error:
        reason = str(error)
    raise mlflow.exceptions.MlflowException.invalid_parameter_value(f"request in JSON: {reason}")


def _whole(text: str) -> int:
    """Return a number of a request. Raises ValueError unless it is whole and of a size that NumPy can judge."""
    if text.removeprefix("-").isdigit() and len(text) <= MAX_DIGITS:
        return int(text)
    number = float(text)
    if not number.is_integer() or abs(number) >= 10**MAX_DIGITS:
        raise ValueError(f"{text[:MAX_DIGITS]}: values must be whole numbers from 0 to 255")
    return int(number)


def _generator(file: Path) -> Any:
    """A function of float32 [1, S, S, C] in [-1, 1] to the same, from a frozen graph of any TensorFlow."""
    import tensorflow as tf

    definition = tf.compat.v1.GraphDef()
    definition.ParseFromString(file.read_bytes())
    wrapped = tf.compat.v1.wrap_function(lambda: tf.compat.v1.import_graph_def(definition, name=""), [])
    pruned = wrapped.prune(wrapped.graph.as_graph_element(INPUT), wrapped.graph.as_graph_element(OUTPUT))
    return lambda image: pruned(tf.constant(image)).numpy()


set_model(DualGAN())
