"""Fingerprint of a profile's options and legs: a published model is tagged with it, to tell a change later."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pipelines.profile import Profile

PROFILE_TAG, IMAGES_TAG, BOUNDS_TAG, OPTIONS_TAG = "profile", "images_digest", "bounds_digest", "options_digest"
CODE_TAG = "code_digest"


def fingerprint(profile: Profile) -> dict[str, str]:
    """Return tags of a model version: the profile's name, and checksums of its images, bounds and training options."""
    images = {"": profile.image, **{leg.name: leg.image or profile.image for leg in profile.legs}}
    options = {"options": dict(profile.options), "seeds": list(profile.seeds)}
    environments = {leg.name: [leg.runtime, leg.device, dict(leg.environment)] for leg in profile.legs}
    judged = {"bounds": dict(profile.bounds), "reference": profile.reference or profile.recorded_reference}
    return {
        PROFILE_TAG: profile.name,
        IMAGES_TAG: _digest(images),
        BOUNDS_TAG: _digest(judged),
        OPTIONS_TAG: _digest({**options, "legs": environments}),
    }


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
