"""Register a candidate in MLflow's model registry: one version a candidate, which publishing it again finds.

The model is the two generators as a pyfunc model: frozen graphs, code, signature, example and requirements.
"""

import contextlib
import importlib.metadata
import logging
import os
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
from mlflow.entities import Dataset, LoggedModelOutput, LoggedModelStatus, Metric, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types import ParamSchema, ParamSpec, Schema, TensorSpec

from components.tracking.runs import equals
from components.tracking.store import TRACKING_VARIABLE
from components.train.leg import LegSettings, require_success, run_dualgan
from dualgan.json_files import read_json

STEP_TAG = "step"
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


@dataclass(frozen=True)
class Graphs:
    """The folder of an export: A2B.pb, B2A.pb, and signature.json with ``signature``."""

    folder: Path
    signature: Mapping[str, Any]

    @property
    def step(self) -> int:
        return int(self.signature["step"])


def export_graphs(leg: LegSettings, run: Path, output: Path) -> Graphs:
    """Export the newest checkpoint of ``run`` into the folder ``output``, with the runtime that trained the leg.

    Raises:
        BadInput, DualGANError: That fails, with the exporter's own line.
    """
    require_success(leg, run_dualgan(leg, ["export", "--run_dir", str(run), "--output", str(output)]))
    return Graphs(output, read_json(output / "signature.json"))


def find_version(client: MlflowClient, name: str, run_id: str, step: int) -> ModelVersion | None:
    """Return the version of this step of this run, None if there is none.

    Not by the content of the graphs: each TensorFlow writes the same weights down in its own way.
    """
    found = client.search_model_versions(f"{equals('name', name)} and {equals('run_id', run_id)}")
    same = [version for version in found if version.tags.get(STEP_TAG) == str(step)]
    return min(same, key=lambda version: int(version.version), default=None)


def register(
    client: MlflowClient, name: str, run: Run, graphs: Graphs, tags: Mapping[str, str], description: str
) -> ModelVersion:
    """Return a new version of the model ``name``: packed, below its run, as a logged model of the experiment."""
    run_id = run.info.run_id
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    # Of fewer characters than a registered model's, and no key.
    logged_name = re.sub(r"[/:.%\"']", "_", name)
    model_id = client.create_logged_model(
        run.info.experiment_id, logged_name, run_id, tags=dict(tags), params=dict(run.data.params)
    ).model_id
    try:
        _log_package(client, graphs, Model(run_id=run_id, model_id=model_id), tags)
        client.log_outputs(run_id, [LoggedModelOutput(model_id, graphs.step)])
    except BaseException:
        client.finalize_logged_model(model_id, LoggedModelStatus.FAILED)
        raise
    client.finalize_logged_model(model_id, LoggedModelStatus.READY)
    source = f"models:/{model_id}"
    with _store_of(client):
        return client.create_model_version(name, source, run_id, dict(tags), description=description, model_id=model_id)


@contextlib.contextmanager
def _store_of(client: MlflowClient) -> Iterator[None]:
    """Without a server, MLflow looks a model's address up in the store that the environment names."""
    before = os.environ.get(TRACKING_VARIABLE)
    os.environ[TRACKING_VARIABLE] = client.tracking_uri
    try:
        yield
    finally:
        del os.environ[TRACKING_VARIABLE]
        if before is not None:
            os.environ[TRACKING_VARIABLE] = before


def _log_package(client: MlflowClient, graphs: Graphs, model: Model, tags: Mapping[str, str]) -> None:
    logger = logging.getLogger("mlflow")
    level = logger.level
    # MLflow's advice to whoever writes a model: type hints, and that this environment has no pip.
    logger.setLevel(logging.ERROR)
    try:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(action="ignore"):
            path = Path(folder) / "model"
            mlflow.pyfunc.save_model(
                path,
                python_model=str(CODE),
                artifacts={direction: str(graphs.folder / f"{direction}.pb") for direction in DIRECTIONS},
                signature=_signature(graphs.signature),
                input_example=(_example(graphs.signature), {"direction": DIRECTIONS[0]}),
                pip_requirements=_requirements(),
                metadata={**tags, "images": VALUES},
                mlflow_model=model,
            )
            client.log_model_artifacts(model.model_id, str(path))
    finally:
        logger.setLevel(level)


def _signature(signature: Mapping[str, Any]) -> ModelSignature:
    """Return uint8 [N, S, S, C] to the same. If the domains have different channels, any number of them is let in."""
    height, width = signature["input"]["height"], signature["input"]["width"]
    channels = {count for graph in signature["graphs"].values() for count in graph.values()}
    shape = (-1, height, width, channels.pop() if len(channels) == 1 else -1)
    images = Schema([TensorSpec(np.dtype(np.uint8), shape)])
    return ModelSignature(images, images, ParamSchema([ParamSpec("direction", "string", DIRECTIONS[0])]))


def _example(signature: Mapping[str, Any]) -> Any:
    """Return a small image of the right shape: shades from black to white."""
    height, width = signature["input"]["height"], signature["input"]["width"]
    channels = signature["graphs"][f"{DIRECTIONS[0]}.pb"]["input_channels"]
    shades = np.linspace(0, 255, width).astype(np.uint8)
    return np.broadcast_to(shades[None, None, :, None], (1, height, width, channels)).copy()


def _requirements() -> list[str]:
    """Return what serving needs, in the versions that are installed here."""
    tensorflow = "tensorflow>=2.9"
    for package in TENSORFLOW_PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            tensorflow = f"{package}=={importlib.metadata.version(package)}"
    return [f"mlflow=={mlflow.__version__}", f"numpy=={np.__version__}", tensorflow]


def link_metrics(client: MlflowClient, model_id: str, run: Run, prefix: str, dataset: Dataset) -> None:
    """Show the last values of ``run``'s metrics that begin with ``prefix`` at the model, with the dataset behind them.

    A point is sent as the run has it, so that the run has it once.
    """
    run_id = run.info.run_id
    behind = {"model_id": model_id, "dataset_name": dataset.name, "dataset_digest": dataset.digest, "run_id": run_id}
    metrics = [
        Metric(metric.key, metric.value, metric.timestamp, metric.step, **behind)
        for metric in run.data.to_proto().metrics
        if metric.key.startswith(prefix)
    ]
    if metrics:
        client.log_batch(run_id, metrics=metrics)


def logged_model_id(version: ModelVersion) -> str:
    """Return the id of the logged model behind a version; a store without a server leaves ``version.model_id`` out."""
    return str(version.source).removeprefix("models:/")
