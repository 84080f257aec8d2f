"""Whether profiles can run on a cluster, as far as that can be told without one."""

import re
from dataclasses import dataclass
from pathlib import Path

from components.dataset.sources import parse_source
from dualgan.errors import BadInput, DualGANError
from pipelines.kubernetes_rules import is_pinned
from pipelines.package import Package, package_of
from pipelines.profile import Profile, load_profile

IMAGES = Path(__file__).resolve().parents[1] / "images"
OWN_IMAGE = re.compile(r"(?:.*/)?dualgan-parity/([a-z0-9-]+)[:@].*")


@dataclass(frozen=True)
class Checked:
    """The outcome for the profile called ``name``; ``problem`` is None if it is sound."""

    name: str
    tasks: int
    problem: str | None


def check(name: str, dataset: str | None = None) -> Checked:
    """Look at one profile: its file, its images' names, its compiled package against KFP's own definition.

    dataset: a source in place of the profile's own.
    """
    try:
        profile = load_profile(name)
        source = profile.source(dataset)
        parse_source(source)
        _require_sound_images(profile)
        package = package_of(profile)
        _require_valid(package)
        package.checked({"dataset": source, "options": dict(profile.options)})
    except DualGANError as error:
        return Checked(name, 0, str(error))
    return Checked(name, len(package.specification["root"]["dag"]["tasks"]), None)


def _require_sound_images(profile: Profile) -> None:
    known = sorted(path.name for path in IMAGES.iterdir() if path.is_dir()) if IMAGES.is_dir() else []
    for image in [profile.image, *(leg.image for leg in profile.legs if leg.image)]:
        if not is_pinned(image):
            raise BadInput(f"image {image} has neither tag nor digest: which one runs would change unseen")
        own = OWN_IMAGE.fullmatch(image)
        if own and known and own[1] not in known:
            raise BadInput(f"image {image}: this repository makes no such image; it makes {', '.join(known)}")


def _require_valid(package: Package) -> None:
    """Raise BadInput where KFP's protocol buffers do not take the package."""
    from google.protobuf import json_format
    from kfp.kubernetes import kubernetes_executor_config_pb2
    from kfp.pipeline_spec import pipeline_spec_pb2

    try:
        json_format.ParseDict(dict(package.specification), pipeline_spec_pb2.PipelineSpec())
        json_format.ParseDict(dict(package.platform), pipeline_spec_pb2.PlatformSpec())
        for executor in _executors(package).values():
            json_format.ParseDict(executor, kubernetes_executor_config_pb2.KubernetesExecutorConfig())
    except json_format.ParseError as error:
        raise BadInput(f"the compiled package is not valid: {error}") from None


def _executors(package: Package) -> dict[str, object]:
    platforms = package.platform.get("platforms", {})
    return dict(platforms.get("kubernetes", {}).get("deploymentSpec", {}).get("executors", {}))
