"""Decide if a retrain is due, and let concurrent callers submit only one run."""

import contextlib
import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from datetime import datetime
from itertools import count
from typing import Any

from mlflow.entities.model_registry import ModelVersion

from components.dataset.sources import LocalFolder, S3Location, parse_source
from components.publish.candidate import CHAMPION, model_name
from components.tracking.reasons import explain
from components.tracking.runs import version_with_alias
from components.tracking.store import connect
from components.train.runtimes import code_digest
from dualgan.errors import DualGANError
from dualgan.run_folder import read_json
from pipelines.fingerprint import fingerprint
from pipelines.kfp_api import AlreadyThere, KfpApi
from pipelines.profile import Profile

DAY = 86400.0
# How long a caller that has claimed a retrain may take to submit it.
GRACE_SECONDS = 600.0
# What the tags of a model version stand for.
IN_WORDS = {
    "code_digest": "the trainer's code",
    "profile": "the profile",
    "images_digest": "the images",
    "bounds_digest": "the bounds or the reference",
    "options_digest": "the training options, seeds or environments",
    "dataset_digest": "the dataset",
}


def champion_of(dataset: str, tracking_uri: str, model: str | None = None) -> ModelVersion | None:
    """Return the champion of the registered model of ``dataset``, None if there is none yet."""
    try:
        return version_with_alias(connect(tracking_uri), model or model_name(dataset), CHAMPION)
    except Exception as error:
        # MLflow raises whatever its client or the network had to say.
        raise DualGANError(explain(error, tracking_uri)) from None


def decide(
    profile: Profile, champion: ModelVersion | None, dataset_digest: str | None, max_age_days: float | None, now: float
) -> tuple[list[str], str]:
    """Return the reasons to train ``profile`` again, and a key that is the same for all who decide the same.

    dataset_digest: of the data as they are now, None if unknown; max_age_days: None for any; now: seconds since 1970.
    """
    present = {"code_digest": code_digest(), **fingerprint(profile)}
    if dataset_digest:
        present["dataset_digest"] = dataset_digest
    age = (now - champion.creation_timestamp / 1000) / DAY if champion else 0.0
    periods = int(age // max_age_days) if max_age_days else 0
    content = [profile.dataset, str(champion.version) if champion else None, periods, sorted(present.items())]
    key = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]
    if champion is None:
        return ["there is no champion yet"], key
    which, reasons = f"the champion, version {champion.version}", []
    for tag, value in present.items():
        if tag not in champion.tags:
            reasons.append(f"of {which}, {IN_WORDS[tag]} is not recorded")
        elif champion.tags[tag] != value:
            reasons.append(f"{IN_WORDS[tag]} changed since {which}")
    if periods:
        reasons.append(f"{which}, is {age:.0f} days old; {max_age_days:g} are allowed")
    return reasons, key


def claim(api: KfpApi, name: str, attempts: int, force: bool = False) -> tuple[str | None, str]:
    """Win the right to submit the retrain ``name``, or learn who has it.

    An experiment of that name is the lock: KFP lets only one caller create it, in which the run then is. A run that
    failed, or a caller that never submitted, gives way to the next of at most ``attempts`` experiments. ``force``: so
    does a run that succeeded.

    Returns:
        The id of the experiment to submit in, or None and what another call does or did.

    Raises:
        DualGANError: All attempts failed.
    """
    mine = secrets.token_hex(8)
    for number in count(1) if force else range(1, attempts + 1):
        experiment = name if number == 1 else f"{name}-{number}"
        try:
            return api.new_experiment(experiment, f"Retrain; claimed by {mine}."), ""
        except AlreadyThere:
            found = api.find_experiment(experiment)
        if mine in (found.get("description") or ""):
            # The answer to our first try was lost.
            return str(found["experiment_id"]), ""
        if taken := _taken(api, found, force, time.time()):
            return None, taken
    raise DualGANError(f"retrain {name} failed {attempts} times; see its runs, then --force")


def _taken(api: KfpApi, experiment: Mapping[str, Any], force: bool, now: float) -> str | None:
    """Say why an experiment that another call made is not to be followed by another, None if it is."""
    run = next(api.runs(experiment["experiment_id"]), None)
    if run is None:
        try:
            made = datetime.fromisoformat(experiment["created_at"]).timestamp()
        except (KeyError, ValueError, TypeError):
            made = 0.0
        return "another call is submitting it" if now - made < GRACE_SECONDS else None
    state, is_again = run.get("state"), "its verdict left the champion as it is; --force does it again"
    if state in ("FAILED", "CANCELED", "SKIPPED") or (force and state == "SUCCEEDED"):
        return None
    return f"run {run['run_id']} " + (f"did just that, and {is_again}" if state == "SUCCEEDED" else "does it already")


def present_digest(source: str) -> str | None:
    """Return what the dataset.json of a folder says, here or in S3; None if a source has no such file."""
    place = parse_source(source)
    if isinstance(place, LocalFolder) and (place.path / "dataset.json").is_file():
        with contextlib.suppress(ValueError):
            digest = read_json(place.path / "dataset.json").get("digest")
            return str(digest) if digest else None
    if not isinstance(place, S3Location):
        return None
    from components.common.s3 import client, failures, object_at, read_object
    from components.dataset.collection import MAX_MANIFEST, read_manifest

    s3, key = client(), f"{place.key}/dataset.json".lstrip("/")
    with failures(place.source, place.bucket):
        if object_at(s3, place.bucket, key) is None:
            return None
        found = read_manifest(read_object(s3, place.bucket, key, MAX_MANIFEST))
    return found.digest if found else None
