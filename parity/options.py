"""Options that several commands share."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dualgan.errors import BadInput
from pipelines.profiles import known_profiles

if TYPE_CHECKING:
    from pipelines.profile import Profile as LoadedProfile

PROFILE_HELP = f"One of {', '.join(known_profiles())}, or a .yaml file."
Profile = Annotated[str, typer.Option(help=PROFILE_HELP, metavar="NAME|FILE", autocompletion=known_profiles)]
Dataset = Annotated[
    str | None, typer.Option(metavar="SOURCE", help="As `parity dataset list` explains; default: the profile's.")
]
Seed = Annotated[int | None, typer.Option(help="The first seed of weights, order and everything random.")]
Seeds = Annotated[int | None, typer.Option(metavar="COUNT", help="How many seeds; default: the profile's.")]
TrainingOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        metavar="NAME=VALUE",
        help="A training option of `dualgan train --help`, such as max_steps=100, for every leg; may be repeated.",
    ),
]
Role = Literal["reference", "candidate"]
Runtime = Literal["tf1", "tf2"]
Experiment = Annotated[str | None, typer.Option(help="MLflow experiment; default: the dataset's name.")]


@dataclass(frozen=True)
class ImageOptions:
    """Which images a package runs; by default those that the profile names."""

    images: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="By digest: images.json, which `python -m images push` has written."),
    ] = None
    registry: Annotated[str | None, typer.Option(help="By --tag: from here, REGISTRY/dualgan-parity/NAME.")] = None
    tag: Annotated[str | None, typer.Option(help="With --registry.")] = None

    def used_by(self, profile: "LoadedProfile", package: Path | None = None) -> "LoadedProfile":
        """Return the profile with these images. Raises BadInput if they do not fit, or a compiled package is given."""
        from pipelines.images import with_pushed_images, with_registry

        if package and (self.images or self.registry or self.tag):
            raise BadInput("--package: it has its images; `parity compile` takes --images, --registry and --tag")
        if self.images and (self.registry or self.tag):
            raise BadInput("--images: has registry and digests; leave --registry and --tag out")
        if bool(self.registry) != bool(self.tag):
            raise BadInput("--registry and --tag: give both, or --images")
        if self.images:
            return with_pushed_images(profile, self.images)
        return with_registry(profile, self.registry, self.tag) if self.registry and self.tag else profile


@dataclass(frozen=True)
class TrackingOptions:
    """Where a run folder belongs in MLflow; what is left out is as it was when the run was trained."""

    tracking_uri: Annotated[
        str | None, typer.Option(help="MLflow server or sqlite:/// file; default: the one that training used.")
    ] = None
    experiment: Experiment = None
    pipeline_run_id: Annotated[str | None, typer.Option(help="Default: the one that training had.")] = None
    leg: Annotated[str | None, typer.Option(help="Default: the name that training had, or the kind of device.")] = None


def from_here(path: Path) -> Path:
    """Return ``path`` as seen from the working directory, if it is below that."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
