"""Fingerprint of a profile's options and legs: a published model is tagged with it, to tell a change later."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pipelines.profile import Profile


def fingerprint(profile: Profile) -> dict[str, str]:
    """Return tags of a model version: the profile's name, and checksums of its images, bounds and training options."""
    named = {"": profile.image, **{leg.name: leg.image or profile.image for leg in profile.legs}}
    # By its digest an image is the same in every registry.
    images = {name: image.partition("@")[2] or image for name, image in named.items()}
    options = {"options": dict(profile.options), "seeds": list(profile.seeds)}
    environments = {leg.name: [leg.runtime, leg.device, dict(leg.environment)] for leg in profile.legs}
    judged = {"bounds": dict(profile.bounds), "reference": profile.reference or profile.recorded_reference}
    return {
        "profile": profile.name,
        "images_digest": _digest(images),
        "bounds_digest": _digest(judged),
        "options_digest": _digest({**options, "legs": environments}),
    }


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
