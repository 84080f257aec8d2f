"""The docker command that builds an image, with bases from one file and the commit from git."""

import os
import re
import subprocess
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from components.common.yaml_files import read_yaml
from components.train.runtimes import WORKING_TREE, code_commit
from dualgan.errors import BadInput, DualGANError
from images.bases import load_bases

FOLDER = Path(__file__).parent
REPOSITORY = "dualgan-parity"
# Built by `make images`: what a machine with neither an accelerator nor a vendor's login can use.
USUAL = ("cpu", "tf1", "mlflow")
VARIANT = "variant.yaml"
ARGUMENT = re.compile(r"^ARG\s+(\w+)", re.MULTILINE)


class Variant(BaseModel):
    """An image that another one's Dockerfile makes: its folder holds this as variant.yaml.

    image: the other one; arguments: the build arguments that differ, each a value or the name of a base.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: str
    arguments: dict[str, str] = {}


@dataclass(frozen=True)
class BuildOptions:
    """uid, gid: what the image's processes run as; network: of the build's own steps, as ``docker build --network``."""

    uid: int = 1000
    gid: int = 1000
    network: str = "host"
    tag: str | None = None
    arguments: dict[str, str] = field(default_factory=dict)


def known_images() -> list[str]:
    return sorted(file.parent.name for kind in ("Dockerfile", VARIANT) for file in FOLDER.glob(f"*/{kind}"))


def variant_of(name: str) -> Variant:
    """What the image ``name`` is a variant of: itself, unless its folder says otherwise."""
    file = FOLDER / name / VARIANT
    return Variant.model_validate(read_yaml(file)) if file.is_file() else Variant(image=name)


def dockerfile_of(name: str) -> Path:
    """The Dockerfile that makes the image ``name``; it need not be there."""
    return FOLDER / variant_of(name).image / "Dockerfile"


def image_tag(name: str) -> str:
    """The name that profiles and manifests know the image ``name`` by; the MLflow server's tells its version."""
    return f"{REPOSITORY}/{name}:{version('mlflow') if name == 'mlflow' else 'dev'}"


def build_command(name: str, options: BuildOptions) -> list[str]:
    """``docker build`` of the image ``name``, with the arguments that its Dockerfile declares.

    Raises BadInput for an image that has no Dockerfile here, or an argument that it does not declare.
    """
    dockerfile = dockerfile_of(name)
    if not dockerfile.is_file():
        raise BadInput(f"image {name}: unknown; known are {', '.join(known_images())}")
    declared = set(ARGUMENT.findall(dockerfile.read_text(encoding="utf-8")))
    explicit = options.arguments
    if set(explicit) - declared:
        raise BadInput(f"image {name}: no build argument {min(set(explicit) - declared)}; see {dockerfile}")
    known = _known_arguments(options)
    variant = {argument: known.get(value, value) for argument, value in variant_of(name).arguments.items()}
    arguments = {name: value for name, value in (known | variant | explicit).items() if name in declared}
    command = ["docker", "build", "--network", options.network, "--file", str(dockerfile)]
    command += ["--tag", options.tag or image_tag(name)]
    for argument, value in sorted(arguments.items()):
        command += ["--build-arg", f"{argument}={value}"]
    return [*command, str(WORKING_TREE)]


def _known_arguments(options: BuildOptions) -> dict[str, str]:
    project = tomllib.loads((WORKING_TREE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_") and value}
    bases = {name: base.reference for name, base in load_bases().items()}
    identity = {"UID": str(options.uid), "GID": str(options.gid)}
    return pip | bases | identity | {"REVISION": code_commit() or "unknown", "VERSION": project["version"]}


def build(name: str, options: BuildOptions) -> None:
    """Build the image ``name``. Raises DualGANError if docker is missing or fails; what it says is shown."""
    run_docker(build_command(name, options), f"image {name}")


def run_docker(command: Sequence[str], what: str) -> None:
    try:
        answer = subprocess.run(command, check=False)
    except FileNotFoundError:
        raise DualGANError(f"{what}: no program `docker` on this machine; install Docker") from None
    if answer.returncode:
        raise DualGANError(f"{what}: docker ended with exit code {answer.returncode}; its reason stands above")
