"""The docker command that builds an image, with bases from one file and the commit from git."""

import os
import re
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from components.common.cli import assignments
from components.common.image_list import REPOSITORY
from components.common.revision import UNKNOWN, WORKING_TREE, code_commit
from components.common.yaml_files import read_yaml
from dualgan.errors import BadInput, DualGANError

FOLDER = Path(__file__).parent
BASES = FOLDER / "bases.yaml"
# Built by `make images`: what a machine with neither an accelerator nor a vendor's login can use.
USUAL = ("cpu", "tf1", "mlflow")
VARIANT = "variant.yaml"
ARGUMENT = re.compile(r"^ARG\s+(\w+)", re.MULTILINE)


class Base(BaseModel):
    """An image that ours are built on. digest: of the content behind its tag, None if the tag decides."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: str
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None
    what: str

    @property
    def reference(self) -> str:
        """What a Dockerfile's FROM is given."""
        return f"{self.image}@{self.digest}" if self.digest else self.image


class Variant(BaseModel):
    """An image that the Dockerfile of ``image`` makes, with other arguments: values, or names of bases."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: str
    arguments: dict[str, str] = {}


@dataclass(frozen=True)
class BuildOptions:
    """Options of a build."""

    uid: Annotated[int, typer.Option(help="User that the image's processes run as.")] = 1000
    gid: Annotated[int, typer.Option(help="And its group.")] = 1000
    network: Annotated[str, typer.Option(help="Network of the build's steps.")] = "host"
    build_arg: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="As docker's own option; may be repeated.")
    ] = None


def load_bases(file: Path = BASES) -> Mapping[str, Base]:
    """Each base by the name of its build argument. Raises BadInput, in one line, for a file that is not such a list."""
    try:
        return TypeAdapter(dict[str, Base]).validate_python(read_yaml(file))
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"{file}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def known_images() -> list[str]:
    return sorted(file.parent.name for kind in ("Dockerfile", VARIANT) for file in FOLDER.glob(f"*/{kind}"))


def variant_of(name: str) -> Variant:
    """What the image ``name`` is a variant of: itself, unless its folder says otherwise."""
    file = FOLDER / name / VARIANT
    return Variant.model_validate(read_yaml(file)) if file.is_file() else Variant(image=name)


def dockerfile_of(name: str) -> Path:
    """The Dockerfile that makes the image ``name``. Raises BadInput for an image that has none here."""
    file = FOLDER / variant_of(name).image / "Dockerfile"
    if not file.is_file():
        raise BadInput(f"image {name}: unknown; known are {', '.join(known_images())}")
    return file


def image_tag(name: str) -> str:
    """The name that profiles and manifests know the image ``name`` by; the MLflow server's tells its version."""
    return f"{REPOSITORY}/{name}:{version('mlflow') if name == 'mlflow' else 'dev'}"


def build_command(name: str, options: BuildOptions, tag: str | None = None) -> list[str]:
    """``docker build`` of an image, which is called ``tag``, by default ``image_tag``.

    Raises BadInput if it is unknown, or for an argument that it does not declare.
    """
    dockerfile = dockerfile_of(name)
    declared = set(ARGUMENT.findall(dockerfile.read_text(encoding="utf-8")))
    explicit = assignments("--build-arg", options.build_arg or ())
    if set(explicit) - declared:
        raise BadInput(f"image {name}: no build argument {min(set(explicit) - declared)}; see {dockerfile}")
    project = tomllib.loads((WORKING_TREE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    known = {name: value for name, value in os.environ.items() if name.startswith("PIP_") and value}
    known |= {name: base.reference for name, base in load_bases().items()}
    known |= {"UID": str(options.uid), "GID": str(options.gid), "VERSION": project["version"]}
    known |= {"REVISION": code_commit() or UNKNOWN}
    known |= {argument: known.get(value, value) for argument, value in variant_of(name).arguments.items()} | explicit
    command = ["docker", "build", "--network", options.network, "--file", str(dockerfile)]
    command += ["--tag", tag or image_tag(name)]
    for argument in sorted(declared & known.keys()):
        command += ["--build-arg", f"{argument}={known[argument]}"]
    return [*command, str(WORKING_TREE)]


def run_docker(command: Sequence[str], what: str) -> None:
    """Run a docker command, whose output is shown. Raises DualGANError if docker is missing or fails."""
    # SBOM and provenance are made of the pushed image; a list that BuildKit puts round it would hide its architecture.
    environment = {**os.environ, "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
    try:
        answer = subprocess.run(command, env=environment, check=False)
    except FileNotFoundError:
        raise DualGANError(f"{what}: no program `docker` on this machine; install Docker") from None
    if answer.returncode:
        raise DualGANError(f"{what}: docker ended with exit code {answer.returncode}; its reason stands above")
