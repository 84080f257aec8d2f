"""Ask, before a run costs anything, whether what its tasks need later is there: dataset, bucket, MLflow."""

import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import requests

from components.common.s3 import TransferInterrupted, client, failures, objects_below, parse_address
from components.dataset.sources import Download, S3Location, parse_source
from components.tracking.reasons import explain
from components.tracking.store import connect, database_of, require_store, resolve_tracking_uri
from dualgan.errors import BadInput, DualGANError

# Seconds to connect, and for an answer to begin. All checks run at once, so a run knows within a minute.
HTTP_TIMEOUT = (10.0, 20.0)
S3_RETRIES, S3_TIMEOUT = 1, 20.0
TAG = "dualgan-parity.preflight"


@dataclass(frozen=True)
class Requirements:
    """What a run needs: a dataset's source, and "" or s3://bucket/prefix for checkpoints.

    tracking_uri: "" means MLFLOW_TRACKING_URI, else a local store; experiment: "" means the dataset's name; on_cluster:
    whether a store that only this process sees is a fault.
    """

    dataset: str
    checkpoints: str = ""
    tracking_uri: str = ""
    experiment: str = ""
    on_cluster: bool = False


def find_faults(needed: Requirements) -> list[DualGANError]:
    """Return the faults of dataset, bucket and MLflow, each in a line; none if the run can start."""

    def fault(check: Callable[[Requirements], None]) -> DualGANError | None:
        try:
            check(needed)
        except DualGANError as error:
            return error
        return None

    checks = (_require_dataset, _require_bucket, _require_mlflow)
    with ThreadPoolExecutor(len(checks)) as pool:
        return [found for found in pool.map(fault, checks) if found]


def require_none(faults: Sequence[DualGANError]) -> None:
    """Raise an error that names all ``faults``, if there are any: BadInput if each of them is wrong input."""
    if faults:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        kind = BadInput if all(isinstance(fault, BadInput) for fault in faults) else DualGANError
        raise kind(f"{count} before the start: {' | '.join(map(str, faults))}")


def _require_dataset(needed: Requirements) -> None:
    """Raise DualGANError if nothing is at the address; what is there is for the dataset task to read."""
    parsed = parse_source(needed.dataset)
    if isinstance(parsed, Download):
        reasons = [reason for url in parsed.urls if (reason := _no_answer(url))]
        if len(reasons) == len(parsed.urls):
            raise DualGANError(f"dataset {parsed.source}: {reasons[0]}; {parsed.advice or 'check the address'}")
    elif isinstance(parsed, S3Location):
        with failures(f"dataset {parsed.source}", parsed.bucket):
            if next(objects_below(client(S3_RETRIES, S3_TIMEOUT), parsed.bucket, parsed.key), None) is None:
                raise BadInput(f"dataset {parsed.source}: there is nothing; check the address")


def _no_answer(url: str) -> str | None:
    """Return why ``url`` cannot be downloaded, None if its first byte can."""
    try:
        with requests.get(url, headers={"Range": "bytes=0-0"}, stream=True, timeout=HTTP_TIMEOUT) as answer:
            return None if answer.ok else f"the server answers {answer.status_code} {answer.reason}".strip()
    except requests.RequestException as error:
        return f"no answer ({type(error).__name__})"


def _require_bucket(needed: Requirements) -> None:
    """Raise DualGANError if an object cannot be written below the address and removed again."""
    if not needed.checkpoints:
        return
    place = parse_address(needed.checkpoints)
    key = f"{place.key}/preflight-{uuid.uuid4().hex}".lstrip("/")
    try:
        with failures(f"checkpoints {place}", place.bucket):
            s3 = client(S3_RETRIES, S3_TIMEOUT)
            s3.put_object(Bucket=place.bucket, Key=key, Body=b"")
            s3.delete_object(Bucket=place.bucket, Key=key)
    except TransferInterrupted as error:
        raise DualGANError(f"{error}; check AWS_ENDPOINT_URL") from None


def _require_mlflow(needed: Requirements) -> None:
    """Raise DualGANError if MLflow does not answer, or its account may not write to the experiment or the model."""
    uri = resolve_tracking_uri(needed.tracking_uri or None)
    if database_of(uri):
        if needed.on_cluster:
            raise BadInput("MLflow: no server is named, so nothing would be kept; set MLFLOW_TRACKING_URI for tasks")
        require_store(uri)
        return
    try:
        dataset = parse_source(needed.dataset).name
    except BadInput:
        # The dataset's own check says so.
        return
    from components.publish.candidate import model_name
    from components.tracking.runs import find_experiment

    try:
        client = connect(uri)
        found = find_experiment(client, needed.experiment or dataset)
        # The right to change them is what runs and versions need, and a tag leaves nothing to tidy up.
        if found is not None:
            client.set_experiment_tag(found, TAG, "writable")
        for model in client.search_registered_models(f"name = '{model_name(dataset)}'"):
            client.set_registered_model_tag(model.name, TAG, "writable")
    except DualGANError as error:
        raise DualGANError(f"MLflow {error}") from None
    except Exception as error:
        # MLflow raises whatever its client or the network had to say.
        raise DualGANError(f"MLflow {explain(error, uri)}") from None
