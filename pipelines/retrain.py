"""Whether a retrain is due, and submitting it once however many ask at the same time."""

import contextlib
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from components.dataset.sources import LocalFolder, S3Location, parse_source
from components.publish.candidate import CHAMPION, model_name
from components.tracking.reasons import explain
from components.tracking.runs import version_with_alias
from components.tracking.store import connect
from components.train.code_version import code_digest
from dualgan.errors import DualGANError
from dualgan.run_folder import read_json
from pipelines.fingerprint import BOUNDS_TAG, CODE_TAG, IMAGES_TAG, OPTIONS_TAG, PROFILE_TAG, fingerprint
from pipelines.kfp_api import AlreadyThere, KfpApi
from pipelines.profile import Profile

DIGEST_TAG = "dataset_digest"
DAY = 86400.0
# How long a caller that has claimed a retrain may take to submit it.
GRACE_SECONDS = 600.0
IN_WORDS = {
    CODE_TAG: "the trainer's code",
    PROFILE_TAG: "the profile",
    IMAGES_TAG: "the images",
    BOUNDS_TAG: "the bounds or the reference",
    OPTIONS_TAG: "the training options, seeds or environments",
    DIGEST_TAG: "the dataset",
}


@dataclass(frozen=True)
class Champion:
    """A model version that is in use; ``made`` is seconds since 1970."""

    version: str
    made: float
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Decision:
    """Why to retrain: no ``reasons`` if none is due; ``key`` is the same for all who decide the same."""

    reasons: tuple[str, ...]
    key: str


def champion_of(dataset: str, tracking_uri: str, model: str | None = None) -> Champion | None:
    """Return the champion of the registered model of ``dataset``, None if there is none yet."""
    try:
        version = version_with_alias(connect(tracking_uri), model or model_name(dataset), CHAMPION)
    except Exception as error:
        # MLflow raises whatever its client or the network had to say.
        raise DualGANError(explain(error, tracking_uri)) from None
    if version is None:
        return None
    return Champion(str(version.version), version.creation_timestamp / 1000, dict(version.tags))


def decide(
    profile: Profile, champion: Champion | None, dataset_digest: str | None, max_age_days: float | None, now: float
) -> Decision:
    """Decide whether to train ``profile`` again. dataset_digest: of the data as they are now, None if unknown."""
    present = {CODE_TAG: code_digest(), **fingerprint(profile)}
    if dataset_digest:
        present[DIGEST_TAG] = dataset_digest
    age = (now - champion.made) / DAY if champion else 0.0
    periods = int(age // max_age_days) if max_age_days else 0
    content = [profile.dataset, champion.version if champion else None, periods, sorted(present.items())]
    key = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]
    if champion is None:
        return Decision(("there is no champion yet",), key)
    reasons = []
    for tag, value in present.items():
        before = champion.tags.get(tag)
        if before is None:
            reasons.append(f"of the champion, version {champion.version}, {IN_WORDS[tag]} is not recorded")
        elif before != value:
            reasons.append(f"{IN_WORDS[tag]} changed since the champion, version {champion.version}")
    if periods:
        reasons.append(f"the champion, version {champion.version}, is {age:.0f} days old; {max_age_days:g} are allowed")
    return Decision(tuple(reasons), key)


@dataclass(frozen=True)
class Claim:
    """The ``experiment_id`` to submit in, None if another call does or did it, which ``reason`` tells."""

    experiment_id: str | None
    reason: str = ""


def claim(api: KfpApi, name: str, attempts: int, force: bool = False, now: Callable[[], float] = time.time) -> Claim:
    """Win the right to submit the retrain ``name``, or learn who has it.

    An experiment of that name is the lock: KFP lets only one caller create it, in which the run then is. A run that
    failed, or a caller that never submitted, gives way to the next of at most ``attempts`` experiments. ``force``: so
    does a run that succeeded. Raises DualGANError if all attempts failed.
    """
    mine = secrets.token_hex(8)
    number = 0
    while force or number < attempts:
        number += 1
        experiment = name if number == 1 else f"{name}-{number}"
        try:
            return Claim(api.new_experiment(experiment, f"Retrain; claimed by {mine}."))
        except AlreadyThere:
            found = api.find_experiment(experiment)
        if found is None:
            raise DualGANError(f"{api.at.label}: experiment {experiment} is there, yet not listed; is it archived?")
        if mine in (found.description or ""):
            # The answer to our first try was lost.
            return Claim(str(found.experiment_id))
        taken = _taken(api, found, force, now())
        if taken:
            return Claim(None, taken)
    raise DualGANError(f"retrain {name} failed {attempts} times; see its runs, then --force")


def _taken(api: KfpApi, experiment: Any, force: bool, now: float) -> str | None:
    """Say why an experiment that another call made is not to be followed by another, None if it is."""
    runs = api.runs(experiment.experiment_id)
    if not runs:
        made = experiment.created_at or datetime.fromtimestamp(0, UTC)
        made = made if made.tzinfo else made.replace(tzinfo=UTC)
        return "another call is submitting it" if now - made.timestamp() < GRACE_SECONDS else None
    state = runs[0].state
    if state in ("FAILED", "CANCELED", "SKIPPED") or (force and state == "SUCCEEDED"):
        return None
    if state == "SUCCEEDED":
        return f"run {runs[0].run_id} did just that, and its verdict left the champion as it is; --force does it again"
    return f"run {runs[0].run_id} does it already"


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
