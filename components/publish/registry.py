"""The model registry of MLflow: one model version a candidate, found again however often it is published."""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow.entities import LoggedModelOutput, LoggedModelStatus, Metric, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from components.publish.package import save_package
from components.publish.promotion import LOSSES, Standing
from components.tracking.entities import DATASET_DIGEST_LENGTH
from components.tracking.runs import equals, version_with_alias

STEP_TAG = "step"
# Metrics of the leg's run that say how good the model is; the curves stay with the run.
SUMMARY_PREFIX, PARITY_PREFIX = "summary/", "parity/"


@dataclass(frozen=True)
class Entry:
    """What a model version says of itself."""

    name: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    dataset_name: str
    dataset_digest: str
    description: str


def find_version(client: MlflowClient, name: str, run_id: str, step: int) -> ModelVersion | None:
    """Return the version of this step of this run, None if there is none.

    Not by the content of the graphs: each TensorFlow writes the same weights down in its own way.
    """
    found = client.search_model_versions(f"{equals('name', name)} and {equals('run_id', run_id)}")
    same = [version for version in found if version.tags.get(STEP_TAG) == str(step)]
    return min(same, key=lambda version: int(version.version), default=None)


def logged_model_id(version: ModelVersion) -> str:
    """Return the id of the logged model behind a version; a store without a server leaves ``version.model_id`` out."""
    return str(version.source).removeprefix("models:/")


def register(client: MlflowClient, entry: Entry, run: Run, graphs: Path, signature: Mapping[str, Any]) -> ModelVersion:
    """Return a new version of ``entry.name``: the packed model below its run, as a logged model of the experiment."""
    run_id, step = run.info.run_id, int(signature["step"])
    try:
        client.create_registered_model(entry.name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    # Of fewer characters than a registered model's, and no key.
    name = re.sub(r"[/:.%\"']", "_", entry.name)
    logged = client.create_logged_model(
        run.info.experiment_id, name, run_id, tags=dict(entry.tags), params=dict(entry.params)
    )
    model_id = logged.model_id
    try:
        save_package(client, graphs, signature, run_id=run_id, model_id=model_id, metadata=dict(entry.tags))
        client.log_outputs(run_id, [LoggedModelOutput(model_id, step)])
    except BaseException:
        client.finalize_logged_model(model_id, LoggedModelStatus.FAILED)
        raise
    client.finalize_logged_model(model_id, LoggedModelStatus.READY)
    with _store_of(client):
        return client.create_model_version(
            entry.name,
            f"models:/{model_id}",
            run_id=run_id,
            tags=dict(entry.tags),
            description=entry.description,
            model_id=model_id,
        )


@contextlib.contextmanager
def _store_of(client: MlflowClient) -> Iterator[None]:
    """Without a server, MLflow looks a model's address up in the store that the environment names."""
    name = "MLFLOW_TRACKING_URI"
    before = os.environ.get(name)
    os.environ[name] = client.tracking_uri
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def link_metrics(client: MlflowClient, version: ModelVersion, entry: Entry, run: Run, prefix: str) -> None:
    """Show the last values of ``run``'s metrics that begin with ``prefix`` at the model, with the dataset behind them.

    A point is sent as the run has it, so that the run has it once.
    """
    metrics = [
        Metric(
            metric.key,
            metric.value,
            metric.timestamp,
            metric.step,
            model_id=logged_model_id(version),
            dataset_name=entry.dataset_name,
            dataset_digest=entry.dataset_digest[:DATASET_DIGEST_LENGTH],
            run_id=run.info.run_id,
        )
        for metric in run.data.to_proto().metrics
        if metric.key.startswith(prefix)
    ]
    if metrics:
        client.log_batch(run.info.run_id, metrics=metrics)


def standing_of(client: MlflowClient, name: str, alias: str) -> Standing | None:
    """Return what speaks for the version that has ``alias``, None if no version has it."""
    version = version_with_alias(client, name, alias)
    if version is None:
        return None
    tags = version.tags
    losses = {loss: number for loss in LOSSES if (number := _number(tags.get(loss))) is not None}
    return Standing(
        version=str(version.version),
        verdict=tags.get("verdict", ""),
        dataset_digest=tags.get("dataset_digest", ""),
        image_size=int(_number(tags.get("image_size")) or 0),
        losses=losses,
    )


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None
