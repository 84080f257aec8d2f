"""The two generators as an MLflow model: frozen graphs, code, signature, example and requirements."""

import contextlib
import importlib.metadata
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
from mlflow.models import Model, ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types import ParamSchema, ParamSpec, Schema, TensorSpec

from components.train.leg import LegSettings, require_success, run_dualgan

CODE = Path(__file__).with_name("served_model.py")
DIRECTIONS = ("A2B", "B2A")
TENSORFLOW_PACKAGES = ("tensorflow", "tensorflow-cpu")
VALUES = {
    "layout": "NHWC",
    "dtype": "uint8",
    "channel_order": "RGB",
    "range": "0 to 255",
    "resizing": "to height x width, Pillow's bilinear filter",
    "parameter direction": "A2B (default) or B2A",
}


def export_graphs(leg: LegSettings, run: Path, output: Path) -> None:
    """Make the folder ``output`` with A2B.pb, B2A.pb and signature.json of the newest checkpoint of ``run``.

    The runtime that trained the leg makes them. Raises BadInput or DualGANError, with the exporter's own line, if that
    fails.
    """
    require_success(leg, run_dualgan(leg, ["export", "--run_dir", str(run), "--output", str(output)]))


def save_package(
    client: MlflowClient,
    graphs: Path,
    signature: Mapping[str, Any],
    *,
    run_id: str,
    model_id: str,
    metadata: Mapping[str, str],
) -> None:
    """Pack ``graphs``, the folder of an export whose signature.json is ``signature``, into the logged model."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        with _quiet():
            mlflow.pyfunc.save_model(
                path,
                python_model=str(CODE),
                artifacts={direction: str(graphs / f"{direction}.pb") for direction in DIRECTIONS},
                signature=model_signature(signature),
                input_example=(example_image(signature), {"direction": DIRECTIONS[0]}),
                pip_requirements=requirements(),
                metadata={**metadata, "images": VALUES},
                mlflow_model=Model(run_id=run_id, model_id=model_id),
            )
        client.log_model_artifacts(model_id, str(path))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without MLflow's advice to whoever writes a model: type hints, and that this environment has no pip."""
    logger = logging.getLogger("mlflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def model_signature(signature: Mapping[str, Any]) -> ModelSignature:
    """Return uint8 [N, S, S, C] to the same. If the domains have different channels, any number of them is let in."""
    height, width = signature["input"]["height"], signature["input"]["width"]
    channels = {count for graph in signature["graphs"].values() for count in graph.values()}
    shape = (-1, height, width, channels.pop() if len(channels) == 1 else -1)
    images = Schema([TensorSpec(np.dtype(np.uint8), shape)])
    return ModelSignature(images, images, ParamSchema([ParamSpec("direction", "string", DIRECTIONS[0])]))


def example_image(signature: Mapping[str, Any]) -> Any:
    """Return a small image of the right shape: shades from black to white."""
    height, width = signature["input"]["height"], signature["input"]["width"]
    channels = signature["graphs"][f"{DIRECTIONS[0]}.pb"]["input_channels"]
    shades = np.linspace(0, 255, width).astype(np.uint8)
    return np.broadcast_to(shades[None, None, :, None], (1, height, width, channels)).copy()


def requirements() -> list[str]:
    """Return what serving needs, in the versions that are installed here."""
    found = [f"mlflow=={mlflow.__version__}", f"numpy=={np.__version__}"]
    for package in TENSORFLOW_PACKAGES:
        try:
            return [*found, f"{package}=={importlib.metadata.version(package)}"]
        except importlib.metadata.PackageNotFoundError:
            continue
    return [*found, "tensorflow>=2.9"]
