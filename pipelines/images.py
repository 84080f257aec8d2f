"""Which images a package runs: those that were pushed, by digest, or those of a registry and a tag."""

import re
from collections.abc import Callable
from pathlib import Path

from components.common.image_list import REPOSITORY, name_in, read_images
from components.common.revision import code_commit
from dualgan.errors import BadInput
from pipelines.profile import Profile

OWN_IMAGE = re.compile(rf"(?:.*/)?{REPOSITORY}/([a-z0-9-]+)[:@].*")


def with_pushed_images(profile: Profile, file: Path) -> Profile:
    """Return the profile with every image by its digest, as the list ``file`` has it, or as the profile itself says.

    Raises BadInput for an image without a digest, of another revision than this code, or of another architecture than
    the nodes that it is asked for.
    """
    pushed, revision = read_images(file), code_commit()

    def reference(image: str, architecture: str | None) -> str:
        own = OWN_IMAGE.fullmatch(image)
        found = pushed.get(own[1]) if own else None
        if found is None:
            if "@" in image:
                return image
            listed = ", ".join(pushed) or "nothing"
            raise BadInput(f"image {image}: {file} has {listed}; push it as well, or name it by digest in the profile")
        if revision and found.revision != revision:
            raise BadInput(
                f"{file}: image {found.name} is of revision {found.revision}, this code of {revision}: check out "
                f"{found.revision}, or push the images of {revision}"
            )
        if architecture in ("amd64", "arm64") and architecture not in found.architectures:
            built = ", ".join(found.architectures)
            raise BadInput(f"{file}: image {found.name} is for {built}; profile {profile.name} asks for {architecture}")
        return found.reference

    return _renamed(profile, reference)


def with_registry(profile: Profile, registry: str, tag: str) -> Profile:
    """Return the profile with the images of this repository as ``registry`` has them under ``tag``."""

    def renamed(image: str, _: str | None) -> str:
        own = OWN_IMAGE.fullmatch(image)
        return name_in(registry, own[1], tag) if own else image

    return _renamed(profile, renamed)


def _renamed(profile: Profile, rename: Callable[[str, str | None], str]) -> Profile:
    """Return the profile with each image renamed, by its name and the architecture of its nodes, if that is said."""
    own = profile.resources.architecture
    legs = []
    for leg in profile.legs:
        image = rename(leg.image or profile.image, leg.resources.architecture or (own if leg.device == "cpu" else None))
        legs.append(leg.model_copy(update={"image": image}) if leg.image else leg)
    return profile.model_copy(update={"image": rename(profile.image, own), "legs": tuple(legs)})
